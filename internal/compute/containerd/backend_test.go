package containerd_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/compute/computetest"
	"github.com/apron-run/apron/internal/compute/containerd"
	"github.com/apron-run/apron/internal/compute/containerd/containerdtest"
	"github.com/apron-run/apron/internal/platform"
)

const imageName = "apron.local/test:1"

// bench is a machine with the test app's image.
type bench struct {
	*containerdtest.Machine
	*containerd.Backend
	t testing.TB
}

func newBench(t testing.TB) *bench {
	t.Helper()
	machine := containerdtest.Start(t)
	b := &bench{machine, machine.Backend(t), t}
	archive := filepath.Join(t.TempDir(), "image.tar")
	tag, err := name.NewTag("test.local/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(archive, tag, computetest.Image(t)); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	image, err := b.Import(t.Context(), imageName, file)
	if err != nil {
		t.Fatal(err)
	}
	if image.Port != 8080 {
		t.Errorf("the image's port: %d, want 8080", image.Port)
	}
	return b
}

// on returns b for a subtest.
func (b *bench) on(t *testing.T) *bench {
	sub := *b
	sub.t = t
	return &sub
}

func (b *bench) spec(args ...string) compute.InstanceSpec {
	id := platform.NewInstanceID()
	return compute.InstanceSpec{
		ID: id, ServiceID: "5e7", RevisionID: "4ef", ServiceName: "test", Image: imageName, Args: args, Port: 8080,
		Environment: map[string]string{"PORT": "8080", "VERSION": "v1"}, CPUUnits: 1024, MemoryMiB: 256,
		StorageBytes: 64 << 20, LogPath: filepath.Join(b.DataDir, "logs", string(id)+".log"),
	}
}

func (b *bench) start(args ...string) (compute.InstanceSpec, platform.Instance) {
	b.t.Helper()
	spec := b.spec(args...)
	instance, err := b.Start(b.t.Context(), spec)
	if err != nil {
		b.t.Fatal(err)
	}
	return spec, instance
}

func (b *bench) eventually(what string, condition func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("did not happen in time: %s", what)
		}
	}
}

