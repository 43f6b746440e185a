package gitserver_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/gitserver"
	"github.com/apron-run/apron/internal/source/gittest"
)

var keys = source.KeyPair{ID: "AKIDEXAMPLE", Secret: "s3cr+t/slash"}

// pushes collects what OnPush was told.
type pushes struct {
	mu   sync.Mutex // guards list
	list []gitserver.Push
}

func (p *pushes) add(_ context.Context, push gitserver.Push) func(context.Context, io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, push)
	return nil
}

func (p *pushes) take() []gitserver.Push {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.list
	p.list = nil
	return list
}

// serve starts a server and returns its address with the key pair in it.
func serve(t *testing.T, edit func(*gitserver.Config)) (base string, config gitserver.Config, seen *pushes) {
	t.Helper()
	seen = &pushes{}
	config = gitserver.Config{Dir: filepath.Join(t.TempDir(), "git"), Keys: keys, OnPush: seen.add}
	if edit != nil {
		edit(&config)
	}
	mux := http.NewServeMux()
	mux.Handle("/git/", gitserver.New(config))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	address, _ := url.Parse(server.URL)
	address.User = url.UserPassword(keys.ID, keys.Secret)
	return address.String() + "/git/", config, seen
}

func TestTheFirstPushMakesARepositoryThatCanBeCloned(t *testing.T) {
	base, _, seen := serve(t, nil)
	work := gittest.New(t)
	work.Write("main.py", "print('hello')\n")
	commit := work.Commit("Begin")
	output, err := work.Try("push", "--progress", base+"app.git", "main")
	if err != nil {
		t.Fatalf("push: %v\n%s", err, output)
	}
	if !strings.Contains(output, "new branch") || !strings.Contains(output, "Writing objects: 100%") {
		t.Errorf("the push showed no progress:\n%s", output)
	}
	if diff := cmp.Diff([]gitserver.Push{{Repository: "app", Branch: "main", Commit: commit}}, seen.take()); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
	for _, address := range []string{base + "app.git", base + "app"} {
		clone := filepath.Join(t.TempDir(), "clone")
		work.Git("clone", "--quiet", "--depth=1", address, clone)
		content, err := os.ReadFile(filepath.Join(clone, "main.py"))
		if err != nil || string(content) != "print('hello')\n" {
			t.Errorf("clone of %s: %q, %v", address, content, err)
		}
	}
}

// A client that deploys by itself what it pushes says so, and a push without news is none.
func TestAPushNamesTheServiceThatNeedsNoDeployment(t *testing.T) {
	base, _, seen := serve(t, nil)
	work := gittest.New(t)
	commit := work.Commit("Begin")
	for _, want := range [][]gitserver.Push{{{Repository: "app", Branch: "main", Commit: commit, Except: "shop"}}, nil} {
		work.Git("-c", "http.extraHeader="+gitserver.ExceptHeader+": shop", "push", "--quiet", base+"app.git", "main")
		if diff := cmp.Diff(want, seen.take()); diff != "" {
			t.Errorf("announced (-want +got):\n%s", diff)
		}
	}
}

// A crash between a push and its announcement does not keep the push a secret.
func TestAPushThatWasNotAnnouncedIsAnnouncedAtTheNextStart(t *testing.T) {
	seen, left := &pushes{}, t.TempDir()
	base, config, _ := serve(t, func(config *gitserver.Config) {
		config.OnPush = func(context.Context, gitserver.Push) func(context.Context, io.Writer) { // a crash would leave what there is now
			_ = os.CopyFS(left, os.DirFS(filepath.Join(config.Dir, ".pushes")))
			return nil
		}
	})
	work := gittest.New(t)
	work.Commit("Begin")
	work.Git("push", "--quiet", base+"app.git", "main:side")
	if err := os.RemoveAll(left); err != nil {
		t.Fatal(err)
	}
	commit := work.Commit("Go on")
	work.Git("push", "--quiet", base+"app.git", "main")
	config.OnPush = seen.add
	recover := func() []gitserver.Push {
		t.Helper()
		if err := gitserver.New(config).Recover(t.Context()); err != nil {
			t.Error(err)
		}
		return seen.take()
	}
	if got := recover(); len(got) != 0 {
		t.Errorf("announced without a crash: %+v", got)
	}
	if err := os.CopyFS(filepath.Join(config.Dir, ".pushes"), os.DirFS(left)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]gitserver.Push{{Repository: "app", Branch: "main", Commit: commit}}, recover()); diff != "" {
		t.Errorf("announced after a crash (-want +got):\n%s", diff)
	}
	if got := recover(); len(got) != 0 {
		t.Errorf("announced again: %+v", got)
	}
}

