package containerd_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/apron-run/apron/internal/compute/containerd"
	"github.com/apron-run/apron/internal/platform"
)

// A disk that loses what was written last, as when a machine stops, may keep a part of an instance.
func testRemainsOfRunc(t *testing.T, b *bench) {
	spec := b.Spec()
	states, gone := filepath.Join(b.machine.DataDir, "run/runc/apron"), platform.NewInstanceID()
	for _, id := range []platform.InstanceID{spec.ID, gone} {
		if err := os.MkdirAll(filepath.Join(states, string(id)), 0o711); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.backend.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if err := b.backend.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, isWanted := range map[platform.InstanceID]bool{spec.ID: true, gone: false} {
		if _, err := os.Stat(filepath.Join(states, string(id))); (err == nil) != isWanted {
			t.Errorf("what runc knows of %s: %v, want it there: %v", id, err, isWanted)
		}
	}
	if err := b.backend.Stop(t.Context(), spec.ID, 0); err != nil {
		t.Error(err)
	}
}

// Sweeping goes on all the time while instances start and stop: it removes remains, and never what somebody works on.
func testSweep(t *testing.T, b *bench) {
	remains := platform.NewInstanceID()
	for _, path := range []string{"instances/" + string(remains) + "/writable", "run/netns"} {
		if err := os.MkdirAll(filepath.Join(b.machine.DataDir, path), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// A control group with a process that its shim's end did not end.
	group := filepath.Join("/sys/fs/cgroup", containerd.CgroupParent(b.machine.DataDir), string(remains))
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		group = filepath.Join("/sys/fs/cgroup/pids", containerd.CgroupParent(b.machine.DataDir), string(remains))
	}
	lost := exec.Command("sleep", "60")
	if err := errors.Join(os.MkdirAll(group, 0o755), lost.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lost.Process.Kill(); _ = lost.Wait() })
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(lost.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	// An address that was never given back, as after a crash between the plugin and the record.
	lease := filepath.Join(b.machine.DataDir, "network/leases/instances", b.machine.Network.Gateway().Next().Next().Next().String())
	for path, content := range map[string]string{"run/netns/" + string(remains): "", lease: string(remains) + "\r\neth0"} {
		if !filepath.IsAbs(path) {
			path = filepath.Join(b.machine.DataDir, path)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	var sweeping sync.WaitGroup
	sweeping.Go(func() {
		for {
			if err := b.backend.Sweep(t.Context()); err != nil {
				t.Errorf("sweep: %v", err)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	var starting sync.WaitGroup
	for range 3 {
		starting.Go(func() {
			for range 4 {
				spec := b.Spec()
				instance, err := b.backend.Start(t.Context(), spec)
				if err != nil {
					t.Errorf("start: %v", err)
					return
				}
				if now, err := b.backend.Inspect(t.Context(), spec.ID); err != nil || now.Exit != nil || now.Address != instance.Address {
					t.Errorf("it was swept away: %+v, %v", now, err)
				}
				if err := b.backend.Stop(t.Context(), spec.ID, 0); err != nil {
					t.Errorf("stop: %v", err)
				}
			}
		})
	}
	starting.Wait()
	close(done)
	sweeping.Wait()
	for _, path := range []string{group, filepath.Join(b.machine.DataDir, "instances", string(remains)), filepath.Join(b.machine.DataDir, "run/netns", string(remains)), lease} {
		if content, err := os.ReadFile(path); !os.IsNotExist(err) && strings.Contains(string(content)+path, string(remains)) {
			t.Errorf("%s is left (%v)", path, err)
		}
	}
}

// The layers of an image that was removed leave the disk by themselves, those of the others stay.
func removesLayers(t *testing.T, b *bench) {
	blobs := filepath.Join(b.machine.DataDir, "containerd/io.containerd.content.v1.content/blobs")
	before := sizeOf(blobs)
	const size = 8 << 20
	for _, tag := range []string{"apron.local/a:1", "apron.local/b:1"} {
		image, err := random.Image(size, 1)
		if err == nil {
			image, err = mutate.ConfigFile(image, platformOf(t, image))
		}
		if err != nil {
			t.Fatal(err)
		}
		var archive bytes.Buffer
		if err := tarball.Write(name.MustParseReference("test.local/random:1"), image, &archive); err != nil {
			t.Fatal(err)
		}
		if _, err := b.backend.Import(t.Context(), tag, &archive); err != nil {
			t.Fatal(err)
		}
	}
	if added := sizeOf(blobs) - before; added < 2*size {
		t.Fatalf("two images took only %d bytes", added)
	}
	if err := b.backend.Remove(t.Context(), "apron.local/a:1"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); sizeOf(blobs)-before >= 2*size; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("a removed image's layers are still there: %d bytes", sizeOf(blobs)-before)
		}
	}
	if _, err := b.backend.Image(t.Context(), "apron.local/b:1"); err != nil || sizeOf(blobs)-before < size {
		t.Errorf("the other image: %v, %d bytes", err, sizeOf(blobs)-before)
	}
}

// platformOf is the image's configuration with the platform that instances have.
func platformOf(t *testing.T, image v1.Image) *v1.ConfigFile {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	return config
}

// sizeOf adds up the files below dir.
func sizeOf(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went away
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}

// sweepsLostShims looks at two processes that are called as shims are: of an id that has a bundle, and of one that has none.
func sweepsLostShims(t *testing.T, b *bench) {
	spec, _ := b.On(t).Start()
	shim := func(id string) *exec.Cmd {
		command := exec.Command("/bin/sh")
		command.Args = []string{"containerd-shim-runc-v2", "-c", "read line", "sh", "-id", id, "-address", filepath.Join(b.machine.DataDir, "run", "containerd.sock")}
		held, err := command.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = held.Close(); _ = command.Wait() })
		return command
	}
	lost, known := shim("lost"), shim(string(spec.ID))
	if err := b.backend.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := lost.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the lost shim ended with %v", err)
	}
	if err := known.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the known shim: %v", err)
	}
}
