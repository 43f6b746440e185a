package git_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/gittest"
)

// newRepositories returns Repositories over a data directory of its own.
func newRepositories(t *testing.T, limits git.Limits) (*git.Repositories, string) {
	t.Helper()
	data := t.TempDir()
	t.Cleanup(func() {
		if leftovers, _ := filepath.Glob(filepath.Join(data, "sources", ".fetch-*")); len(leftovers) > 0 {
			t.Errorf("left behind: %v", leftovers)
		}
	})
	return git.New(git.Config{Data: data, Endpoint: source.NewEndpoint("127.0.0.1:8700"), Limits: limits}), data
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func code(url string) platform.CodeSource {
	return platform.CodeSource{RepositoryURL: url, Branch: "main", Directory: "/"}
}

// fetchMain resolves and fetches main of url and returns the folder and the log.
func fetchMain(t *testing.T, repositories *git.Repositories, url string) (dir, log string) {
	t.Helper()
	commit, err := repositories.ResolveCommit(deadline(t), code(url))
	if err != nil {
		t.Fatalf("resolve: %v %v", err, evidence(err))
	}
	dir = filepath.Join(t.TempDir(), "out")
	var lines bytes.Buffer
	if err := repositories.Fetch(deadline(t), code(url), commit, dir, &lines); err != nil {
		t.Fatalf("fetch: %v %v", err, evidence(err))
	}
	return dir, lines.String()
}

func evidence(err error) []string {
	if explained := platform.AsExplained(err); explained != nil {
		return explained.Evidence
	}
	return nil
}

// wantCause checks that err is explained with what to try, and that its text has all the parts.
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
			t.Errorf("it says %q\nwithout %q; evidence %q", explained, part, explained.Evidence)
		}
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", filepath.Base(path), diff)
	}
}

func TestABranchIsFetchedFromAPathAndAFileURL(t *testing.T) {
	work := gittest.New(t)
	work.Write("README.md", "old\n")
	work.Commit("Begin")
	work.Write("README.md", "hello\n")
	work.Write("bin/run", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(work.Dir, "bin/run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("bin/run", filepath.Join(work.Dir, "run")); err != nil {
		t.Fatal(err)
	}
	commit := work.Commit("Go on")
	bare := filepath.Join(t.TempDir(), "with a 'quoted' name.git")
	work.Git("clone", "--quiet", "--bare", work.Dir, bare)
	repositories, _ := newRepositories(t, git.Limits{})
	for _, url := range []string{work.Dir, "file://" + work.Dir, "file://localhost" + work.Dir, bare} {
		got, err := repositories.ResolveCommit(deadline(t), code(url))
		if err != nil || got != commit {
			t.Fatalf("resolve %s: %s, %v; want %s", url, got, err, commit)
		}
		dir, log := fetchMain(t, repositories, url)
		wantFile(t, filepath.Join(dir, "README.md"), "hello\n")
		wantFile(t, filepath.Join(dir, "run"), "#!/bin/sh\n")
		var modes []string
		for _, name := range []string{"README.md", "bin", "bin/run"} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			modes = append(modes, info.Mode().Perm().String())
		}
		if diff := cmp.Diff([]string{"-rw-r--r--", "-rwxr-xr-x", "-rwxr-xr-x"}, modes); diff != "" {
			t.Errorf("permissions (-want +got):\n%s", diff)
		}
		if _, err := os.Lstat(filepath.Join(dir, ".git")); !os.IsNotExist(err) {
			t.Errorf("a .git is there: %v", err)
		}
		if !strings.Contains(log, commit[:7]) || !strings.Contains(log, "Fetched 3 files") {
			t.Errorf("log: %s", log)
		}
	}
}

func TestAnOlderCommitOfTheBranchIsFetchedById(t *testing.T) {
	work := gittest.New(t)
	work.Write("file", "first")
	first := work.Commit("First")
	work.Write("file", "second")
	work.Commit("Second")
	repositories, _ := newRepositories(t, git.Limits{})
	dir := filepath.Join(t.TempDir(), "out")
	if err := repositories.Fetch(deadline(t), code(work.Dir), first, dir, nil); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(dir, "file"), "first")
}

func TestARepositoryOfSHA256ObjectsIsFetched(t *testing.T) {
	work := gittest.New(t)
	work.Dir = t.TempDir()
	work.Git("init", "--quiet", "--initial-branch=main", "--object-format=sha256")
	work.Write("file", "content")
	work.Commit("Begin")
	repositories, _ := newRepositories(t, git.Limits{})
	dir, _ := fetchMain(t, repositories, work.Dir)
	wantFile(t, filepath.Join(dir, "file"), "content")
}