func TestFetchesWorkInEveryVersionOfTheProtocol(t *testing.T) {
	base, _, _ := serve(t, nil)
	work := gittest.New(t)
	commit := work.Commit("Begin")
	work.Git("push", "--quiet", base+"app.git", "main")
	for _, version := range []string{"0", "1", "2"} {
		if got := work.Git("-c", "protocol.version="+version, "ls-remote", base+"app.git", "refs/heads/main"); !strings.HasPrefix(got, commit) {
			t.Errorf("version %s: ls-remote said %q, want %s", version, got, commit)
		}
		clone := filepath.Join(t.TempDir(), "clone")
		work.Git("-c", "protocol.version="+version, "clone", "--quiet", base+"app.git", clone)
	}
}

func TestHeadFollowsTheFirstBranchPushed(t *testing.T) {
	base, _, _ := serve(t, nil)
	for _, branch := range []string{"main", "master", "trunk"} {
		work := gittest.New(t)
		work.Git("checkout", "--quiet", "-b", branch+"-work")
		work.Commit("Begin")
		work.Git("push", "--quiet", base+branch+".git", "HEAD:refs/heads/"+branch)
		if got := work.Git("ls-remote", "--symref", base+branch+".git", "HEAD"); !strings.Contains(got, "ref: refs/heads/"+branch+"\tHEAD") {
			t.Errorf("HEAD after a push of %s: %q", branch, got)
		}
	}
}

func TestABranchCanBeRewrittenAndOtherBranchesDeleted(t *testing.T) {
	base, _, seen := serve(t, nil)
	work := gittest.New(t)
	work.Commit("Begin")
	work.Git("push", "--quiet", base+"app.git", "main", "main:side")
	seen.take()
	work.Git("commit", "--quiet", "--amend", "--allow-empty", "-m", "Begin again")
	commit := work.Git("rev-parse", "HEAD")
	work.Git("push", "--quiet", "--force", base+"app.git", "main", ":side")
	want := []gitserver.Push{{Repository: "app", Branch: "main", Commit: commit, IsForced: true}, {Repository: "app", Branch: "side"}}
	if diff := cmp.Diff(want, seen.take()); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
	if output, err := work.Try("push", base+"app.git", ":main"); err == nil || !strings.Contains(output, "deletion of the current branch prohibited") {
		t.Errorf("deleting the branch of HEAD: %v\n%s", err, output)
	}
	work.Git("push", "--quiet", base+"app.git", "main")
	if got := seen.take(); len(got) != 0 {
		t.Errorf("a push of nothing was announced: %v", got)
	}
}

func TestAPushLargerThanGitsBufferArrivesChunked(t *testing.T) {
	base, _, _ := serve(t, nil)
	work := gittest.New(t)
	noise := make([]byte, 3<<20)
	rand.Read(noise)
	work.Write("noise.bin", string(noise))
	work.Commit("Add noise")
	work.Git("-c", "http.postBuffer=65536", "push", "--quiet", base+"app.git", "main")
	clone := filepath.Join(t.TempDir(), "clone")
	work.Git("clone", "--quiet", base+"app.git", clone)
	content, err := os.ReadFile(filepath.Join(clone, "noise.bin"))
	if err != nil || string(content) != string(noise) {
		t.Errorf("the file came back changed (%d bytes, %v)", len(content), err)
	}
}

func TestManyRefsMakeGitSendItsQuestionPacked(t *testing.T) {
	base, _, _ := serve(t, nil)
	work := gittest.New(t)
	work.Commit("Begin")
	work.Git("push", "--quiet", base+"app.git", "main")
	clone := filepath.Join(t.TempDir(), "clone")
	work.Git("clone", "--quiet", base+"app.git", clone)
	// A fetch with many commits of its own to tell about is larger than 1 KiB, from where on git packs the body.
	other := &gittest.Repository{}
	*other = *work
	other.Dir = clone
	for range 60 {
		other.Commit("Something local")
	}
	work.Write("new", "new")
	commit := work.Commit("Something remote")
	work.Git("push", "--quiet", base+"app.git", "main")
	other.Git("-c", "protocol.version=0", "fetch", "--quiet", "origin")
	if got := other.Git("rev-parse", "origin/main"); got != commit {
		t.Errorf("fetched %s, want %s", got, commit)
	}
}

func TestAShallowCloneCanBePushed(t *testing.T) {
	base, _, seen := serve(t, nil)
	work := gittest.New(t)
	for range 3 {
		work.Commit("One of several")
	}
	clone := filepath.Join(t.TempDir(), "clone")
	work.Git("clone", "--quiet", "--depth=1", "file://"+work.Dir, clone)
	shallow := *work
	shallow.Dir = clone
	shallow.Git("push", "--quiet", base+"app.git", "main")
	if got := seen.take(); len(got) != 1 {
		t.Fatalf("announced %v, want one push", got)
	}
	again := filepath.Join(t.TempDir(), "again")
	work.Git("clone", "--quiet", "--depth=1", base+"app.git", again)
}

