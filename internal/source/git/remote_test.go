package git_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/gitserver"
	"github.com/apron-run/apron/internal/source/gittest"
)

var keys = source.KeyPair{ID: "AKIDEXAMPLE", Secret: "s3cr+t/slash"}

// newGitServer returns a Git server with one repository, app, which holds the file "file", and the folder it is in.
func newGitServer(t *testing.T) (handler http.Handler, dir string) {
	t.Helper()
	dir = t.TempDir()
	work := gittest.New(t)
	work.Write("file", "content")
	work.Commit("Begin")
	work.Git("clone", "--quiet", "--bare", work.Dir, filepath.Join(dir, "app.git"))
	return gitserver.New(gitserver.Config{Dir: dir, Keys: keys}), dir
}

// withUser returns base's repository app with user and password in its URL.
func withUser(t *testing.T, base string, user *url.Userinfo) string {
	t.Helper()
	address, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	address.User, address.Path = user, "/git/app.git"
	return address.String()
}

func TestCredentialsInTheURLAreUsedButNeverShown(t *testing.T) {
	handler, _ := newGitServer(t)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	repositories, data := newRepositories(t, git.Limits{})
	dir, log := fetchMain(t, repositories, withUser(t, server.URL, url.UserPassword(keys.ID, keys.Secret)))
	wantFile(t, filepath.Join(dir, "file"), "content")
	if strings.Contains(log, "s3cr") {
		t.Errorf("the log shows the password:\n%s", log)
	}
	if _, err := os.Stat(filepath.Join(data, "git-credentials")); !os.IsNotExist(err) {
		t.Errorf("the URL's password was kept for others: %v", err)
	}

	_, err := repositories.ResolveCommit(deadline(t), code(withUser(t, server.URL, url.UserPassword(keys.ID, "wr0ngpass"))))
	wantCause(t, err, "refused the credentials", "git-credentials")
	if text := fmt.Sprintf("%v %q %+v", err, evidence(err), errors.Unwrap(err)); strings.Contains(text, "wr0ngpass") {
		t.Errorf("the error shows the password: %s", text)
	}

	_, err = repositories.ResolveCommit(deadline(t), code(withUser(t, server.URL, nil)))
	wantCause(t, err, "asks for credentials", "git-credentials")
}

func TestCredentialsOfTheDataDirectoryAreUsedAndStay(t *testing.T) {
	handler, _ := newGitServer(t)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	repositories, data := newRepositories(t, git.Limits{})
	host := strings.TrimPrefix(server.URL, "http://")
	lines := "# read only\nhttp://" + url.UserPassword(keys.ID, keys.Secret).String() + "@" + host + "\nhttp://" +
		url.UserPassword("other", "wrong").String() + "@" + host + "\n"
	file := filepath.Join(data, "git-credentials")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, user := range []*url.Userinfo{nil, url.User(keys.ID)} {
		dir, _ := fetchMain(t, repositories, withUser(t, server.URL, user))
		wantFile(t, filepath.Join(dir, "file"), "content")
	}
	_, err := repositories.ResolveCommit(deadline(t), code(withUser(t, server.URL, url.User("other"))))
	wantCause(t, err, "refused the credentials")
	wantFile(t, file, lines) // git would remove what was refused
}

