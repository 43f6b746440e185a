package recipe_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/build/recipe"
)

// packages serves two npm packages. The second is held back while hold is open.
type packages struct {
	url     string
	archive []byte
	fetched atomic.Int32
	asked   chan struct{}
	hold    chan struct{}
}

func newPackages(t *testing.T) *packages {
	t.Helper()
	p := &packages{asked: make(chan struct{}, 10), hold: make(chan struct{})}
	var archive bytes.Buffer
	compressed := gzip.NewWriter(&archive)
	writer := tar.NewWriter(compressed)
	text := "console.log(1)\n"
	if err := writer.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "package/index.js", Size: int64(len(text)), Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	writer.Write([]byte(text))
	writer.Close()
	compressed.Close()
	p.archive = archive.Bytes()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if filepath.Base(r.URL.Path) == "second-1.0.0.tgz" {
			p.fetched.Add(1)
			p.asked <- struct{}{}
			select {
			case <-p.hold:
			case <-r.Context().Done():
				return
			}
		}
		w.Write(p.archive)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL + "/"
	return p
}

// made is a catalogue whose only runtime is made of the two packages.
func (p *packages) made() (*catalogue.Catalogue, catalogue.Runtime) {
	return packagesOf(p.archive)
}

func packagesOf(archive []byte) (*catalogue.Catalogue, catalogue.Runtime) {
	sum := sha512.Sum512(archive)
	integrity := "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	var layer catalogue.Layer
	for _, name := range []string{"first", "second"} {
		layer.NPM = append(layer.NPM, catalogue.NPMPackage{
			Name: name, Version: "1.0.0", Integrity: integrity, Copy: map[string]string{".": "usr/lib/" + name},
		})
	}
	runtime := catalogue.Runtime{Name: "made1", API: "MADE_1", BuildLayers: []string{"packages"}, RunLayers: []string{"packages"}}
	return &catalogue.Catalogue{
		Layers: map[string]catalogue.Layer{"packages": layer}, Runtimes: map[string]catalogue.Runtime{"made1": runtime},
	}, runtime
}

func (p *packages) open(t *testing.T, dir string) *recipe.Cache {
	t.Helper()
	cache, err := recipe.Open(dir, func() host.Settings { return host.Settings{NPMRegistry: p.url} })
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

// The variables by which the test's own program makes a layer until it is killed.
const crashDir, crashURL, crashArchive = "RECIPE_TEST_DIR", "RECIPE_TEST_URL", "RECIPE_TEST_ARCHIVE"

func TestMain(m *testing.M) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	archive, err := base64.StdEncoding.DecodeString(os.Getenv(crashArchive))
	if err != nil {
		panic(err)
	}
	from, runtime := packagesOf(archive)
	cache, err := recipe.Open(dir, func() host.Settings { return host.Settings{NPMRegistry: os.Getenv(crashURL)} })
	if err != nil {
		panic(err)
	}
	images, err := cache.Images(context.Background(), from, runtime, os.Stderr)
	panic(fmt.Sprint("it was not killed: ", images, err))
}

func TestACrashWhileALayerIsMadeLeavesNothingHalf(t *testing.T) {
	p, dir := newPackages(t), t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	maker := exec.Command(program)
	maker.Env = append(os.Environ(), crashDir+"="+dir, crashURL+"="+p.url, crashArchive+"="+base64.StdEncoding.EncodeToString(p.archive))
	if err := maker.Start(); err != nil {
		t.Fatal(err)
	}
	<-p.asked // it holds the lock and has a part of the layer
	cache := p.open(t, dir)
	from, runtime := p.made()
	if status, err := cache.Status(from, runtime); err != nil || !status.IsBeingMade || status.IsReady {
		t.Errorf("while another process makes it the status is %+v, %v", status, err)
	}
	if err := maker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = maker.Wait() // killed
	if status, err := cache.Status(from, runtime); err != nil || status.IsBeingMade || status.IsReady || status.SizeBytes != 0 {
		t.Errorf("after the crash the status is %+v, %v", status, err)
	}
	unfinished, err := filepath.Glob(filepath.Join(dir, "tmp", "*"))
	if err != nil || len(unfinished) == 0 {
		t.Fatalf("the crash left %v, %v: the test is not where it wants to be", unfinished, err)
	}
	long := time.Now().Add(-2 * time.Hour)
	for _, file := range unfinished {
		if err := os.Chtimes(file, long, long); err != nil {
			t.Fatal(err)
		}
	}
	close(p.hold)
	images, err := cache.Images(t.Context(), from, runtime, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer images.Release()
	checkImage(t.Context(), t, cache.Content(), images.Run)
	if left, _ := filepath.Glob(filepath.Join(dir, "tmp", "*")); len(left) > 0 {
		t.Errorf("what the crash left is still there: %v", left)
	}
}

func TestALayerIsMadeOnceForAllWhoWaitForIt(t *testing.T) {
	p, dir := newPackages(t), t.TempDir()
	from, runtime := p.made()
	var all sync.WaitGroup
	for range 4 {
		cache := p.open(t, dir)
		all.Go(func() {
			images, err := cache.Images(t.Context(), from, runtime, t.Output())
			if err != nil {
				t.Error(err)
			}
			images.Release()
		})
	}
	<-p.asked
	close(p.hold)
	all.Wait()
	if n := p.fetched.Load(); n != 1 {
		t.Errorf("the layer was made %d times", n)
	}
}

func TestARefreshDoesNotMakeAgainWhatIsPinned(t *testing.T) {
	p := newPackages(t)
	close(p.hold)
	cache := p.open(t, t.TempDir())
	from, runtime := p.made()
	first, err := cache.Images(t.Context(), from, runtime, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	again, err := cache.Refresh(t.Context(), from, runtime, t.Output())
	if err != nil || again.Version != first.Version || p.fetched.Load() != 1 {
		t.Errorf("a refresh gave %+v, %v after %d downloads", again, err, p.fetched.Load())
	}
	again.Release()
}