func TestConcurrentPushesToOneRepositoryAllArrive(t *testing.T) {
	base, _, seen := serve(t, nil)
	work := gittest.New(t)
	work.Commit("Begin")
	branches := []string{"a", "b", "c", "d", "e", "f"}
	var group sync.WaitGroup
	for _, branch := range branches {
		group.Go(func() {
			if output, err := work.Try("push", "--quiet", base+"app.git", "main:"+branch); err != nil {
				t.Errorf("push of %s: %v\n%s", branch, err, output)
			}
		})
	}
	group.Wait()
	if got := len(seen.take()); got != len(branches) {
		t.Errorf("%d pushes announced, want %d", got, len(branches))
	}
}

func TestManyPushesAreTidiedUp(t *testing.T) {
	base, config, _ := serve(t, nil)
	work := gittest.New(t)
	for range 25 {
		work.Commit("One of many")
		work.Git("push", "--quiet", base+"app.git", "main")
	}
	packs, err := filepath.Glob(filepath.Join(config.Dir, "app.git/objects/pack/*.pack"))
	if err != nil || len(packs) == 0 || len(packs) > 21 {
		t.Errorf("%d packs, %v", len(packs), err)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	work.Git("clone", "--quiet", base+"app.git", clone)
}

func TestWithoutTheKeyPairNothingIsAnsweredOrMade(t *testing.T) {
	base, config, _ := serve(t, nil)
	work := gittest.New(t)
	work.Commit("Begin")
	address, _ := url.Parse(base)
	for _, user := range []*url.Userinfo{
		nil, url.User(keys.ID), url.UserPassword(keys.ID, "wrong"), url.UserPassword("wrong", keys.Secret), url.UserPassword("", ""),
	} {
		address.User = user
		output, err := work.Try("push", address.String()+"app.git", "main")
		if err == nil {
			t.Errorf("%v could push:\n%s", user, output)
		}
		if strings.Contains(output, keys.Secret) {
			t.Errorf("the secret was shown:\n%s", output)
		}
	}
	if _, err := os.Stat(config.Dir); !os.IsNotExist(err) {
		t.Errorf("the folder of repositories was made for nobody: %v", err)
	}
}

func TestAKeyPairThatIsNotSetAllowsNobody(t *testing.T) {
	base, _, _ := serve(t, func(config *gitserver.Config) { config.Keys = source.KeyPair{} })
	address, _ := url.Parse(base)
	request, _ := http.NewRequest(http.MethodGet, "http://"+address.Host+"/git/app.git/info/refs?service=git-receive-pack", nil)
	request.SetBasicAuth("", "")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", response.StatusCode)
	}
}

func TestARepositoryCanBeRemovedAndPushedAnew(t *testing.T) {
	base, config, _ := serve(t, nil)
	work := gittest.New(t)
	work.Commit("Begin")
	remove := func(address string, want int) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("DELETE %s: %d, want %d", request.URL.Path, response.StatusCode, want)
		}
	}
	for range 2 {
		work.Git("push", "--quiet", base+"app.git", "main")
		work.Git("push", "--quiet", base+"other.git", "main")
		cutShort := filepath.Join(config.Dir, ".gone-app", "objects")
		if err := os.MkdirAll(cutShort, 0o700); err != nil {
			t.Fatal(err)
		}
		remove(base+"app.git", http.StatusNoContent)
		remove(base+"app.git", http.StatusNotFound)
		left, err := filepath.Glob(filepath.Join(config.Dir, "*app*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left: %v (%v)", left, err)
		}
	}
	address, _ := url.Parse(base + "other.git")
	address.User = nil
	remove(address.String(), http.StatusUnauthorized)
	work.Git("clone", "--quiet", base+"other.git", filepath.Join(t.TempDir(), "clone"))
}

func TestAPushOverTheLimitIsRefusedWhole(t *testing.T) {
	base, config, seen := serve(t, func(config *gitserver.Config) { config.MaxPushBytes = 64 << 10 })
	work := gittest.New(t)
	noise := make([]byte, 2<<20)
	rand.Read(noise)
	work.Write("noise.bin", string(noise))
	work.Commit("Add noise")
	if output, err := work.Try("push", base+"app.git", "main"); err == nil {
		t.Fatalf("the push was taken:\n%s", output)
	}
	if got := seen.take(); len(got) != 0 {
		t.Errorf("announced %v", got)
	}
	if size := sizeOf(t, filepath.Join(config.Dir, "app.git", "objects")); size > 64<<10 {
		t.Errorf("the refused push left %d bytes", size)
	}
}

