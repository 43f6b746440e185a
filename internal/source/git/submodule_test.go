package git_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/gitserver"
	"github.com/apron-run/apron/internal/source/gittest"
)

// forest is a folder of bare repositories that a server gives out.
type forest struct {
	dir string
}

// module is a submodule as .gitmodules and the tree have it. Without a URL .gitmodules does not name it.
type module struct{ path, url, commit, more string }

// plant makes a repository with one file, its name, and submodules, and returns its commit.
func (f forest) plant(t *testing.T, name string, modules ...module) (commit string) {
	t.Helper()
	work := gittest.New(t)
	work.Write(name, "content of "+name)
	settings := ""
	for i, module := range modules {
		if module.url != "" {
			settings += fmt.Sprintf("[submodule \"%d\"]\n\tpath = %s\n\turl = %s\n%s", i, module.path, module.url, module.more)
		}
	}
	if settings != "" {
		work.Write(".gitmodules", settings)
	}
	work.Git("add", "--all")
	for _, module := range modules {
		work.Git("update-index", "--add", "--cacheinfo", "160000,"+module.commit+","+module.path)
	}
	work.Git("commit", "--quiet", "-m", "Begin")
	work.Git("clone", "--quiet", "--bare", work.Dir, filepath.Join(f.dir, name+".git"))
	return work.Git("rev-parse", "HEAD")
}

// serve gives the forest to those with the key pair.
func (f forest) serve(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(gitserver.New(gitserver.Config{Dir: f.dir, Keys: keys}))
	t.Cleanup(server.Close)
	return server
}

const someCommit = "0123456789012345678901234567890123456789"

