package push

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/gitserver"
	"github.com/apron-run/apron/internal/source/gittest"
)

var keys = source.KeyPair{ID: "AKIAEXAMPLE", Secret: "secret/with+signs"}

// server is apron's own Git server, with nothing in it.
func server(t *testing.T) (address, dir string) {
	t.Helper()
	dir = t.TempDir()
	listening := httptest.NewServer(gitserver.New(gitserver.Config{Dir: dir, Keys: keys}))
	t.Cleanup(listening.Close)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	return listening.URL + "/git/app.git", filepath.Join(dir, "app.git")
}

func request(t *testing.T, dir, address string) Request {
	t.Helper()
	return Request{Dir: dir, URL: address, Branch: "main", User: keys.ID, Password: keys.Secret, CacheDir: t.TempDir()}
}

func push(t *testing.T, r Request) Result {
	t.Helper()
	result, err := Push(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// on asks the repository of the server.
func on(t *testing.T, repository string, arguments ...string) string {
	t.Helper()
	command := exec.Command("git", arguments...)
	command.Dir, command.Env = repository, gittest.Environment()
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", arguments, err, output)
	}
	return strings.TrimSpace(string(output))
}

func expectFiles(t *testing.T, repository string, want ...string) {
	t.Helper()
	got := strings.Split(on(t, repository, "ls-tree", "-r", "--name-only", "main"), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files on main: %s", diff)
	}
}

func TestAPlainFolderIsPushedAsItIs(t *testing.T) {
	address, repository := server(t)
	dir := t.TempDir()
	write(t, dir, "main.py", "print('hello')\r\n")
	write(t, dir, "sub/run.sh", "#!/bin/sh\n")
	write(t, dir, "sub/build/out.o", "binary")
	write(t, dir, "secret.log", "x")
	write(t, dir, ".gitignore", "*.log\n")
	write(t, dir, "sub/.gitignore", "build/\n")
	write(t, dir, ".gitattributes", "*.py text eol=lf\n")
	if err := os.Chmod(filepath.Join(dir, "sub/run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("main.py", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	result := push(t, request(t, dir, address))
	expectFiles(t, repository, ".gitattributes", ".gitignore", "link", "main.py", "sub/.gitignore", "sub/run.sh")
	if got := on(t, repository, "rev-parse", "main"); got != result.Commit || !result.IsNew || result.Files != 6 {
		t.Errorf("main is %s, the result %+v", got, result)
	}
	modes := on(t, repository, "ls-tree", "-r", "main")
	if !strings.Contains(modes, "100755 blob") || !strings.Contains(modes, "120000 blob") {
		t.Errorf("modes are lost:\n%s", modes)
	}
	if size := on(t, repository, "cat-file", "-s", "main:main.py"); size != "16" {
		t.Errorf("main.py has %s bytes on the server: its line ending was changed", size)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 7 {
		t.Errorf("the folder has %d entries now", len(entries))
	}
}

func TestASecondPushSendsOnlyWhatChanged(t *testing.T) {
	address, repository := server(t)
	dir := t.TempDir()
	write(t, dir, "a", "1")
	write(t, dir, "b/c", "2")
	r := request(t, dir, address)
	first := push(t, r)
	if again := push(t, r); again.IsNew || again.Commit != first.Commit {
		t.Errorf("an unchanged folder gave %+v after %+v", again, first)
	}
	write(t, dir, "a", "changed")
	write(t, dir, ".gitignore", "b\n")
	second := push(t, r)
	expectFiles(t, repository, ".gitignore", "a")
	if parent := on(t, repository, "rev-parse", "main^"); parent != first.Commit || !second.IsNew {
		t.Errorf("the second commit stands on %s", parent)
	}
	if err := os.Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "a/now/a/folder", "3")
	push(t, r)
	expectFiles(t, repository, ".gitignore", "a/now/a/folder")
}

func TestALostCacheContinuesTheBranch(t *testing.T) {
	address, repository := server(t)
	dir := t.TempDir()
	write(t, dir, "a", "1")
	first := push(t, request(t, dir, address))
	if again := push(t, request(t, dir, address)); again.IsNew || again.Commit != first.Commit {
		t.Errorf("an unchanged folder gave %+v", again)
	}
	write(t, dir, "a", "2")
	r := request(t, dir, address)
	r.CacheDir = ""
	push(t, r)
	if parent := on(t, repository, "rev-parse", "main^"); parent != first.Commit {
		t.Errorf("the second commit stands on %s", parent)
	}
	half := request(t, dir, address)
	push(t, half)
	caches, _ := filepath.Glob(filepath.Join(half.CacheDir, "*.git"))
	if len(caches) != 1 || os.Remove(filepath.Join(caches[0], "apron-ready")) != nil {
		t.Fatal("no cache to spoil")
	}
	write(t, dir, "a", "3")
	push(t, half)
	expectFiles(t, repository, "a")
}

func TestADamagedCacheIsMadeAnew(t *testing.T) {
	address, repository := server(t)
	dir := t.TempDir()
	write(t, dir, "a", "1")
	r := request(t, dir, address)
	push(t, r)
	caches, _ := filepath.Glob(filepath.Join(r.CacheDir, "*.git"))
	for _, name := range []string{"index", "HEAD"} {
		if err := os.WriteFile(filepath.Join(caches[0], name), []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		write(t, dir, "b", name)
		push(t, r)
		expectFiles(t, repository, "a", "b")
	}
}

func TestTheUsersRepositoryIsReadAndNeverWritten(t *testing.T) {
	address, repository := server(t)
	user := gittest.New(t)
	user.Write("tracked.txt", "committed")
	user.Write("ignored-but-tracked.log", "kept")
	user.Write("deleted.txt", "x")
	user.Write("app/app.py", "1")
	user.Git("add", "--all")
	user.Git("commit", "--quiet", "--message=First things first")
	user.Write(".gitignore", "*.log\n/out\n")
	user.Write("staged.txt", "staged")
	user.Git("add", "staged.txt")
	user.Write("tracked.txt", "changed")
	user.Write("untracked.txt", "new")
	user.Write("noise.log", "no")
	user.Write("excluded.txt", "no")
	user.Write("out/made.bin", "no")
	user.Write(".git/info/exclude", "excluded.txt\n")
	if err := os.Remove(filepath.Join(user.Dir, "deleted.txt")); err != nil {
		t.Fatal(err)
	}
	before := fingerprint(t, filepath.Join(user.Dir, ".git"))
	push(t, request(t, user.Dir, address))
	expectFiles(t, repository, ".gitignore", "app/app.py", "ignored-but-tracked.log", "staged.txt", "tracked.txt", "untracked.txt")
	if got := on(t, repository, "show", "main:tracked.txt"); got != "changed" {
		t.Errorf("tracked.txt holds %q", got)
	}
	if subject := on(t, repository, "log", "-1", "--format=%s", "main"); !strings.Contains(subject, "First things first") {
		t.Errorf("the commit says %q", subject)
	}
	if diff := cmp.Diff(before, fingerprint(t, filepath.Join(user.Dir, ".git"))); diff != "" {
		t.Errorf("the user's repository changed: %s", diff)
	}

	t.Run("a folder within it is pushed by itself, under the rules above it", func(t *testing.T) {
		user.Write("app/debug.log", "no")
		push(t, request(t, filepath.Join(user.Dir, "app"), address))
		expectFiles(t, repository, "app.py")
	})
	t.Run("a folder that it ignores is pushed when asked for", func(t *testing.T) {
		push(t, request(t, filepath.Join(user.Dir, "out"), address))
		expectFiles(t, repository, "made.bin")
	})
}

func TestRepositoriesWithinTheFolderArePushedAsFiles(t *testing.T) {
	address, repository := server(t)
	user, library := gittest.New(t), gittest.New(t)
	library.Write("lib.py", "x")
	library.Git("add", "--all")
	library.Git("commit", "--quiet", "--message=lib")
	user.Write("main.py", "x")
	user.Git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", library.Dir, "vendor/lib")
	plain := filepath.Join(user.Dir, "plain")
	user.Git("init", "--quiet", plain)
	write(t, plain, "inner.txt", "x")
	push(t, request(t, user.Dir, address))
	expectFiles(t, repository, ".gitmodules", "main.py", "plain/inner.txt", "vendor/lib/lib.py")
}

func TestAHookOfTheUserNeverRuns(t *testing.T) {
	address, _ := server(t)
	user := gittest.New(t)
	user.Write("a", "1")
	mark := filepath.Join(t.TempDir(), "ran")
	for _, name := range []string{"pre-push", "pre-commit", "post-index-change", "fsmonitor-watchman"} {
		user.Write(".git/hooks/"+name, "#!/bin/sh\ntouch "+mark+"\n")
		if err := os.Chmod(filepath.Join(user.Dir, ".git/hooks", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	user.Git("config", "core.fsmonitor", ".git/hooks/fsmonitor-watchman")
	push(t, request(t, user.Dir, address))
	if _, err := os.Stat(mark); err == nil {
		t.Error("a hook ran")
	}
}

func TestAPushThatWasOvertakenIsTriedAgain(t *testing.T) {
	_, dir := server(t)
	inner := gitserver.New(gitserver.Config{Dir: filepath.Dir(dir), Keys: keys})
	var overtaken atomic.Bool
	address := ""
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isPush := strings.HasSuffix(r.URL.Path, "/git-receive-pack")
		if isPush && r.Header.Get("X-Other") == "" && overtaken.CompareAndSwap(false, true) {
			other := t.TempDir()
			write(t, other, "other", "was here first")
			if _, err := Push(t.Context(), Request{Dir: other, URL: address + "/git/app.git", Branch: "main", User: keys.ID, Password: keys.Secret}); err != nil {
				t.Error(err)
			}
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(listening.Close)
	address = listening.URL
	folder := t.TempDir()
	write(t, folder, "mine", "1")
	push(t, request(t, folder, address+"/git/app.git"))
	expectFiles(t, dir, "mine")
	if count := on(t, dir, "rev-list", "--count", "main"); count != "2" {
		t.Errorf("main has %s commits", count)
	}
}

func TestPushesOfOneFolderWaitForEachOther(t *testing.T) {
	address, repository := server(t)
	dir := t.TempDir()
	for i := range 50 {
		write(t, dir, fmt.Sprintf("f%02d", i), "x")
	}
	r := request(t, dir, address)
	var pushes sync.WaitGroup
	for range 4 {
		pushes.Go(func() {
			if _, err := Push(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
	pushes.Wait()
	if count := on(t, repository, "rev-list", "--count", "main"); count != "1" {
		t.Errorf("main has %s commits", count)
	}
}

func TestRefusalsAreNamed(t *testing.T) {
	address, _ := server(t)
	dir := t.TempDir()
	if _, err := Push(t.Context(), request(t, dir, address)); !errors.Is(err, ErrEmpty) {
		t.Errorf("an empty folder: %v", err)
	}
	write(t, dir, "a", "1")
	wrong := request(t, dir, address)
	wrong.Password = "wrong-password"
	_, err := Push(t.Context(), wrong)
	if !errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "wrong-password") {
		t.Errorf("a wrong key: %v", err)
	}
	nowhere := request(t, dir, "http://127.0.0.1:1/git/app.git")
	if _, err := Push(t.Context(), nowhere); err == nil || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("no server: %v", err)
	}
	huge, err := os.Create(filepath.Join(dir, "huge"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(huge.Truncate(maxBytes+1), huge.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Push(t.Context(), request(t, dir, address)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a huge folder: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Push(t.Context(), request(t, dir, address)); !errors.Is(err, ErrNoGit) {
		t.Errorf("no git: %v", err)
	}
}

// fingerprint is every file below dir with its size and time of change.
func fingerprint(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			files[path] = fmt.Sprint(info.Size(), info.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
