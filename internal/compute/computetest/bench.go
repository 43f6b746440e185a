package computetest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
)

// Fixture is a backend under test.
type Fixture struct {
	Backend compute.Backend
	Images  compute.Images
	// Dir takes the instances' output.
	Dir string
	// HostAddress is an address of the host that instances could reach if nothing kept them from it.
	HostAddress string
}

// imageName is what the test app's image is kept under.
const imageName = "apron.local/test:1"

// Bench is a backend with the test app's image, and what a test does with instances of it.
type Bench struct {
	Fixture
	t testing.TB
}

// NewBench imports the test app's image into the backend.
func NewBench(t testing.TB, fixture Fixture) *Bench {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "image.tar")
	tag, err := name.NewTag("test.local/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(archive, tag, Image(t)); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	image, err := fixture.Images.Import(t.Context(), imageName, file)
	if err != nil {
		t.Fatal(err)
	}
	if image.Port != 8080 {
		t.Errorf("the image's port: %d, want 8080", image.Port)
	}
	return &Bench{fixture, t}
}

// On returns b for a subtest.
func (b *Bench) On(t *testing.T) *Bench { return &Bench{b.Fixture, t} }

// Spec is an instance of the test app that was not started yet. No args are the image's own: it serves.
func (b *Bench) Spec(args ...string) compute.InstanceSpec {
	id := platform.NewInstanceID()
	return compute.InstanceSpec{
		ID: id, ServiceID: "5e7", RevisionID: "4ef", ServiceName: "test", Image: imageName, Args: args, Port: 8080,
		Environment: map[string]string{"PORT": "8080", "VERSION": "v1"}, CPUUnits: 1024, MemoryMiB: 256,
		StorageBytes: 64 << 20, LogPath: filepath.Join(b.Dir, string(id)+".log"),
	}
}

// Start starts an instance that must start.
func (b *Bench) Start(args ...string) (compute.InstanceSpec, platform.Instance) {
	b.t.Helper()
	spec := b.Spec(args...)
	instance, err := b.Backend.Start(b.t.Context(), spec)
	if err != nil {
		b.t.Fatal(err)
	}
	return spec, instance
}

// Get asks the app in the instance, as soon as it listens. query is names and values in turn.
func (b *Bench) Get(instance platform.Instance, path string, query ...string) (status int, body string) {
	b.t.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	b.eventually("the instance answers", func() bool {
		response, err := http.Get("http://" + instance.Address + path + "?" + values.Encode())
		if err != nil {
			return false
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		status, body = response.StatusCode, string(content)
		return err == nil
	})
	return status, body
}

func (b *Bench) eventually(what string, condition func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("did not happen in time: %s", what)
		}
	}
}

// Exit waits until the instance has ended, and returns how.
func (b *Bench) Exit(id platform.InstanceID) *platform.Exit {
	b.t.Helper()
	var instance platform.Instance
	b.eventually("the instance ends", func() bool {
		var err error
		instance, err = b.Backend.Inspect(b.t.Context(), id)
		return err == nil && instance.Exit != nil
	})
	return instance.Exit
}

func (b *Bench) output(spec compute.InstanceSpec, contains string) string {
	b.t.Helper()
	var text string
	b.eventually(fmt.Sprintf("the output holds %q", contains), func() bool {
		content, err := os.ReadFile(spec.LogPath)
		text = string(content)
		return err == nil && strings.Contains(text, contains)
	})
	return text
}