func TestASettingOfTheDataDirectoryIsUsed(t *testing.T) {
	handler, _ := newGitServer(t)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	repositories, data := newRepositories(t, git.Limits{})
	settings := fmt.Sprintf("[credential %q]\n\thelper = \"!f() { echo username=%s; echo 'password=%s'; }; f\"\n", server.URL, keys.ID, keys.Secret)
	if err := os.WriteFile(filepath.Join(data, "gitconfig"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, _ := fetchMain(t, repositories, withUser(t, server.URL, nil))
	wantFile(t, filepath.Join(dir, "file"), "content")
}

func TestARepositoryOfTheEmbeddedServerIsReadWithoutTheNetwork(t *testing.T) {
	repositories, data := newRepositories(t, git.Limits{})
	work := gittest.New(t)
	work.Write("file", "content")
	work.Commit("Begin")
	work.Git("clone", "--quiet", "--bare", work.Dir, filepath.Join(data, "git", "app.git"))
	// Nothing listens on the endpoint.
	for _, url := range []string{
		"http://127.0.0.1:8700/git/app.git", "http://localhost:8700/git/app", "http://user:secret@127.0.0.1:8700/git/app.git",
	} {
		dir, log := fetchMain(t, repositories, url)
		wantFile(t, filepath.Join(dir, "file"), "content")
		if strings.Contains(log, "secret") {
			t.Errorf("the log shows the password: %s", log)
		}
	}
}

func TestAMissingRepositoryIsExplained(t *testing.T) {
	handler, _ := newGitServer(t)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	repositories, _ := newRepositories(t, git.Limits{})
	address := strings.Replace(withUser(t, server.URL, url.UserPassword(keys.ID, keys.Secret)), "app.git", "other.git", 1)
	_, err := repositories.ResolveCommit(deadline(t), code(address))
	wantCause(t, err, "there is no Git repository at", "/git/other.git")
	if len(evidence(err)) == 0 {
		t.Error("no evidence")
	}
}

// gitBackend serves the repositories of dir to anyone, by git's own program.
func gitBackend(t *testing.T, dir string) http.Handler {
	t.Helper()
	core, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	return &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(core)), "git-http-backend"), Root: "/git",
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "HOME=/nonexistent"},
	}
}

func TestAServerOfTheOldProtocolIsFetchedFromByBranch(t *testing.T) {
	_, dir := newGitServer(t)
	backend := gitBackend(t, dir)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Git-Protocol") // the old protocol refuses commits by id that no branch names
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	repositories, _ := newRepositories(t, git.Limits{})
	address := code(withUser(t, server.URL, nil))
	commit, err := repositories.ResolveCommit(deadline(t), address)
	if err != nil {
		t.Fatal(err)
	}
	work := gittest.New(t)
	work.Git("fetch", "--quiet", filepath.Join(dir, "app.git"), "main")
	work.Git("reset", "--quiet", "--hard", "FETCH_HEAD")
	work.Write("file", "newer")
	work.Commit("Go on")
	work.Git("push", "--quiet", filepath.Join(dir, "app.git"), "main")
	out := t.TempDir()
	if err := repositories.Fetch(deadline(t), address, commit, out, nil); err != nil {
		t.Fatalf("%v %q", err, evidence(err))
	}
	wantFile(t, filepath.Join(out, "file"), "content")

	work.Git("checkout", "--quiet", "--orphan", "other")
	work.Commit("Begin again")
	work.Git("push", "--quiet", "--force", filepath.Join(dir, "app.git"), "other:main")
	err = repositories.Fetch(deadline(t), address, commit, t.TempDir(), nil)
	wantCause(t, err, "is no longer in branch main", "start a new deployment")
}

func TestADumbHTTPServerIsFetchedFrom(t *testing.T) {
	_, dir := newGitServer(t)
	work := gittest.New(t)
	work.Git("--git-dir="+filepath.Join(dir, "app.git"), "update-server-info")
	server := httptest.NewServer(http.StripPrefix("/git/", http.FileServer(http.Dir(dir))))
	t.Cleanup(server.Close)
	repositories, _ := newRepositories(t, git.Limits{})
	out, _ := fetchMain(t, repositories, withUser(t, server.URL, nil))
	wantFile(t, filepath.Join(out, "file"), "content")
}

