package containerd_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/compute/containerd"
	"github.com/apron-run/apron/internal/compute/containerd/containerdtest"
	"github.com/apron-run/apron/internal/compute/network"
	"github.com/apron-run/apron/internal/platform"
)

// starter is the environment variable that makes the test's program a process that starts an instance, to be killed.
const starter = "APRON_TEST_STARTER"

type start struct {
	DataDir, BinDir string
	Spec            compute.InstanceSpec
}

func TestMain(m *testing.M) {
	if wish := os.Getenv(starter); wish != "" {
		startAsked(wish)
		return
	}
	os.Exit(m.Run())
}

func startAsked(wish string) {
	var s start
	if err := json.Unmarshal([]byte(wish), &s); err != nil {
		panic(err)
	}
	plugged, err := network.New(network.Config{DataDir: s.DataDir, PluginDir: filepath.Join(s.BinDir, "cni")})
	if err != nil {
		panic(err)
	}
	backend, err := containerd.New(containerd.Config{
		Paths: containerd.Paths{DataDir: s.DataDir, BinDir: s.BinDir}, Network: plugged, Log: slog.Default(),
		Resolver: func() remotes.Resolver { return docker.NewResolver(docker.ResolverOptions{}) },
	})
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("starting\n")
	if _, err := backend.Start(context.Background(), s.Spec); err != nil {
		panic(err)
	}
}

// Whoever starts an instance may be killed at any instant. The next one starts it all the same, and when it was stopped,
// no process of it is left.
func TestStarterKilled(t *testing.T) {
	b := newBench(t)
	for delay := time.Duration(0); delay < 200*time.Millisecond; delay += 10 * time.Millisecond {
		spec := b.Spec()
		killStarterAfter(t, b.machine, spec, delay)
		backend := b.machine.Backend(t)
		instance, err := backend.Start(t.Context(), spec)
		if err != nil {
			t.Errorf("killed after %s: %v", delay, err)
		} else {
			b.Get(instance, "/")
		}
		if err := backend.Stop(t.Context(), spec.ID, 0); err != nil {
			t.Errorf("killed after %s: %v", delay, err)
		}
	}
	if err := b.backend.Down(t.Context()); err != nil {
		t.Error(err)
	}
	if left := shims(b.machine.DataDir); len(left) > 0 {
		t.Errorf("left: %s", strings.Join(left, "\n"))
	}
}

// containerd ends what starts a shim when who asked for it goes away, and removes the bundle, but does not end the shim. If that
// has not opened its log by then, it waits for a reader for ever, and holds the socket that the next shim of the id would have.
func TestAShimThatNobodyHearsIsNotTakenForTheNext(t *testing.T) {
	b := newBench(t)
	spec, instance := b.Start()
	address := filepath.Join(b.machine.DataDir, "run", "containerd.sock")
	path := fmt.Sprintf("/run/containerd/s/%x", sha256.Sum256([]byte(filepath.Join(address, containerd.Namespace, string(instance.ID)))))
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the shim's socket: %v", err)
	}
	killShim(t, b.machine.DataDir, instance.ID)
	if exit := b.Exit(instance.ID); !exit.IsLost {
		t.Fatalf("its end is told as %+v", exit)
	}
	bundle := filepath.Join(b.machine.DataDir, "run", "containerd", "io.containerd.runtime.v2.task", containerd.Namespace, string(instance.ID))
	for since := time.Now(); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(bundle); os.IsNotExist(err) && len(shims(b.machine.DataDir)) == 0 {
			break
		}
		if time.Since(since) > time.Minute {
			t.Fatal("containerd has not cleaned up after its shim")
		}
	}

	orphan := exec.Command(filepath.Join(b.machine.BinDir, "containerd-shim-runc-v2"),
		"-namespace", containerd.Namespace, "-id", string(instance.ID), "-address", address)
	orphan.Dir = t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(orphan.Dir, "log"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(path) // a shim that was killed leaves it
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	socket, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	orphan.ExtraFiles = []*os.File{socket}
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = orphan.Process.Kill() })
	ended := make(chan error, 1)
	go func() { ended <- orphan.Wait() }()
	_, _ = socket.Close(), listener.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if instance, err = b.backend.Start(ctx, spec); err != nil {
		t.Fatal(err)
	}
	b.Get(instance, "/")
	<-ended
}

// Nobody knows how an instance ended whose shim was killed, and nobody may guess from an exit code that is none.
func TestShimKilled(t *testing.T) {
	b := newBench(t)
	_, instance := b.Start()
	killShim(t, b.machine.DataDir, instance.ID)
	if exit := b.Exit(instance.ID); !exit.IsLost {
		t.Errorf("the end is told as %+v", exit)
	}
	if err := b.backend.Stop(t.Context(), instance.ID, 0); err != nil {
		t.Error(err)
	}
	if groups, err := filepath.Glob("/sys/fs/cgroup/*/apron-*/" + string(instance.ID)); err != nil || len(groups) > 0 {
		t.Errorf("its control groups are left: %v, %v", groups, err)
	}
	if err := b.backend.Down(t.Context()); err != nil {
		t.Error(err)
	}
}

// A starter may be killed when the process is there and was not told to begin. That is no instance that runs: the next
// starter starts it, and where nobody does, it has ended.
func TestStarterKilledBeforeTheAppBegins(t *testing.T) {
	b := newBench(t)
	spec := b.Spec()
	if err := b.backend.Prepare(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if exit := b.Exit(spec.ID); !exit.IsLost {
		t.Errorf("it has ended as %+v", exit)
	}
	if all, err := b.backend.List(t.Context()); err != nil || len(all) != 1 || all[0].Exit == nil {
		t.Errorf("listed: %+v, %v", all, err)
	}
	instance, err := b.backend.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	b.Get(instance, "/")
	if err := b.backend.Down(t.Context()); err != nil {
		t.Error(err)
	}
}

func killStarterAfter(t *testing.T, machine *containerdtest.Machine, spec compute.InstanceSpec, delay time.Duration) {
	t.Helper()
	wish, err := json.Marshal(start{machine.DataDir, machine.BinDir, spec})
	if err != nil {
		t.Fatal(err)
	}
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), starter+"="+string(wish))
	process.Stderr = os.Stderr
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := output.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(delay)
	_ = process.Process.Kill()
	_ = process.Wait()
}

func killShim(t *testing.T, dataDir string, id platform.InstanceID) {
	t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		raw, _ := os.ReadFile(file)
		line := string(raw)
		if !strings.Contains(line, "containerd-shim") || !strings.Contains(line, dataDir+"/") || !strings.Contains(line, string(id)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
}

// shims lists the shims of a data directory's containerd.
func shims(dataDir string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		raw, _ := os.ReadFile(file)
		line := string(bytes.ReplaceAll(raw, []byte{0}, []byte{' '}))
		if strings.Contains(line, "containerd-shim") && strings.Contains(line, dataDir+"/") {
			found = append(found, strconv.Quote(line))
		}
	}
	return found
}