func TestAPushIsRefusedWithItsReasonWhereThereIsNoRoom(t *testing.T) {
	var isFull atomic.Bool
	base, _, _ := serve(t, func(c *gitserver.Config) {
		c.Room = func() error {
			if isFull.Load() {
				return errors.New("the disk is 96 % full")
			}
			return nil
		}
	})
	work := gittest.New(t)
	work.Commit("Begin")
	work.Git("push", "--quiet", base+"app.git", "main")
	isFull.Store(true)
	work.Commit("Go on")
	if output, err := work.Try("push", base+"app.git", "main"); err == nil || !strings.Contains(output, "the disk is 96 % full") {
		t.Errorf("the push: %v\n%s", err, output)
	}
	work.Git("clone", "--quiet", base+"app.git", filepath.Join(t.TempDir(), "clone"))
}

func TestBrokenObjectsAreRefused(t *testing.T) {
	base, _, _ := serve(t, nil)
	work := gittest.New(t)
	work.Commit("Begin")
	tree := work.Git("rev-parse", "HEAD^{tree}")
	work.Write("bad", "tree "+tree+"\nauthor no date\ncommitter no date\n\nbad\n")
	bad := work.Git("hash-object", "-t", "commit", "-w", "--literally", "bad")
	output, err := work.Try("push", base+"app.git", bad+":refs/heads/main")
	if err == nil || !strings.Contains(output, "fsck error") {
		t.Errorf("a broken commit: %v\n%s", err, output)
	}
}

func TestHooksInARepositoryNeverRun(t *testing.T) {
	base, config, _ := serve(t, nil)
	work := gittest.New(t)
	work.Commit("Begin")
	work.Git("push", "--quiet", base+"app.git", "main")
	ran := filepath.Join(t.TempDir(), "ran")
	hooks := filepath.Join(config.Dir, "app.git", "hooks")
	if err := os.MkdirAll(hooks, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, hook := range []string{"pre-receive", "update", "post-receive", "post-update"} {
		if err := os.WriteFile(filepath.Join(hooks, hook), []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	work.Commit("More")
	work.Git("push", "--quiet", base+"app.git", "main")
	if _, err := os.Stat(ran); !os.IsNotExist(err) {
		t.Errorf("a hook ran: %v", err)
	}
}

func TestRequestsForNothingKnownAreRefused(t *testing.T) {
	base, config, _ := serve(t, nil)
	for _, path := range []string{
		"..%2f..%2fetc/info/refs?service=git-receive-pack", ".hidden/info/refs?service=git-receive-pack",
		"a..b.git/info/refs?service=git-receive-pack", "-x.git/info/refs?service=git-receive-pack",
		"app.git/HEAD", "app.git/objects/info/packs", "app.git", "", "app.git/info/refs", "app.git/info/refs?service=git-shell",
		"missing.git/info/refs?service=git-upload-pack", strings.Repeat("a", 101) + "/info/refs?service=git-receive-pack",
	} {
		response, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusForbidden {
			t.Errorf("GET %q: %s %q", path, response.Status, body)
		}
	}
	if entries, err := os.ReadDir(config.Dir); err == nil && len(entries) != 0 {
		t.Errorf("refused requests made %v", entries)
	}
}

func TestASilentClientIsLetGo(t *testing.T) {
	// A request that stops in its middle, and one that git has answered while the promised rest never comes.
	for _, tail := range []string{"", "00"} {
		letGo(t, tail)
	}
}

func letGo(t *testing.T, tail string) {
	t.Helper()
	base, _, _ := serve(t, func(config *gitserver.Config) { config.IdleTimeout = 200 * time.Millisecond })
	work := gittest.New(t)
	work.Commit("Begin")
	work.Git("push", "--quiet", base+"app.git", "main")
	address, _ := url.Parse(base)
	conn, err := net.Dial("tcp", address.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request, _ := http.NewRequest(http.MethodPost, base+"app.git/git-receive-pack", nil)
	request.SetBasicAuth(keys.ID, keys.Secret)
	io.WriteString(conn, "POST /git/app.git/git-receive-pack HTTP/1.1\r\nHost: "+address.Host+
		"\r\nAuthorization: "+request.Header.Get("Authorization")+"\r\nContent-Length: 100000\r\n\r\n00"+tail)
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the connection was not ended: %v", err)
	}
	// The silent push held the repository's turn; it must be free again.
	work.Commit("More")
	work.Git("push", "--quiet", base+"app.git", "main")
}

func sizeOf(t *testing.T, dir string) (total int64) {
	t.Helper()
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

func FuzzRepositoryName(f *testing.F) {
	for _, seed := range []string{"app", "a.b-c_d", "..", "a..b", "x.git", "x.lock", "-x", "a/b", "\x00", strings.Repeat("a", 101)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !gitserver.IsName(name) {
			return
		}
		if path := filepath.Join("/data", name+".git"); filepath.Dir(path) != "/data" || filepath.Base(path) != name+".git" {
			t.Errorf("%q leaves the folder: %s", name, path)
		}
	})
}
