package build_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/compute/containerd"
	"github.com/apron-run/apron/internal/platform"
)

// with is the world with a Builder whose settings are changed for one test.
func (w *world) with(t *testing.T, change func(*build.Config)) *world {
	t.Helper()
	config := w.config
	change(&config)
	builder, err := build.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return &world{builder: builder, backend: w.backend, dir: w.dir, config: config}
}

// running are the processes of build steps.
func (w *world) running(t *testing.T) (processes []string) {
	t.Helper()
	parent := containerd.CgroupParent(w.dir) + "/buildkit"
	for _, pattern := range []string{"/sys/fs/cgroup/pids" + parent + "/*/cgroup.procs", "/sys/fs/cgroup" + parent + "/*/cgroup.procs"} {
		groups, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range groups {
			content, _ := os.ReadFile(group) // gone meanwhile
			processes = append(processes, strings.Fields(string(content))...)
		}
	}
	return processes
}

// wantNoProcesses waits until no step of a build runs any more.
func (w *world) wantNoProcesses(t *testing.T) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left := w.running(t)
		if len(left) == 0 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%d processes of the build are left", len(left))
		}
	}
}

// script is a request to build by running bash with this script.
func script(t *testing.T, text string) build.Request {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "script.sh", text)
	write(t, dir, "apprunner.yaml", strings.Replace(configuration, "COMMAND", "bash script.sh", 1))
	return request(t, dir)
}

func TestABuildThatForksWithoutEndIsEnded(t *testing.T) {
	w := openWorld(t).with(t, func(config *build.Config) {
		config.ProcessKills = func(ctx context.Context) <-chan struct{} {
			return containerd.BoundSteps(ctx, containerd.CgroupParent(config.Data), 100)
		}
	})
	_, err := w.try(t, script(t, "bomb() { bomb | bomb & }; bomb; sleep 1000\n"))
	if explained := platform.AsExplained(err); explained == nil || !strings.Contains(explained.Cause, "too many processes at a time") {
		t.Errorf("the build: %v", err)
	}
	w.wantNoProcesses(t)
}

func TestABuildThatFillsTheDiskIsStopped(t *testing.T) {
	w := openWorld(t)
	written := func() (size int64) {
		files, _ := filepath.Glob(filepath.Join(w.dir, "containerd", "*", "snapshots", "*", "fs", "apron-test-big"))
		for _, file := range files {
			if info, err := os.Stat(file); err == nil {
				size += info.Size()
			}
		}
		return size
	}
	full := platform.Explain(nil, "the disk is full")
	bounded := w.with(t, func(config *build.Config) {
		config.Room = func() error {
			if written() > 32<<20 {
				return full
			}
			return nil
		}
	})
	_, err := bounded.try(t, script(t, "cat /dev/zero | head -c 8G > /apron-test-big\nsleep 1000\n"))
	if platform.AsExplained(err) != full {
		t.Errorf("the build: %v", err)
	}
	w.wantNoProcesses(t)
	for until := time.Now().Add(20 * time.Second); written() > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d bytes of the build are left", written())
		}
	}
}

func TestACancelledBuildLeavesNoProcess(t *testing.T) {
	w := openWorld(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var log lockedBuffer
	r := script(t, "trap '' TERM INT HUP\nsetsid sleep 1000 &\nnohup sleep 1000 &\n(sleep 1000 & disown)\necho all are there\nsleep 1000\n")
	r.Log = &log
	go func() {
		for !strings.Contains(log.String(), "all are there") && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		cancel(errCancelled)
	}()
	if _, err := w.builder.Build(ctx, r); !errors.Is(err, errCancelled) {
		t.Errorf("the build: %v, want the reason it was cancelled for", err)
	}
	w.wantNoProcesses(t)
}

var errCancelled = errors.New("the user changed their mind")
