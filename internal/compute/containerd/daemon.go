package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/apron-run/apron/internal/daemon"
)

// Paths says where the daemon's files are in a data directory.
type Paths struct {
	// DataDir is apron's data directory, BinDir the folder of the daemons.
	DataDir, BinDir string
}

// Socket is where containerd answers.
func (p Paths) Socket() string { return filepath.Join(p.runDir(), "containerd.sock") }

func (p Paths) runDir() string    { return filepath.Join(p.DataDir, "run") }
func (p Paths) root() string      { return filepath.Join(p.DataDir, "containerd") }
func (p Paths) state() string     { return filepath.Join(p.runDir(), "containerd") }
func (p Paths) config() string    { return filepath.Join(p.root(), "config.toml") }
func (p Paths) instances() string { return filepath.Join(p.DataDir, "instances") }
func (p Paths) runc() string      { return filepath.Join(p.runDir(), "runc") }

// runcStates is the folder in which runc keeps what it knows of each container.
func (p Paths) runcStates() string { return filepath.Join(p.runc(), Namespace) }

func (p Paths) netns() string { return filepath.Join(p.runDir(), "netns") }

// MountDirs are the folders of the data directory below which containerd, its instances and its builds mount.
func (p Paths) MountDirs() []string {
	return []string{p.runDir(), p.root(), p.instances(), filepath.Join(p.DataDir, "buildkit")}
}

// disabledPlugins are those that instances and builds do not need: Kubernetes' CRI, other snapshotters, tracing, policies, and the one
// that starts containers again by itself, which reads all of them every ten seconds for that.
var disabledPlugins = []string{
	"io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri",
	"io.containerd.podsandbox.controller.v1.podsandbox", "io.containerd.internal.v1.tracing",
	"io.containerd.tracing.processor.v1.otlp", "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.blockfile",
	"io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.native", "io.containerd.differ.v1.erofs",
	"io.containerd.internal.v1.opt", "io.containerd.monitor.container.v1.restart",
}

// NewDaemon returns the containerd of a data directory.
func NewDaemon(paths Paths, log *slog.Logger) (*daemon.Daemon, error) {
	for _, dir := range []string{paths.root(), paths.runDir(), paths.instances(), paths.netns()} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, fmt.Errorf("make a folder for containerd: %w", err)
		}
	}
	config := fmt.Sprintf(`version = 3
root = %q
state = %q
temp = %q
disabled_plugins = ["%s"]

[grpc]
  address = %q

[ttrpc]
  address = ""

[debug]
  level = "warn"
`, paths.root(), paths.state(), filepath.Join(paths.root(), "tmp"), strings.Join(disabledPlugins, `", "`), paths.Socket())
	if err := os.WriteFile(paths.config(), []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("write containerd's configuration: %w", err)
	}
	return &daemon.Daemon{
		Name: "containerd", Path: filepath.Join(paths.BinDir, "containerd"), Args: []string{"--config", paths.config()},
		// The shim and runc are found on PATH; GOGC trades a little CPU for half of the idle memory.
		Env: []string{"PATH=" + paths.BinDir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOGC=40"},
		Dir: paths.runDir(), Log: log,
		Ready: func(ctx context.Context) error { return ready(ctx, paths.Socket()) },
	}, nil
}

func ready(ctx context.Context, socket string) error {
	if _, err := os.Stat(socket); err != nil {
		return err
	}
	client, err := dial(socket)
	if err != nil {
		return err
	}
	defer client.Close()
	isServing, err := client.IsServing(ctx)
	if err == nil && !isServing {
		err = errors.New("not serving yet")
	}
	return err
}