// get asks the app in the instance, as soon as it listens.
func (b *bench) get(instance platform.Instance, path string, query ...string) (status int, body string) {
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

func (b *bench) exit(id platform.InstanceID) *platform.Exit {
	b.t.Helper()
	var instance platform.Instance
	b.eventually("the instance ends", func() bool {
		var err error
		instance, err = b.Inspect(b.t.Context(), id)
		return err == nil && instance.Exit != nil
	})
	return instance.Exit
}

func (b *bench) output(spec compute.InstanceSpec, contains string) string {
	b.t.Helper()
	var text string
	b.eventually(fmt.Sprintf("the output holds %q", contains), func() bool {
		content, err := os.ReadFile(spec.LogPath)
		text = string(content)
		return err == nil && strings.Contains(text, contains)
	})
	return text
}

func TestInstances(t *testing.T) {
	b := newBench(t)
	t.Run("answers at its address with its environment", func(t *testing.T) {
		b := b.on(t)
		spec, instance := b.start()
		if _, body := b.get(instance, "/"); body != "hello from v1\n" {
			t.Errorf("answer: %q", body)
		}
		if _, body := b.get(instance, "/env"); !strings.Contains(body, "PORT=8080") || !strings.Contains(body, "FROM_IMAGE=yes") {
			t.Errorf("environment: %s", body)
		}
		text := b.output(spec, "a line on stderr")
		if !strings.Contains(text, " stdout listening on 8080\n") || !strings.Contains(text, " stderr a line on stderr\n") {
			t.Errorf("output: %s", text)
		}
	})
	t.Run("starting it again changes nothing", func(t *testing.T) {
		b := b.on(t)
		spec, first := b.start()
		second, err := b.Start(t.Context(), spec)
		if err != nil || second.Address != first.Address {
			t.Errorf("second start: %+v, %v; first %+v", second, err, first)
		}
	})
	t.Run("has no privileges", func(t *testing.T) {
		b := b.on(t)
		_, instance := b.start()
		_, status := b.get(instance, "/file", "path", "/proc/self/status")
		for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t00000000000004eb", "CapBnd:\t00000000000004eb"} {
			if !strings.Contains(status, want) {
				t.Errorf("%q is not in /proc/self/status:\n%s", want, status)
			}
		}
		for _, path := range []string{"/sys/fs/cgroup/x", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/etc/resolv.conf", "/sys/kernel/x"} {
			if code, _ := b.get(instance, "/write", "path", path); code != http.StatusTeapot {
				t.Errorf("%s could be written", path)
			}
		}
		if code, _ := b.get(instance, "/file", "path", "/proc/kcore"); code == http.StatusOK {
			if _, content := b.get(instance, "/file", "path", "/proc/kcore"); content != "" {
				t.Error("/proc/kcore could be read")
			}
		}
	})
	t.Run("tells its exit code", func(t *testing.T) {
		b := b.on(t)
		spec, _ := b.start("/testapp", "exit", "3")
		if exit := b.exit(spec.ID); exit.Code != 3 || exit.IsOutOfMemory {
			t.Errorf("exit: %+v", exit)
		}
	})
	t.Run("tells when it was out of memory", func(t *testing.T) {
		b := b.on(t)
		spec := b.spec("/testapp", "hog")
		spec.MemoryMiB = 64
		events, err := b.Exits(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Start(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		if exit := b.exit(spec.ID); !exit.IsOutOfMemory {
			t.Errorf("exit: %+v", exit)
		}
		b.eventually("the end is told", func() bool {
			select {
			case id := <-events:
				return id == spec.ID
			default:
				return false
			}
		})
	})
	t.Run("can write only so much", func(t *testing.T) {
		b := b.on(t)
		spec, _ := b.start("/testapp", "fill")
		if text := b.output(spec, "no space left on device"); !strings.Contains(text, "stopped after 5") && !strings.Contains(text, "stopped after 6") {
			t.Errorf("with 64 MiB of storage: %s", text)
		}
	})
	t.Run("can start only so many processes", func(t *testing.T) {
		b := b.on(t)
		spec := b.spec("/testapp", "fork")
		spec.MemoryMiB = 2048
		if _, err := b.Start(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		b.output(spec, "resource temporarily unavailable")
		if err := b.Stop(t.Context(), spec.ID, 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("keeps bounded output", func(t *testing.T) {
		b := b.on(t)
		spec, _ := b.start("/testapp", "print")
		b.eventually("the output is rotated twice", func() bool {
			_, err := os.Stat(spec.LogPath + ".2")
			return err == nil
		})
		files, err := filepath.Glob(spec.LogPath + "*")
		if err != nil || len(files) > 3 {
			t.Errorf("files: %v, %v", files, err)
		}
		if err := b.Stop(t.Context(), spec.ID, 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("reaches neither another instance nor the host nor link-local addresses", func(t *testing.T) {
		b := b.on(t)
		_, one := b.start()
		_, other := b.start()
		b.get(other, "/")
		listener := listenOn(t, b.Network.Gateway().String())
		for _, address := range []string{other.Address, listener, "169.254.169.254:80"} {
			if code, body := b.get(one, "/dial", "address", address); code == http.StatusOK {
				t.Errorf("%s: %s", address, body)
			}
		}
	})
	t.Run("ends when it is asked to", func(t *testing.T) {
		b := b.on(t)
		spec, instance := b.start()
		b.get(instance, "/")
		began := time.Now()
		for range 2 {
			if err := b.Stop(t.Context(), spec.ID, 20*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the app handles SIGTERM, and its end took %s", took)
		}
		if _, err := b.Inspect(t.Context(), spec.ID); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("after the end: %v", err)
		}
	})
	t.Run("a command that is not there is told in a sentence", func(t *testing.T) {
		b := b.on(t)
		_, err := b.Start(t.Context(), b.spec("/nothing"))
		if explained := platform.AsExplained(err); explained == nil || !strings.Contains(explained.Cause, "/nothing was not found in the image") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("outlives the connection and containerd", func(t *testing.T) {
		b := b.on(t)
		spec, instance := b.start()
		b.get(instance, "/")
		killContainerd(t, b)
		if err := b.Daemon.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := b.Machine.Backend(t)
		adopted, err := again.Inspect(t.Context(), spec.ID)
		if err != nil || adopted.State != platform.InstanceStateRunning || adopted.Address != instance.Address || adopted.ServiceID != "5e7" {
			t.Errorf("adopted: %+v, %v", adopted, err)
		}
		b.get(instance, "/")
		if _, err := b.List(t.Context()); err != nil {
			t.Errorf("the old connection: %v", err)
		}
	})
	t.Run("nothing is left of those that were stopped", func(t *testing.T) {
		b := b.on(t)
		if err := b.Down(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"instances", "run/netns", "network/leases/instances"} {
			entries, err := os.ReadDir(filepath.Join(b.DataDir, dir))
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if len(entry.Name()) == 32 || strings.HasPrefix(entry.Name(), "10.") {
					t.Errorf("%s/%s is left", dir, entry.Name())
				}
			}
		}
		if groups, err := filepath.Glob("/sys/fs/cgroup/*/" + containerd.CgroupParent(b.DataDir)); err != nil || len(groups) > 0 {
			t.Errorf("control groups are left: %v, %v", groups, err)
		}
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil || strings.Contains(string(mounts), b.DataDir) {
			t.Errorf("mounts are left, or %v:\n%s", err, mounts)
		}
	})
}

func killContainerd(t *testing.T, b *bench) {
	t.Helper()
	var id struct{ Pid int }
	readJSON(t, filepath.Join(b.DataDir, "run", "containerd.pid"), &id)
	if err := syscall.Kill(id.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkStart(bb *testing.B) {
	b := newBench(bb)
	for bb.Loop() {
		spec, _ := b.start()
		bb.StopTimer()
		if err := b.Stop(bb.Context(), spec.ID, 0); err != nil {
			bb.Fatal(err)
		}
		bb.StartTimer()
	}
}
