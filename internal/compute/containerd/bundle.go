package containerd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// bundles is the folder in which containerd keeps a bundle for each task: what runc runs, and how its shim is reached.
func (p Paths) bundles() string {
	return filepath.Join(p.state(), "io.containerd.runtime.v2.task", Namespace)
}

func (p Paths) hasBundle(id string) bool {
	_, err := os.Stat(filepath.Join(p.bundles(), id))
	return err == nil
}

// removeBundle ends a shim that containerd does not know, and removes its bundle. One is left when the client that asked
// for a task goes away while the shim starts: containerd ends the program that starts the shim, but not the shim.
func (p Paths) removeBundle(id string) error {
	bundle := filepath.Join(p.bundles(), id)
	if _, err := os.Stat(bundle); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, pid := range p.shims(id) {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end the shim %d: %w", pid, err)
		}
	}
	if err := mount.UnmountRecursive(bundle, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the bundle: %w", err)
	}
	return errors.Join(os.RemoveAll(bundle), os.RemoveAll(filepath.Join(p.root(), "io.containerd.runtime.v2.task", Namespace, id)))
}

// shims finds the processes that were started as the shim of id by the containerd of p.
func (p Paths) shims(id string) []int {
	commandLines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var pids []int
	for _, file := range commandLines {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		var args []string
		for arg := range bytes.SplitSeq(bytes.TrimRight(content, "\x00"), []byte{0}) {
			args = append(args, string(arg))
		}
		if filepath.Base(args[0]) != "containerd-shim-runc-v2" || !hasFlag(args, "-address", p.Socket()) || !hasFlag(args, "-id", id) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func hasFlag(args []string, name, value string) bool {
	i := slices.Index(args, name)
	return i >= 0 && i+1 < len(args) && args[i+1] == value
}
