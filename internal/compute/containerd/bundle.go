package containerd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
	if err := p.endShims(isOf(id)); err != nil {
		return err
	}
	if err := mount.UnmountRecursive(bundle, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the bundle: %w", err)
	}
	return errors.Join(os.RemoveAll(bundle), os.RemoveAll(filepath.Join(p.root(), "io.containerd.runtime.v2.task", Namespace, id)))
}

// EndShims ends all shims of p's containerd, which has ended with all that it knew of.
func (p Paths) EndShims() error {
	return p.endShims(func(string) bool { return true })
}

// endLostShims ends shims without a bundle. One is left when containerd is killed while it starts the shim: the next one cannot
// reach it, and removes the bundle alone.
func (p Paths) endLostShims() error {
	return p.endShims(func(id string) bool { return !p.hasBundle(id) })
}

func isOf(id string) func(string) bool { return func(of string) bool { return of == id } }

// endShims ends the processes that were started by p's containerd as the shim of an id that is meant.
func (p Paths) endShims(isMeant func(id string) bool) error {
	commandLines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var errs []error
	for _, file := range commandLines {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		args := strings.Split(strings.TrimRight(string(content), "\x00"), "\x00")
		if filepath.Base(args[0]) != "containerd-shim-runc-v2" || flagOf(args, "-address") != p.Socket() || !isMeant(flagOf(args, "-id")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil {
			err = unix.Kill(pid, unix.SIGKILL)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("end the shim %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}

// flagOf returns the value that follows a flag, or nothing.
func flagOf(args []string, name string) string {
	if i := slices.Index(args, name); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}