func TestAMissingBranchIsExplainedWithTheOnesThereAre(t *testing.T) {
	work := gittest.New(t)
	repositories, _ := newRepositories(t, git.Limits{})
	_, err := repositories.ResolveCommit(deadline(t), code(work.Dir))
	wantCause(t, err, "is empty", "push branch main")

	work.Commit("Begin")
	for i := range 12 {
		work.Git("branch", fmt.Sprintf("feature/%02d", i))
	}
	work.Git("branch", "topic/refs/heads/mian")
	wrong := code(work.Dir)
	wrong.Branch = "mian"
	_, err = repositories.ResolveCommit(deadline(t), wrong)
	wantCause(t, err, "has no branch mian", "there are main, feature/00", "and 4 more")
}

func TestWhatCannotBeABranchIsRefused(t *testing.T) {
	repositories, _ := newRepositories(t, git.Limits{})
	for _, branch := range []string{"", "-x", "a b", "a..b", "*", "a/*", "x.lock", "a//b", "/a", "a/", "@", "a@{1}", "a\\b", "a\x00b", "a:b", ".a", strings.Repeat("a", 300)} {
		source := code("/nowhere")
		source.Branch = branch
		_, err := repositories.ResolveCommit(deadline(t), source)
		wantCause(t, err, "cannot be the name of a branch")
	}
}

