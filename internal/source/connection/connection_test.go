package connection_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/apron-run/apron/internal/api"
	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/secret"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/connection"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/gitserver"
	"github.com/apron-run/apron/internal/source/gittest"
)

var (
	_ deploy.CodeResolver = (*connection.Connections)(nil)
	_ api.Connections     = (*connection.Connections)(nil)
)

const user, token = "x-access-token", "ghs_s3cret+t0ken"

// world is Connections over git and a Git server with one private repository, app.
type world struct {
	t           *testing.T
	connections *connection.Connections
	box         *secret.Box
	server      *httptest.Server
	// stored is what ByARN finds.
	stored atomic.Pointer[platform.Resource]
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	dir := t.TempDir()
	work := gittest.New(t)
	work.Write("file", "content")
	work.Commit("Begin")
	work.Git("clone", "--quiet", "--bare", work.Dir, filepath.Join(dir, "app.git"))
	w.server = httptest.NewServer(gitserver.New(gitserver.Config{Dir: dir, Keys: source.KeyPair{ID: user, Secret: token}}))
	t.Cleanup(w.server.Close)
	var err error
	if w.box, err = secret.New(bytes.Repeat([]byte("k"), secret.KeyBytes)); err != nil {
		t.Fatal(err)
	}
	repositories := git.New(git.Config{Data: t.TempDir(), Endpoint: source.NewEndpoint("127.0.0.1:8700")})
	w.connections = connection.New(connection.Config{
		Secrets: w.box,
		As:      func(access *source.Access) connection.Repositories { return repositories.As(access) },
		ByARN: func(_ context.Context, arn string) (platform.Resource, bool, error) {
			stored := w.stored.Load()
			if stored == nil || stored.ARN != arn {
				return platform.Resource{}, false, nil
			}
			return *stored, true, nil
		},
	})
	return w
}

// forge is a connection to the world's Git server, as it is made.
func (w *world) forge() platform.Resource {
	return platform.Resource{
		Name: "forge", ARN: "arn:aws:apprunner:us-east-1:000000000000:connection/forge/0123456789abcdef0123456789abcdef",
		Tags:   map[string]string{platform.TagHost: strings.TrimPrefix(w.server.URL, "http://")},
		Detail: platform.ResourceDetail{Connection: &platform.ConnectionDetail{Provider: platform.ProviderGitHub}},
	}
}

func (w *world) repository() string { return w.server.URL + "/git/app.git" }

// authorize gives the connection its credentials and stores it.
func (w *world) authorize(connection platform.Resource, credentials platform.GitCredentials) platform.Resource {
	w.t.Helper()
	sealed, err := w.connections.Authorize(deadline(w.t), connection, credentials, w.repository())
	if err != nil {
		w.t.Fatal(err)
	}
	connection.Detail.Connection = &platform.ConnectionDetail{Provider: connection.Detail.Connection.Provider, Credentials: sealed}
	w.stored.Store(&connection)
	return connection
}

