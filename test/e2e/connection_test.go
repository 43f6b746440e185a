package e2e

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// privateHost serves the repositories of a folder by git's own program, to whoever has the token.
type privateHost struct {
	*httptest.Server
	token atomic.Pointer[string]
}

func newPrivateHost(t *testing.T, dir, token string) *privateHost {
	t.Helper()
	core, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(core)), "git-http-backend"),
		Env: []string{
			"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "HOME=/nonexistent", "GIT_CONFIG_COUNT=1",
			"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		},
	}
	host := &privateHost{}
	host.token.Store(&token)
	host.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "oauth2" || password != *host.token.Load() {
			w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(host.Close)
	return host
}

// A private repository is deployed with the credentials of a connection, which are changed without the service knowing.
func TestAPrivateRepositoryIsDeployedByAConnection(t *testing.T) {
	t.Parallel()
	const first, second = "t0ken-the-first", "t0ken-the-second"
	a := apron.Start(t)
	push(t, a, "base:live", sample.Variant{Version: "base"})
	version := func(version string) map[string]string {
		return map[string]string{"Dockerfile": "FROM " + a.API + "/base:live\nENV VERSION=" + version + "\nEXPOSE 8080\n"}
	}
	repository := sample.NewRepository(t, version("one"))
	host := newPrivateHost(t, repository.Dir, first)
	address := host.URL + "/.git"
	created, err := a.SDK().CreateConnection(t.Context(), &apprunner.CreateConnectionInput{
		ConnectionName: ptr("private"), ProviderType: types.ProviderTypeGithub,
		Tags: []types.Tag{{Key: ptr("apron:host"), Value: ptr(strings.TrimPrefix(host.URL, "http://"))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	connection := created.Connection.ConnectionArn
	input := fromCode("by-connection", address)
	input.Tags = []types.Tag{{Key: ptr("apron:build"), Value: ptr("dockerfile")}}
	input.SourceConfiguration.AuthenticationConfiguration = &types.AuthenticationConfiguration{ConnectionArn: connection}
	wantRefusal(t, "a service with a pending connection", "PENDING_HANDSHAKE", func() error {
		_, err := a.SDK().CreateService(t.Context(), input)
		return err
	})
	authorize := func(token string, code int, texts ...string) {
		t.Helper()
		outcome := a.CommandReading(t, token+"\n", "connection", "authorize", "private", "--repository", address)
		said := outcome.Out + outcome.Err
		if outcome.Code != code || strings.Contains(said, "t0ken") {
			t.Fatalf("authorize ended with %d, want %d:\n%s", outcome.Code, code, said)
		}
		for _, text := range texts {
			if !strings.Contains(said, text) {
				t.Errorf("authorize did not say %q:\n%s", text, said)
			}
		}
	}
	status := func() string { t.Helper(); return a.MustCommand(t, "connection", "list") }

	authorize("t0ken-of-another", 1, "refused the credentials of the connection private")
	if list := status(); !strings.Contains(list, "PENDING_HANDSHAKE") {
		t.Errorf("after a wrong token: %s", list)
	}
	authorize(first, 0, "private is AVAILABLE")
	service := a.MustCreate(t, input)
	a.WantBody(t, service.URL, "/", "one")

	// A restart opens what was sealed before.
	a.Stop(t)
	a.Restart(t)
	repository.Commit("Go on", version("two"))
	service.MustDeploy(t)
	a.WantBody(t, service.URL, "/", "two")

	// The host gets another token. Deployments fail and say why, until the connection has it too.
	host.token.Store(ptr(second))
	failed := service.WantOperation(t, service.Deploy(t), "ROLLBACK_SUCCEEDED")
	wantFailure(t, failed, "refused the credentials of the connection private", "apron connection authorize private")
	authorize("t0ken-of-another", 1, "refused the credentials")
	if list := status(); !strings.Contains(list, "AVAILABLE") {
		t.Errorf("after a wrong token later: %s", list)
	}
	authorize(second, 0, "private is AVAILABLE")
	repository.Commit("Go further", version("three"))
	service.MustDeploy(t)
	a.WantBody(t, service.URL, "/", "three")

	remove := func() error {
		_, err := a.SDK().DeleteConnection(t.Context(), &apprunner.DeleteConnectionInput{ConnectionArn: connection})
		return err
	}
	wantRefusal(t, "deleting a used connection", "in use by a service", remove)
	wantNowhere(t, a.Data, "t0ken")
	if strings.Contains(a.LogTail(10_000), "t0ken") {
		t.Error("apron's log holds a token")
	}
	service.Delete(t)
	if err := remove(); err != nil {
		t.Errorf("delete the connection: %v", err)
	}
}

// wantRefusal fails the test unless the API refuses with a text.
func wantRefusal(t *testing.T, what, text string, do func() error) {
	t.Helper()
	if err := do(); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %v, want a refusal with %q", what, err, text)
	}
}

// wantNowhere looks through what apron keeps in files of its own: its database, logs and settings.
func wantNowhere(t *testing.T, dir, secret string) {
	t.Helper()
	key, err := os.Stat(filepath.Join(dir, "secrets.key"))
	if err != nil || key.Mode() != 0o600 || key.Size() != 32 {
		t.Errorf("the key of secrets is %v, %v", key, err)
	}
	files := 0
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // gone meanwhile
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{"containerd", "buildkit", "instances", "netns"}, entry.Name()):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		files++
		if strings.Contains(string(content), secret) {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil || files < 3 {
		t.Errorf("looked into %d files, %v", files, err)
	}
}