func TestSubmodulesAreFetchedWithTheCredentialsOfTheirHost(t *testing.T) {
	f := forest{t.TempDir()}
	server := f.serve(t)
	inner := f.plant(t, "inner")
	library := f.plant(t, "library", module{path: "deep/inner", url: server.URL + "/git/inner.git", commit: inner})
	f.plant(t, "app",
		module{path: "vendor/library", url: "../library.git", commit: library, more: "\tupdate = !touch /tmp/apron-ran\n\tbranch = other\n"},
		module{path: "docs", url: "../docs.git", commit: someCommit, more: "\tupdate = none\n"},
		module{path: "forgotten", commit: someCommit})
	repositories, data := newRepositories(t, git.Limits{})
	if err := os.WriteFile(filepath.Join(data, "git-credentials"),
		[]byte(strings.Replace(server.URL, "http://", "http://"+keys.ID+":"+"s3cr+t%2Fslash"+"@", 1)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, as := range map[string]*git.Repositories{"a connection": repositories.As(tokenFor(server, keys.Secret)), "the administrator's": repositories} {
		dir, log := fetchMain(t, as, server.URL+"/git/app.git")
		for path, want := range map[string]string{"app": "app", "vendor/library/library": "library", "vendor/library/deep/inner/inner": "inner"} {
			wantFile(t, filepath.Join(dir, path), "content of "+want)
		}
		for _, want := range []string{"submodule vendor/library/deep/inner from " + server.URL, "folders stay empty: docs, forgotten"} {
			if !strings.Contains(log, want) {
				t.Errorf("%s: the log does not say %q:\n%s", name, want, log)
			}
		}
		if entries, err := os.ReadDir(filepath.Join(dir, "docs")); err != nil || len(entries) != 0 {
			t.Errorf("the folder of what is not fetched: %v, %v", entries, err)
		}
	}
	if _, err := os.Stat("/tmp/apron-ran"); !os.IsNotExist(err) {
		t.Errorf("a command of .gitmodules ran: %v", err)
	}
}

func TestASubmoduleElsewhereGetsNoCredentials(t *testing.T) {
	var mu sync.Mutex
	asked, stolen := 0, []string{}
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		if header := r.Header.Get("Authorization") + r.Header.Get("X-Secret"); header != "" {
			stolen = append(stolen, header)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="thief"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(thief.Close)
	f := forest{t.TempDir()}
	server := f.serve(t)
	f.plant(t, "app", module{path: "theirs", url: thief.URL + "/theirs.git", commit: someCommit})
	repositories, data := newRepositories(t, git.Limits{})
	for name, content := range map[string]string{
		"git-credentials": strings.Replace(thief.URL, "http://", "http://ada:adm1ns@", 1) + "\n",
		"gitconfig":       "[http]\n\textraHeader = \"X-Secret: adm1ns\"\n[credential]\n\thelper = \"!f() { echo username=ada; echo password=adm1ns; }; f\"\n",
	} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	withPassword := strings.Replace(server.URL, "http://", "http://"+keys.ID+":s3cr+t%2Fslash@", 1)
	for base, as := range map[string]*git.Repositories{server.URL: repositories.As(tokenFor(server, keys.Secret)), withPassword: repositories} {
		commit, err := as.ResolveCommit(deadline(t), code(base+"/git/app.git"))
		if err != nil {
			t.Fatal(err)
		}
		err = as.Fetch(deadline(t), code(base+"/git/app.git"), commit, filepath.Join(t.TempDir(), "out"), nil)
		wantCause(t, err, "the submodule theirs: 127.0.0.1 asks for credentials", "own host", "update = none")
	}
	if asked == 0 || len(stolen) > 0 {
		t.Errorf("the other host was asked %d times, and got %q", asked, stolen)
	}
}

func TestASubmoduleMayNotNameThisMachine(t *testing.T) {
	f := forest{t.TempDir()}
	server := f.serve(t)
	secret := gittest.New(t)
	secret.Write("secret", "of the machine")
	commit := secret.Commit("Begin")
	data := t.TempDir()
	if output, err := exec.Command("git", "clone", "--quiet", "--bare", secret.Dir, filepath.Join(data, "git", "private.git")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	repositories := git.New(git.Config{
		Data: data, Endpoint: source.NewEndpoint("127.0.0.1:8700"),
		IsClosed: func(address netip.Addr) bool { return address.IsLoopback() || address.IsLinkLocalUnicast() },
	}).As(tokenFor(server, keys.Secret))
	for i, test := range []struct{ url, want string }{
		{secret.Dir, "may not name that"},
		{"file://" + secret.Dir, "may not name that"},
		{"http://127.0.0.1:8700/git/private.git", "may not name that"},
		{"../../../../../" + secret.Dir, "leads beyond the parent's host"},
		{"ext::sh -c touch% /tmp/apron-ran", "has no scheme"},
		{"--upload-pack=touch /tmp/apron-ran", "has no scheme"},
		{"ssh://-oProxyCommand=touch/x", "names no server"},
		{"git://example.com/x.git", "cannot be fetched by git"},
		{"http://127.0.0.1:1/x.git", "leads to this machine"},
		{"http://localhost:1/x.git", "leads to this machine"},
		{"http://169.254.169.254/x.git", "leads to this machine"},
		{"git@127.0.0.1:x.git", "leads to this machine"},
	} {
		name := fmt.Sprintf("app%d", i)
		head := f.plant(t, name, module{path: "theirs", url: test.url, commit: commit})
		dir := filepath.Join(t.TempDir(), "out")
		err := repositories.Fetch(deadline(t), code(server.URL+"/git/"+name+".git"), head, dir, nil)
		wantCause(t, err, "the submodule theirs: ", test.want)
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("%s: the folder holds %v", test.url, entries)
		}
	}
}

func TestSubmodulesAreBoundedAsTheRepositoryIs(t *testing.T) {
	f := forest{t.TempDir()}
	server := f.serve(t)
	commit := f.plant(t, "leaf")
	for i := range 7 {
		below := "leaf"
		if i > 0 {
			below = fmt.Sprintf("chain%d", i-1)
		}
		commit = f.plant(t, fmt.Sprintf("chain%d", i), module{path: "below", url: "../" + below + ".git", commit: commit})
	}
	many := make([]module, 5)
	leaf := strings.TrimSpace(gitOutput(t, filepath.Join(f.dir, "leaf.git"), "rev-parse", "HEAD"))
	for i := range many {
		many[i] = module{path: fmt.Sprintf("m%d", i), url: "../leaf.git", commit: leaf}
	}
	wide := f.plant(t, "wide", many...)
	repositories, _ := newRepositories(t, git.Limits{Files: 4})
	as := repositories.As(tokenFor(server, keys.Secret))
	err := as.Fetch(deadline(t), code(server.URL+"/git/wide.git"), wide, filepath.Join(t.TempDir(), "out"), nil)
	wantCause(t, err, "more than 4 files")
	repositories, _ = newRepositories(t, git.Limits{})
	as = repositories.As(tokenFor(server, keys.Secret))
	err = as.Fetch(deadline(t), code(server.URL+"/git/chain6.git"), commit, filepath.Join(t.TempDir(), "out"), nil)
	wantCause(t, err, "nested more than 5 deep")
	gone := f.plant(t, "gone", module{path: "m", url: "../leaf.git", commit: someCommit})
	err = as.Fetch(deadline(t), code(server.URL+"/git/gone.git"), gone, filepath.Join(t.TempDir(), "out"), nil)
	wantCause(t, err, "the submodule m: commit 0123456 is in no branch of")
}

// A link that stays inside by its text leaves the repository when the submodule's own link moves what ".." is relative to.
func TestLinksOfSubmodulesAreFollowedInTheWhole(t *testing.T) {
	f := forest{t.TempDir()}
	server := f.serve(t)
	library := gittest.New(t)
	library.Write("a/b/file", "content")
	if err := os.Symlink("../..", filepath.Join(library.Dir, "a/b/up")); err != nil {
		t.Fatal(err)
	}
	commit := library.Commit("Begin")
	library.Git("clone", "--quiet", "--bare", library.Dir, filepath.Join(f.dir, "library.git"))
	for target, isInside := range map[string]bool{"lib/a/b/up/..": true, "lib/a/b/up/../..": false} {
		work := gittest.New(t)
		if err := os.Symlink(target, filepath.Join(work.Dir, "link")); err != nil {
			t.Fatal(err)
		}
		work.Write(".gitmodules", "[submodule \"l\"]\n\tpath = lib\n\turl = ../library.git\n")
		work.Git("add", "--all")
		work.Git("update-index", "--add", "--cacheinfo", "160000,"+commit+",lib")
		work.Git("commit", "--quiet", "-m", "Begin")
		name := fmt.Sprintf("app-%t", isInside)
		work.Git("clone", "--quiet", "--bare", work.Dir, filepath.Join(f.dir, name+".git"))
		repositories, _ := newRepositories(t, git.Limits{})
		err := repositories.As(tokenFor(server, keys.Secret)).Fetch(deadline(t), code(server.URL+"/git/"+name+".git"),
			work.Git("rev-parse", "HEAD"), filepath.Join(t.TempDir(), "out"), nil)
		if isInside && err != nil {
			t.Errorf("%s: %v", target, err)
		}
		if !isInside {
			wantCause(t, err, "the symbolic link link points to lib/a/b/up/../.., outside")
		}
	}
}

// Trees that git itself would never write: what they name must not become a repository's own folder.
func TestATreeThatHidesARepositoryIsRefused(t *testing.T) {
	for _, name := range []string{".git", ".Git", "git~1", "..", ".", "a/../../b"} {
		work := gittest.New(t)
		work.Write("hook", "#!/bin/sh\ntouch /tmp/apron-ran\n")
		work.Commit("Begin")
		blob := strings.Fields(work.Git("ls-tree", "HEAD", "hook"))[2]
		var raw bytes.Buffer
		fmt.Fprintf(&raw, "100755 %s\x00", name)
		for i := 0; i < len(blob); i += 2 {
			var b byte
			fmt.Sscanf(blob[i:i+2], "%02x", &b)
			raw.WriteByte(b)
		}
		hash := exec.Command("git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin")
		hash.Dir, hash.Stdin, hash.Env = work.Dir, &raw, gittest.Environment()
		tree, err := hash.Output()
		if err != nil {
			t.Fatal(err)
		}
		commit := work.Git("commit-tree", "-m", "Evil", strings.TrimSpace(string(tree)))
		work.Git("update-ref", "refs/heads/main", commit)
		repositories, _ := newRepositories(t, git.Limits{})
		dir := filepath.Join(t.TempDir(), "out")
		err = repositories.Fetch(deadline(t), code(work.Dir), commit, dir, nil)
		if err == nil {
			t.Errorf("a file named %q was checked out", name)
		}
		if entries, _ := os.ReadDir(filepath.Dir(dir)); len(entries) > 1 {
			t.Errorf("%q: beside the folder there is %v", name, entries)
		}
	}
}

func gitOutput(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.Command("git", args...)
	command.Dir, command.Env = dir, gittest.Environment()
	output, err := command.Output()
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return string(output)
}