func TestATroubleThatPassesIsTriedAgain(t *testing.T) {
	handler, _ := newGitServer(t)
	var failures atomic.Int32
	failures.Store(2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if failures.Add(-1) >= 0 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	repositories, _ := newRepositories(t, git.Limits{})
	git.SetRetries(repositories, time.Millisecond, time.Millisecond)
	address := withUser(t, server.URL, url.UserPassword(keys.ID, keys.Secret))
	fetchMain(t, repositories, address)
	failures.Store(1000)
	_, err := repositories.ResolveCommit(deadline(t), code(address))
	wantCause(t, err, "broke off")
}

func TestAnUntrustedCertificateIsExplainedAndCanBeTrusted(t *testing.T) {
	handler, _ := newGitServer(t)
	server := httptest.NewTLSServer(handler)
	server.Config.ErrorLog = quietLog()
	t.Cleanup(server.Close)
	repositories, data := newRepositories(t, git.Limits{})
	address := withUser(t, server.URL, url.UserPassword(keys.ID, keys.Secret))
	_, err := repositories.ResolveCommit(deadline(t), code(address))
	wantCause(t, err, "TLS connection", "could not be trusted", "gitconfig")

	authority := filepath.Join(data, "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, block, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "gitconfig"), []byte("[http]\n\tsslCAInfo = "+authority+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := fetchMain(t, repositories, address)
	wantFile(t, filepath.Join(out, "file"), "content")
}

func TestHostsThatAreNotThereAreExplained(t *testing.T) {
	repositories, _ := newRepositories(t, git.Limits{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, err = repositories.ResolveCommit(deadline(t), code("http://"+address+"/app.git"))
	wantCause(t, err, "127.0.0.1 cannot be reached")
	_, err = repositories.ResolveCommit(deadline(t), code("ssh://git@"+address+"/app.git"))
	wantCause(t, err, "127.0.0.1 cannot be reached")
	_, err = repositories.ResolveCommit(deadline(t), code("https://no-such-host.invalid/app.git"))
	wantCause(t, err, "no-such-host.invalid does not exist or cannot be looked up")
	_, err = repositories.ResolveCommit(deadline(t), code("git@no-such-host.invalid:app.git"))
	wantCause(t, err, "no-such-host.invalid does not exist or cannot be looked up")
}

func TestAServerThatListsWithoutEndIsGivenUp(t *testing.T) {
	line := strings.Repeat("1", 40) + " refs/heads/branch\n"
	refs := strings.Repeat(fmt.Sprintf("%04x%s", len(line)+4, line), 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		io.WriteString(w, "001e# service=git-upload-pack\n0000")
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, refs); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	repositories, _ := newRepositories(t, git.Limits{MemoryBytes: 64 << 20})
	_, err := repositories.ResolveCommit(deadline(t), code(server.URL+"/app.git"))
	wantCause(t, err, "127.0.0.1 sends more about", "than apron reads")
}

// hang answers nothing until the client or the test ends.
func hang(t *testing.T) *httptest.Server {
	t.Helper()
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}))
	t.Cleanup(func() {
		close(done)
		server.Close()
	})
	return server
}

func TestASilentServerIsGivenUp(t *testing.T) {
	server := hang(t)
	repositories, _ := newRepositories(t, git.Limits{Silence: 300 * time.Millisecond})
	_, err := repositories.ResolveCommit(deadline(t), code(server.URL+"/app.git"))
	wantCause(t, err, "127.0.0.1 sent nothing for 300ms")
}

func TestGitEndsWithItsContextAndLeavesNoProcess(t *testing.T) {
	server := hang(t)
	repositories, data := newRepositories(t, git.Limits{})
	for name, end := range map[string]func(context.CancelCauseFunc){
		"cancelled": func(cancel context.CancelCauseFunc) { cancel(nil) },
		"stopped":   func(cancel context.CancelCauseFunc) { cancel(errors.New("apron stops")) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(deadline(t))
			ended := make(chan error, 1)
			go func() {
				_, err := repositories.ResolveCommit(ctx, code(server.URL+"/app.git"))
				ended <- err
			}()
			waitFor(t, "git to run", func() bool { return len(processesOf(t, data)) > 1 })
			end(cancel)
			select {
			case err := <-ended:
				if !errors.Is(err, context.Canceled) || platform.AsExplained(err) != nil {
					t.Errorf("error %v, want a plain cancellation", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("still running")
			}
			waitFor(t, "all processes to end", func() bool { return len(processesOf(t, data)) == 0 })
		})
	}
}

// processesOf returns the processes that have data in their environment: git and its helpers.
func processesOf(t *testing.T, data string) (found []string) {
	t.Helper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range environments {
		if content, err := os.ReadFile(path); err == nil && strings.Contains(string(content), data) {
			found = append(found, path)
		}
	}
	return found
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
