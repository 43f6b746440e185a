// Package containerdtest starts a containerd of a test's own, with everything that instances need, and takes all of it
// away again.
package containerdtest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"

	"github.com/apron-run/apron/internal/compute/containerd"
	"github.com/apron-run/apron/internal/compute/network"
	"github.com/apron-run/apron/internal/daemon"
)

// Machine is a data directory with a running containerd and a network.
type Machine struct {
	DataDir string
	BinDir  string
	Daemon  *daemon.Daemon
	Network *network.Network
	Config  containerd.Config
}

// BinDir finds the daemons that `make build` makes.
func BinDir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("APRON_BIN"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		bin := filepath.Join(dir, "bin")
		if _, err := os.Stat(filepath.Join(bin, "containerd")); err == nil {
			return bin
		}
	}
	t.Fatal("bin/containerd is not there: run `make build`")
	return ""
}

// Start starts a Machine and registers its end.
func Start(t testing.TB) *Machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "apron-") // short, for the sockets in it
	if err != nil {
		t.Fatal(err)
	}
	m := &Machine{DataDir: dir, BinDir: BinDir(t)}
	log := slog.New(slog.DiscardHandler)
	if m.Network, err = network.New(network.Config{DataDir: dir, PluginDir: filepath.Join(m.BinDir, "cni")}); err != nil {
		t.Fatal(err)
	}
	paths := containerd.Paths{DataDir: dir, BinDir: m.BinDir}
	if m.Daemon, err = containerd.NewDaemon(paths, log); err != nil {
		t.Fatal(err)
	}
	m.Config = containerd.Config{
		Paths: paths, Network: m.Network, Log: log,
		Resolver: func() remotes.Resolver { return docker.NewResolver(docker.ResolverOptions{}) },
	}
	t.Cleanup(func() { m.end(t) })
	if err := m.Network.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Daemon.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

// Backend connects to the machine.
func (m *Machine) Backend(t testing.TB) *containerd.Backend {
	t.Helper()
	backend, err := containerd.New(m.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() })
	return backend
}

func (m *Machine) end(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	backend, err := containerd.New(m.Config)
	if err == nil {
		if err := backend.Down(ctx); err != nil {
			t.Errorf("stop the instances: %v", err)
		}
		_ = backend.Close()
	}
	if err := m.Daemon.Stop(ctx); err != nil {
		t.Errorf("stop containerd: %v", err)
	}
	if err := m.Network.Remove(ctx); err != nil {
		t.Errorf("remove the network: %v", err)
	}
	if t.Failed() {
		if log, err := os.ReadFile(filepath.Join(m.DataDir, "run", "containerd.log")); err == nil {
			t.Logf("containerd's log:\n%s", log)
		}
	}
	if err := os.RemoveAll(m.DataDir); err != nil {
		t.Errorf("remove the data directory: %v", err)
	}
}