func TestURLsThatNameNoRepositoryAreExplained(t *testing.T) {
	repositories, data := newRepositories(t, git.Limits{})
	empty := t.TempDir()
	for url, want := range map[string]string{
		"github.com/owner/app":              "has no scheme",
		"app":                               "has no scheme",
		"../app":                            "has no scheme",
		"":                                  "has no scheme",
		"git://example.org/app":             "cannot be fetched by git",
		"ext::sh -c touch% /tmp/x":          "has no scheme",
		"ftp://example.org/app":             "cannot be fetched by ftp",
		"https:///app":                      "names no server",
		"ssh://-oProxyCommand=x/app":        "names no server",
		"ssh://git@example.org":             "names no repository",
		"file://example.org/app":            "file:///PATH",
		"http://user:pa ss%zz@example.org/": "not a valid URL",
		"https://example.org/\n":            "control characters",
		"/does/not/exist":                   "no repository at /does/not/exist",
		empty:                               "no Git repository at " + empty,
		"http://127.0.0.1:8700/git/app.git": "apron's Git server has no repository app yet",
		"http://localhost:8700/git/a/b":     "names no repository of apron's Git server",
	} {
		_, err := repositories.ResolveCommit(deadline(t), code(url))
		wantCause(t, err, want)
		if err != nil && strings.Contains(err.Error(), "pa ss") {
			t.Errorf("the password was shown: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(data, "ssh", "known_hosts")); !os.IsNotExist(err) {
		t.Errorf("known_hosts: %v", err)
	}
}

func TestTheExtTransportNeverRuns(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	repositories, _ := newRepositories(t, git.Limits{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, url := range []string{"ext::touch " + ran, "fd::7", "--upload-pack=touch " + ran, "-u" + ran + ":x"} {
		if _, err := repositories.ResolveCommit(ctx, code(url)); err == nil {
			t.Errorf("%s was resolved", url)
		}
	}
	if _, err := os.Stat(ran); !os.IsNotExist(err) {
		t.Errorf("a command ran: %v", err)
	}
}

func TestARepositoryOverTheLimitIsStoppedEarly(t *testing.T) {
	work := gittest.New(t)
	noise := make([]byte, 12<<20)
	rand.Read(noise)
	work.Write("noise.bin", string(noise))
	work.Commit("Add noise")
	repositories, _ := newRepositories(t, git.Limits{Bytes: 2 << 20})
	commit, err := repositories.ResolveCommit(deadline(t), code(work.Dir))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err = repositories.Fetch(deadline(t), code(work.Dir), commit, dir, nil)
	wantCause(t, err, "larger than 2 MiB")
	wantEmpty(t, dir)
}

func TestARepositoryThatIsSmallOnlyPackedIsRefusedBeforeItIsUnpacked(t *testing.T) {
	work := gittest.New(t)
	work.Write("zeros", strings.Repeat("\x00", 8<<20))
	work.Commit("Add zeros")
	repositories, _ := newRepositories(t, git.Limits{Bytes: 1 << 20})
	dir := t.TempDir()
	err := repositories.Fetch(deadline(t), code(work.Dir), work.Git("rev-parse", "HEAD"), dir, nil)
	wantCause(t, err, "larger than 1 MiB")
	wantEmpty(t, dir)
}

func TestTooManyFilesAreRefused(t *testing.T) {
	work := gittest.New(t)
	for i := range 30 {
		work.Write(fmt.Sprintf("file%d", i), "x")
	}
	commit := work.Commit("Add files")
	repositories, _ := newRepositories(t, git.Limits{Files: 20})
	dir := t.TempDir()
	err := repositories.Fetch(deadline(t), code(work.Dir), commit, dir, nil)
	wantCause(t, err, "more than 20 files")
	wantEmpty(t, dir)
}

func TestLinksThatLeadOutOfTheRepositoryAreRefused(t *testing.T) {
	for name, links := range map[string]map[string]string{
		"absolute":          {"link": "/etc/passwd"},
		"above":             {"a/link": "../../etc"},
		"by another link":   {"a/up": "..", "escape": "a/up/../secret"},
		"through two links": {"a/b/c": "../..", "d": "a/b/c/.."},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := fetchLinks(t, links, dir)
			wantCause(t, err, "the symbolic link", "outside of the repository")
			wantEmpty(t, dir)
		})
	}
}

func TestLinksThatStayInsideAreKept(t *testing.T) {
	links := map[string]string{"a/b/root": "../..", "dangling": "not/there", "loop": "loop", "self": ".", "a/deep": "b/root/a/b"}
	dir := t.TempDir()
	if err := fetchLinks(t, links, dir); err != nil {
		t.Fatal(err)
	}
	for path, want := range links {
		if got, err := os.Readlink(filepath.Join(dir, path)); err != nil || got != want {
			t.Errorf("%s -> %q, %v; want %q", path, got, err, want)
		}
	}
}

func fetchLinks(t *testing.T, links map[string]string, dir string) error {
	t.Helper()
	work := gittest.New(t)
	for path, target := range links {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(work.Dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(work.Dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	commit := work.Commit("Link")
	repositories, _ := newRepositories(t, git.Limits{})
	return repositories.Fetch(deadline(t), code(work.Dir), commit, dir, nil)
}

func TestPointersOfLFSAreNamedInTheLog(t *testing.T) {
	work := gittest.New(t)
	work.Write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
	work.Write("model.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:"+strings.Repeat("0", 64)+"\nsize 123456\n")
	work.Commit("Begin")
	repositories, _ := newRepositories(t, git.Limits{})
	_, log := fetchMain(t, repositories, work.Dir)
	if !strings.Contains(log, "Git LFS are not fetched, only their pointers are there: model.bin. Keep") {
		t.Errorf("no word about the pointer:\n%s", log)
	}
}

func TestFiltersAndHooksNamedByARepositoryNeverRun(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	work := gittest.New(t)
	work.Write(".gitattributes", "* filter=evil\n")
	work.Write("file", "content")
	work.Commit("Begin")
	work.Git("config", "filter.evil.smudge", "touch "+ran)
	work.Git("config", "uploadpack.packObjectsHook", "touch "+ran)
	work.Git("config", "core.fsmonitor", "touch "+ran)
	repositories, _ := newRepositories(t, git.Limits{})
	dir, _ := fetchMain(t, repositories, work.Dir)
	wantFile(t, filepath.Join(dir, "file"), "content")
	if _, err := os.Stat(ran); !os.IsNotExist(err) {
		t.Errorf("a command of the repository ran: %v", err)
	}
}

func TestARepositoryOfAnotherUserIsRead(t *testing.T) {
	work := gittest.New(t)
	work.Write("file", "content")
	work.Commit("Begin")
	err := filepath.Walk(work.Dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, 12345, 12345)
	})
	if err != nil {
		t.Fatalf("these tests run as root: %v", err)
	}
	repositories, _ := newRepositories(t, git.Limits{})
	dir, _ := fetchMain(t, repositories, work.Dir)
	wantFile(t, filepath.Join(dir, "file"), "content")
}

func TestFetchingIntoAFolderThatIsNotEmptyIsRefused(t *testing.T) {
	work := gittest.New(t)
	commit := work.Commit("Begin")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	repositories, _ := newRepositories(t, git.Limits{})
	if err := repositories.Fetch(deadline(t), code(work.Dir), commit, dir, nil); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("fetched: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "mine")); err != nil {
		t.Errorf("the file that was there is gone: %v", err)
	}
}

func TestWhatACrashLeftIsCleanedUp(t *testing.T) {
	repositories, data := newRepositories(t, git.Limits{})
	if err := os.MkdirAll(filepath.Join(data, "sources", ".fetch-123", "repository.git"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := repositories.CleanUp(); err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, filepath.Join(data, "sources"))
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("%s is not empty: %v, %v", dir, entries, err)
	}
}
