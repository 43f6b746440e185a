package git_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/gittest"
)

// A repository with two apps, read over the network, from this disk, and on apron's own server.
func TestAFolderHasChangedWhenSomethingInItHas(t *testing.T) {
	repositories, data := newRepositories(t, git.Limits{})
	dir := filepath.Join(data, "git")
	bare := filepath.Join(dir, "app.git")
	work := gittest.New(t)
	work.Write("web/deep/main.js", "one")
	work.Write("worker/main.py", "one")
	work.Write("README", strings.Repeat("a large file that nobody needs\n", 20_000))
	first := work.Commit("Begin")
	work.Write("worker/main.py", "two")
	work.Write("README", "small")
	second := work.Commit("Change the worker")
	work.Write("web/deep/main.js", "two")
	third := work.Commit("Change the web")
	work.Git("clone", "--quiet", "--bare", work.Dir, bare)
	work.Git("--git-dir="+bare, "config", "uploadpack.allowFilter", "true")

	backend := gitBackend(t, dir)
	var received atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		backend.ServeHTTP(&countingWriter{w, &received}, r)
	}))
	t.Cleanup(server.Close)
	for _, url := range []string{withUser(t, server.URL, nil), work.Dir, "file://" + bare, "http://127.0.0.1:8700/git/app.git"} {
		for _, test := range []struct {
			folder, before, after string
			want                  bool
		}{
			{"/web", first, second, false}, {"/web", second, third, true}, {"web/deep/", first, second, false}, {"/web/deep", first, third, true},
			{"/worker", first, second, true}, {"/worker", second, third, false}, {"/", second, third, true}, {"", third, third, false},
			{"/worker", second, strings.Repeat("0", 40), true}, {"/missing", first, third, true},
		} {
			source := code(url)
			source.Directory = test.folder
			got, err := repositories.HasChanged(deadline(t), source, test.before, test.after)
			if err != nil || got != test.want {
				t.Errorf("%s of %s from %.7s to %.7s: %v, %v, want %v", test.folder, url, test.before, test.after, got, err, test.want)
			}
		}
	}
	if received.Load() > 200_000 {
		t.Errorf("%d bytes came over the network: files as well", received.Load())
	}
}

type countingWriter struct {
	http.ResponseWriter
	count *atomic.Int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.count.Add(int64(len(p)))
	return w.ResponseWriter.Write(p)
}

func TestARepositoryThatCannotBeComparedIsExplained(t *testing.T) {
	handler, _ := newGitServer(t)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	repositories, _ := newRepositories(t, git.Limits{})
	source := code(withUser(t, server.URL, nil))
	source.Directory = "/web"
	_, err := repositories.HasChanged(deadline(t), source, strings.Repeat("1", 40), strings.Repeat("2", 40))
	wantCause(t, err, "asks for credentials")
	if _, err := repositories.HasChanged(deadline(t), source, "main", "--output=x"); err == nil {
		t.Error("what is no commit was compared")
	}
}
