package recipe_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/build/recipe"
	"github.com/apron-run/apron/internal/build/recipe/recipetest"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/registry"
)

// mirror is a registry on loopback that stands for Docker Hub, and a cache that pulls from there.
type mirror struct {
	address string
	cache   *recipe.Cache
	dir     string
	// meet, when not nil, may answer a request in the registry's place.
	meet func(w http.ResponseWriter, r *http.Request) bool
}

func newMirror(t *testing.T) *mirror {
	t.Helper()
	m := &mirror{dir: t.TempDir()}
	handler := memory.New(memory.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.meet == nil || !m.meet(w, r) {
			handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	m.address = strings.TrimPrefix(server.URL, "http://")
	data := t.TempDir()
	settings := fmt.Sprintf("registries:\n  docker.io: {mirrors: [%q]}\n", server.URL)
	if err := os.WriteFile(filepath.Join(data, "registries.yaml"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	m.cache = openCache(t, m.dir)
	m.cache.PullFrom(registry.New(registry.Config{
		Data: data, Endpoint: source.NewEndpoint("127.0.0.1:1"), Limits: registry.Limits{Retries: []time.Duration{time.Millisecond}},
	}))
	return m
}

func openCache(t *testing.T, dir string) *recipe.Cache {
	t.Helper()
	cache, err := recipe.Open(dir, func() host.Settings { return host.Settings{} })
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

// push pushes an image as docker.io/library/tool:TAG.
func (m *mirror) push(t *testing.T, tag string, image v1.Image) string {
	t.Helper()
	where, err := name.NewTag(m.address + "/library/tool:" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(where, image); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func tool(t *testing.T, content string, environment ...string) v1.Image {
	return recipetest.Compose(t, []v1.Layer{recipetest.Layer(t, map[string]string{"tool": content})}, environment)
}

// pulled is a catalogue whose only runtime is docker.io/library/tool.
func pulled() (*catalogue.Catalogue, catalogue.Runtime) {
	runtime := catalogue.Runtime{
		Name: "tool1", API: "TOOL_1", BuildImage: "docker.io/library/tool:build", RunImage: "docker.io/library/tool:run",
	}
	return &catalogue.Catalogue{Runtimes: map[string]catalogue.Runtime{"tool1": runtime}}, runtime
}

func blobs(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestImagesArePulledThroughAMirrorAndKeptWithTheirEnvironment(t *testing.T) {
	m := newMirror(t)
	build := m.push(t, "build", tool(t, "compiler", "PATH=/opt/tool/bin:/bin", "TOOL=1"))
	run := m.push(t, "run", tool(t, "runner", "TOOL=2"))
	from, runtime := pulled()
	var told bytes.Buffer
	images, err := m.cache.Images(t.Context(), from, runtime, &told)
	if err != nil {
		t.Fatal(err)
	}
	defer images.Release()
	if images.Build.String() != build || images.Run.String() != run {
		t.Errorf("the images are %s and %s, want %s and %s", images.Build, images.Run, build, run)
	}
	checkImage(t.Context(), t, m.cache.Content(), images.Build)
	checkImage(t.Context(), t, m.cache.Content(), images.Run)
	if diff := cmp.Diff([]string{"PATH=/opt/tool/bin:/bin", "TOOL=1"}, images.BuildEnvironment); diff != "" {
		t.Errorf("the build image's environment differs:\n%s", diff)
	}
	if len(images.RunEnvironment) != 2 || !strings.HasPrefix(images.RunEnvironment[0], "PATH=/usr/local/sbin:") {
		t.Errorf("an image without a PATH has the environment %v", images.RunEnvironment)
	}
	if !strings.Contains(told.String(), "docker.io/library/tool@"+build) {
		t.Errorf("the log does not tell what is pulled:\n%s", told.String())
	}
	status, err := m.cache.Status(from, runtime)
	if err != nil || !status.IsReady || status.SizeBytes == 0 || status.BuildImage != "docker.io/library/tool@"+build {
		t.Errorf("the status is %+v, %v", status, err)
	}

	m.meet = func(http.ResponseWriter, *http.Request) bool {
		t.Error("an image that is there was asked for again")
		return false
	}
	again, err := m.cache.Images(t.Context(), from, runtime, t.Output())
	if err != nil || again.Version != images.Version {
		t.Errorf("the second time gave %+v, %v", again, err)
	}
	again.Release()
}

func TestARefreshTakesWhatATagMeansNow(t *testing.T) {
	m := newMirror(t)
	m.push(t, "build", tool(t, "compiler"))
	m.push(t, "run", tool(t, "runner"))
	from, runtime := pulled()
	first, err := m.cache.Images(t.Context(), from, runtime, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	before, _ := m.cache.Status(from, runtime)
	count := len(blobs(t, m.dir))

	unchanged, err := m.cache.Refresh(t.Context(), from, runtime, t.Output())
	if err != nil || unchanged.Version != first.Version {
		t.Fatalf("a refresh without a change gave %+v, %v", unchanged, err)
	}
	unchanged.Release()
	after, _ := m.cache.Status(from, runtime)
	if !after.MadeAt.Equal(before.MadeAt) || !after.CheckedAt.After(before.CheckedAt) {
		t.Errorf("made at %v and checked at %v became %v and %v", before.MadeAt, before.CheckedAt, after.MadeAt, after.CheckedAt)
	}

	mended := m.push(t, "run", recipetest.AsDocker(tool(t, "runner, mended")))
	newer, err := m.cache.Refresh(t.Context(), from, runtime, t.Output())
	if err != nil || newer.Version == first.Version || newer.Run.String() != mended || newer.Build != first.Build {
		t.Fatalf("a refresh gave %+v, %v", newer, err)
	}
	checkImage(t.Context(), t, m.cache.Content(), first.Run) // a build still uses it
	if err := m.cache.Collect(t.Context(), from); err != nil {
		t.Fatal(err)
	}
	checkImage(t.Context(), t, m.cache.Content(), first.Run)

	first.Release()
	newer.Release()
	if err := m.cache.Collect(t.Context(), from); err != nil {
		t.Fatal(err)
	}
	if _, err := m.cache.Content().Info(t.Context(), first.Run); err == nil {
		t.Error("the old image is still there when nobody uses it any more")
	}
	checkImage(t.Context(), t, m.cache.Content(), newer.Run)
	if left := len(blobs(t, m.dir)); left != count {
		t.Errorf("%d blobs are there, want %d as before", left, count)
	}
}

func TestAnImageWhoseContentDoesNotHaveItsDigestIsNotKept(t *testing.T) {
	m := newMirror(t)
	image := tool(t, "compiler")
	m.push(t, "build", image)
	m.push(t, "run", image)
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	m.meet = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/blobs/"+wrong.String()) || r.Method != http.MethodGet {
			return false
		}
		size, _ := layers[0].Size()
		w.Write(bytes.Repeat([]byte("x"), int(size)))
		return true
	}
	from, runtime := pulled()
	_, err = m.cache.Images(t.Context(), from, runtime, t.Output())
	if err == nil || !strings.Contains(err.Error(), "other content than the digest") {
		t.Errorf("the error is %v", err)
	}
	if status, _ := m.cache.Status(from, runtime); status.IsReady {
		t.Error("the runtime counts as ready")
	}
	if _, err := m.cache.Content().Info(t.Context(), digest.Digest(wrong.String())); err == nil {
		t.Error("the wrong content is in the cache")
	}
}

func TestAPullThatIsCutShortGoesOnWhereItWas(t *testing.T) {
	m := newMirror(t)
	m.push(t, "build", tool(t, "compiler"))
	run := tool(t, "runner")
	m.push(t, "run", run)
	layers, err := run.Layers()
	if err != nil {
		t.Fatal(err)
	}
	last, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	isLast := func(r *http.Request) bool {
		return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/blobs/"+last.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m.meet = func(w http.ResponseWriter, r *http.Request) bool {
		if isLast(r) {
			cancel()
			<-r.Context().Done()
		}
		return isLast(r)
	}
	from, runtime := pulled()
	if _, err := m.cache.Images(ctx, from, runtime, t.Output()); err == nil {
		t.Fatal("a pull that was cancelled went well")
	}
	var fetched atomic.Int32
	m.meet = func(_ http.ResponseWriter, r *http.Request) bool {
		if isLast(r) {
			fetched.Add(1)
		}
		return false
	}
	images, err := m.cache.Images(t.Context(), from, runtime, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer images.Release()
	if n := fetched.Load(); n != 1 {
		t.Errorf("the layer that was missing was fetched %d times", n)
	}
}

func TestACopyOfTheCacheNeedsNoNetwork(t *testing.T) {
	m := newMirror(t)
	m.push(t, "build", tool(t, "compiler"))
	m.push(t, "run", tool(t, "runner"))
	from, runtime := pulled()
	images, err := m.cache.Images(t.Context(), from, runtime, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	images.Release()
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(m.dir)); err != nil {
		t.Fatal(err)
	}
	copied, err := openCache(t, dir).Images(t.Context(), from, runtime, t.Output())
	if err != nil || copied.Version != images.Version {
		t.Errorf("the copy gives %+v, %v", copied, err)
	}
	copied.Release()
}
