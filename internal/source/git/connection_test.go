package git_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/gittest"
)

// tokenFor is a connection's token for a test server.
func tokenFor(server *httptest.Server, password string) *source.Access {
	return &source.Access{Connection: "forge", Host: strings.TrimPrefix(server.URL, "http://"), User: keys.ID, Password: password}
}

func TestAConnectionsTokenIsUsedInPlaceOfTheAdministratorsAndNeverShown(t *testing.T) {
	handler, _ := newGitServer(t)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	repositories, data := newRepositories(t, git.Limits{})
	wrong := strings.Replace(server.URL, "http://", "http://"+keys.ID+":wr0ngpass@", 1) + "\n"
	if err := os.WriteFile(filepath.Join(data, "git-credentials"), []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := fmt.Sprintf("[credential %q]\n\thelper = \"!f() { echo username=other; echo password=wr0ngpass; }; f\"\n\tuseHttpPath = true\n", server.URL)
	if err := os.WriteFile(filepath.Join(data, "gitconfig"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	as := repositories.As(tokenFor(server, keys.Secret))
	for _, inURL := range []*url.Userinfo{nil, url.UserPassword("other", "wr0ngpass")} {
		dir, log := fetchMain(t, as, withUser(t, server.URL, inURL))
		wantFile(t, filepath.Join(dir, "file"), "content")
		if strings.Contains(log, "s3cr") || strings.Contains(log, "wr0ng") {
			t.Errorf("the log shows a password:\n%s", log)
		}
	}
	if wasAsked, err := as.Try(deadline(t), withUser(t, server.URL, nil)); err != nil || !wasAsked {
		t.Errorf("the try says asked %t, %v", wasAsked, err)
	}

	_, err := repositories.As(tokenFor(server, "bad/t0ken")).Try(deadline(t), withUser(t, server.URL, nil))
	wantCause(t, err, "127.0.0.1 refused the credentials of the connection forge", "apron connection authorize forge")
	if text := fmt.Sprintf("%v %q %+v", err, evidence(err), platform.AsExplained(err).Err); strings.Contains(text, "t0ken") {
		t.Errorf("the error shows the token: %s", text)
	}
	_, err = as.Try(deadline(t), strings.Replace(withUser(t, server.URL, nil), "app.git", "other.git", 1))
	wantCause(t, err, "there is no Git repository at", "the connection forge may not see it", "apron connection authorize forge")
	wantFile(t, filepath.Join(data, "git-credentials"), wrong)
}

func TestATryOfWhatAnyoneMayReadSaysSo(t *testing.T) {
	_, dir := newGitServer(t)
	server := httptest.NewServer(gitBackend(t, dir))
	t.Cleanup(server.Close)
	repositories, _ := newRepositories(t, git.Limits{})
	as := repositories.As(tokenFor(server, "any"))
	if wasAsked, err := as.Try(deadline(t), withUser(t, server.URL, nil)); err != nil || wasAsked {
		t.Errorf("the try says asked %t, %v", wasAsked, err)
	}
	fetchMain(t, as, withUser(t, server.URL, nil))
}

func TestCredentialsOfAConnectionGoToItsHostAlone(t *testing.T) {
	var mu sync.Mutex
	var stolen []string
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		stolen = append(stolen, r.Header.Get("Authorization"))
		w.Header().Set("WWW-Authenticate", `Basic realm="thief"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(thief.Close)
	repositories, _ := newRepositories(t, git.Limits{})
	for name, elsewhere := range map[string]string{"another port": thief.URL, "another name": strings.Replace(thief.URL, "127.0.0.1", "localhost", 1)} {
		for _, asksFirst := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, asks first: %t", name, asksFirst), func(t *testing.T) {
				stolen = nil
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, _, hasCredentials := r.BasicAuth(); asksFirst && !hasCredentials {
						w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					http.Redirect(w, r, elsewhere+r.URL.RequestURI(), http.StatusFound)
				}))
				t.Cleanup(server.Close)
				_, err := repositories.As(tokenFor(server, keys.Secret)).ResolveCommit(deadline(t), code(withUser(t, server.URL, nil)))
				wantCause(t, err, "the connection forge")
				mu.Lock()
				defer mu.Unlock()
				if len(stolen) == 0 {
					t.Error("the redirect was not followed, so the test shows nothing")
				}
				for _, header := range stolen {
					if header != "" {
						t.Errorf("the other host got %q", header)
					}
				}
			})
		}
	}

	stolen = nil
	access := &source.Access{Connection: "forge", Host: "git.example.com", User: "u", Password: keys.Secret}
	for _, at := range []string{withUser(t, thief.URL, nil), "git@127.0.0.1:app.git", thief.URL + "/git.example.com/app.git", t.TempDir()} {
		_, err := repositories.As(access).ResolveCommit(deadline(t), code(at))
		wantCause(t, err, "the connection forge is to git.example.com")
	}
	if len(stolen) > 0 {
		t.Errorf("the other host was asked with %q", stolen)
	}
}

func TestAConnectionsSSHKeyIsUsedInPlaceOfTheAdministrators(t *testing.T) {
	server := newSSHServer(t)
	work := gittest.New(t)
	work.Write("file", "content")
	work.Commit("Begin")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	repositories, data := newRepositories(t, git.Limits{})
	host := "127.0.0.1:" + server.port
	address := fmt.Sprintf("ssh://%s@%s%s", me.Username, host, work.Dir)
	_, other := newKey(t)

	server.authorize(filepath.Join(data, "ssh", "id_ed25519"))
	_, err = repositories.As(&source.Access{Connection: "forge", Host: host, SSHKey: string(other)}).Try(deadline(t), address)
	wantCause(t, err, "127.0.0.1 refused the SSH key of the connection forge", "apron connection authorize forge")

	signer, mine := newKey(t)
	public := signer.PublicKey().Marshal()
	server.authorized.Store(&public)
	seen := watchKeys(t, server, data)
	as := repositories.As(&source.Access{Connection: "forge", Host: host, SSHKey: string(mine)})
	dir, log := fetchMain(t, as, address)
	wantFile(t, filepath.Join(dir, "file"), "content")
	fetchMain(t, as, fmt.Sprintf("ssh://%s%s", host, work.Dir)) // as the user git
	if strings.Contains(log, "PRIVATE") {
		t.Errorf("the log shows the key: %s", log)
	}
	if seen() == 0 {
		t.Error("while ssh runs, no file has the key")
	}
	if wasAsked, err := as.Try(deadline(t), address); err != nil || !wasAsked {
		t.Errorf("the try says asked %t, %v", wasAsked, err)
	}

	changed, _ := newKey(t)
	known := fmt.Sprintf("[127.0.0.1]:%s %s", server.port, ssh.MarshalAuthorizedKey(changed.PublicKey()))
	if err := os.WriteFile(filepath.Join(data, "ssh", "known_hosts"), []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = as.Try(deadline(t), address)
	wantCause(t, err, "host key of 127.0.0.1 is not the one that is known", filepath.Join(data, "ssh", "known_hosts"))
}

// watchKeys looks at the files of connections' keys whenever the SSH server runs a command, and counts them.
func watchKeys(t *testing.T, server *sshServer, data string) (seen func() int32) {
	var count atomic.Int32
	look := func() {
		found, _ := filepath.Glob(filepath.Join(data, "sources", ".fetch-*", "connection_key"))
		for _, path := range found {
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
				t.Errorf("the key's file is %v, %v", info, err)
			}
			count.Add(1)
		}
	}
	server.onCommand.Store(&look)
	return count.Load
}

func TestCredentialsThatDoNotFitTheURLAreExplained(t *testing.T) {
	repositories, _ := newRepositories(t, git.Limits{})
	_, err := repositories.As(&source.Access{Connection: "forge", Host: "git.lan", Password: "t"}).ResolveCommit(deadline(t), code("git@git.lan:app.git"))
	wantCause(t, err, "the connection forge has a token", "https://")
	_, err = repositories.As(&source.Access{Connection: "forge", Host: "git.lan", SSHKey: "k"}).ResolveCommit(deadline(t), code("https://git.lan/app.git"))
	wantCause(t, err, "the connection forge has an SSH key", "ssh://git@HOST/PATH")
}