func (w *world) source(connection platform.Resource) platform.Source {
	return platform.Source{
		Code:          &platform.CodeSource{RepositoryURL: w.repository(), Branch: "main", Directory: "/"},
		ConnectionARN: connection.ARN,
	}
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func wantCause(t *testing.T, err error, parts ...string) {
	t.Helper()
	explained := platform.AsExplained(err)
	if explained == nil {
		t.Fatalf("not explained: %v", err)
	}
	if explained.Remedy == "" {
		t.Errorf("%q does not say what to try", explained)
	}
	for _, part := range parts {
		if !strings.Contains(explained.Error(), part) {
			t.Errorf("it says %q\nwithout %q", explained, part)
		}
	}
	wantNoSecret(t, fmt.Sprintf("%v %+v %#v %v %v", err, explained, explained, explained.Err, explained.Evidence))
}

func wantNoSecret(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{token, "s3cret", "t0ken", "PRIVATE KEY", "wr0ng"} {
		if strings.Contains(text, secret) {
			t.Errorf("it shows %q: %s", secret, text)
		}
	}
}

func TestATokenIsTriedSealedAndUsed(t *testing.T) {
	w := newWorld(t)
	forge := w.authorize(w.forge(), platform.GitCredentials{User: user, Token: token})
	sealed := forge.Detail.Connection.Credentials
	if sealed.Kind != platform.CredentialToken {
		t.Errorf("the kind is %s", sealed.Kind)
	}
	wantNoSecret(t, string(sealed.Sealed)+fmt.Sprintf("%+v", forge))

	from := w.source(forge)
	commit, err := w.connections.ResolveCommit(deadline(t), from)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if err := w.connections.Fetch(deadline(t), from, commit, filepath.Join(t.TempDir(), "out"), &log); err != nil {
		t.Fatal(err)
	}
	wantNoSecret(t, log.String())

	_, err = w.connections.Authorize(deadline(t), forge, platform.GitCredentials{User: user, Token: "wr0ng"}, w.repository())
	wantCause(t, err, "refused the credentials of the connection forge")
	_, err = w.connections.Authorize(deadline(t), forge, platform.GitCredentials{User: user, Token: token}, "https://github.com/ada/app")
	wantCause(t, err, "the connection forge is to 127.0.0.1", "go nowhere else")
}

func TestSealedCredentialsServeTheirConnectionAndHostAlone(t *testing.T) {
	w := newWorld(t)
	forge := w.authorize(w.forge(), platform.GitCredentials{User: user, Token: token})

	moved := forge.Clone()
	moved.Tags[platform.TagHost] = "127.0.0.1:1"
	w.stored.Store(&moved)
	_, err := w.connections.ResolveCommit(deadline(t), w.source(forge))
	wantCause(t, err, "were given for 127.0.0.1", "it is now to 127.0.0.1:1")

	other := forge.Clone()
	other.Name, other.ARN = "other", forge.ARN[:len(forge.ARN)-1]+"0"
	w.stored.Store(&other)
	_, err = w.connections.ResolveCommit(deadline(t), w.source(other))
	wantCause(t, err, "the connection other cannot be opened", "secrets.key", "apron connection authorize other")

	pending := w.forge()
	w.stored.Store(&pending)
	_, err = w.connections.ResolveCommit(deadline(t), w.source(pending))
	wantCause(t, err, "the connection forge has no credentials")

	w.stored.Store(nil)
	_, err = w.connections.ResolveCommit(deadline(t), w.source(forge))
	wantCause(t, err, "was deleted")
}

func TestGitCredentialsNeverPrint(t *testing.T) {
	app := platform.GitApp{ID: "1", Installation: "2", Key: "PRIVATE KEY"}
	credentials := platform.GitCredentials{User: "u", Token: token, SSHKey: "PRIVATE KEY", App: &app}
	wantNoSecret(t, fmt.Sprintf("%v %+v %#v %s %v %+v %#v %q", credentials, credentials, credentials, &credentials, app, app, &app, app))
	marshalled, err := json.Marshal(map[string]any{"a": credentials, "b": app})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "a", credentials, "b", app, "c", []any{credentials, app})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "a", credentials, "b", app, "c", []any{credentials, app})
	wantNoSecret(t, string(marshalled)+log.String())
}

func TestASourceWithoutAConnectionIsReadAsBefore(t *testing.T) {
	w := newWorld(t)
	work := gittest.New(t)
	want := work.Commit("Begin")
	from := platform.Source{Code: &platform.CodeSource{RepositoryURL: work.Dir, Branch: "main"}}
	if commit, err := w.connections.ResolveCommit(deadline(t), from); err != nil || commit != want {
		t.Errorf("the commit is %s, %v; want %s", commit, err, want)
	}
}

func TestWhatAreNoCredentialsIsRefusedBeforeAnyoneIsAsked(t *testing.T) {
	w := newWorld(t)
	bitbucket := w.forge()
	bitbucket.Detail.Connection = &platform.ConnectionDetail{Provider: platform.ProviderBitbucket}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	app := platform.GitApp{ID: "1", Installation: "2", Key: newAppKey(t).pem}
	for name, c := range map[string]struct {
		connection  platform.Resource
		credentials platform.GitCredentials
		want        string
	}{
		"an empty token":          {w.forge(), platform.GitCredentials{}, "a token is not empty"},
		"a token in two lines":    {w.forge(), platform.GitCredentials{Token: "t0ken\nhost=evil"}, "control characters"},
		"a user in two lines":     {w.forge(), platform.GitCredentials{User: "a\nb", Token: "t0ken"}, "control characters"},
		"a locked key":            {w.forge(), platform.GitCredentials{SSHKey: string(pem.EncodeToMemory(locked))}, "passphrase"},
		"a public key":            {w.forge(), platform.GitCredentials{SSHKey: "ssh-ed25519 AAAA"}, "not a private SSH key"},
		"an app of Bitbucket":     {bitbucket, platform.GitCredentials{App: &app}, "apps are GitHub's"},
		"an app with a wrong key": {w.forge(), platform.GitCredentials{App: &platform.GitApp{ID: "1", Installation: "2", Key: "x"}}, "not the private key of an app"},
		"an installation by name": {w.forge(), platform.GitCredentials{App: &platform.GitApp{ID: "1", Installation: "../x", Key: app.Key}}, "is a number"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.connections.Authorize(deadline(t), c.connection, c.credentials, w.repository())
			wantCause(t, err, c.want)
		})
	}
}
