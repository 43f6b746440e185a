package containerd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/freezer"
	"github.com/apron-run/apron/internal/platform"
)

// cgroupRoot is where the kernel's control groups are mounted: one tree (v2), or a folder for each controller (v1).
const cgroupRoot = "/sys/fs/cgroup"

// CgroupParent is the group that holds all instances and build steps of one apron.
func CgroupParent(dataDir string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(dataDir)))
	return "/apron-" + hex.EncodeToString(sum[:4])
}

// cgroupOf is the group of one instance.
func (b *Backend) cgroupOf(id platform.InstanceID) string { return filepath.Join(b.cgroup, string(id)) }

// freezerOf is the file by which an instance is frozen.
func (b *Backend) freezerOf(id platform.InstanceID) string {
	if isUnifiedCgroup() {
		return filepath.Join(cgroupRoot, b.cgroupOf(id), "cgroup.freeze")
	}
	return filepath.Join(cgroupRoot, "freezer", b.cgroupOf(id), "freezer.state")
}

// thaw lets an instance go on that was frozen, so that it can end. One without a group has no process either.
func (b *Backend) thaw(id platform.InstanceID) {
	if err := (freezer.Files{}).Thaw(b.freezerOf(id)); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENODEV) {
		b.config.Log.Warn("thaw an instance that is to end", "instance", id, "error", err)
	}
}

// LimitBuilds bounds what all build steps below an apron's group take together, when so many builds run that may use so
// much memory each: never more than three quarters of the machine's memory, and of a busy processor as much as an instance
// of half a vCPU. A build that goes wild is ended then, and not the services beside it. It must be called before buildkitd
// starts, and can be called again.
func LimitBuilds(parent string, builds int, memoryBytes int64) error {
	var machine unix.Sysinfo_t
	if err := unix.Sysinfo(&machine); err != nil {
		return fmt.Errorf("ask for the machine's memory: %w", err)
	}
	memory := strconv.FormatInt(min(int64(builds)*memoryBytes, int64(machine.Totalram)*int64(machine.Unit)/4*3), 10)
	pids := strconv.Itoa(builds * StepProcesses)
	group := filepath.Join(parent, "buildkit") // the name is buildkitd's
	if !isUnifiedCgroup() {
		return errors.Join(
			limit(filepath.Join(cgroupRoot, "memory", group), "memory.limit_in_bytes", memory),
			limit(filepath.Join(cgroupRoot, "pids", group), "pids.max", pids),
			limit(filepath.Join(cgroupRoot, "cpu", group), "cpu.shares", "512"))
	}
	// A group has a controller once all those above it hand it down.
	for _, above := range []string{"", parent} {
		dir := filepath.Join(cgroupRoot, above)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+cpu +memory +pids"), 0); err != nil {
			return fmt.Errorf("hand processor, memory and pids down: %w", err)
		}
	}
	dir := filepath.Join(cgroupRoot, group)
	return errors.Join(limit(dir, "memory.max", memory), limit(dir, "pids.max", pids), limit(dir, "cpu.weight", "20"))
}

// limit makes a group and sets one of its limits.
func limit(dir, file, value string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, file), []byte(value), 0)
}

func isUnifiedCgroup() bool {
	_, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers"))
	return err == nil
}

// removeCgroups removes the groups of an apron without instances, with whatever is below them: a build that was cut short
// leaves the group of its step. One that still holds a process stays, and is told.
func removeCgroups(parent string) error {
	tops, err := cgroupDirs(parent)
	if err != nil {
		return err
	}
	var groups []string
	for _, top := range tops {
		err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil && entry.IsDir() {
				groups = append(groups, path)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	var errs []error
	for _, group := range slices.Backward(groups) { // the inner ones first
		errs = append(errs, removeGroup(group))
	}
	return errors.Join(errs...)
}

// cgroupDirs are the folders of a group that are there: one in each tree of control groups.
func cgroupDirs(group string) ([]string, error) {
	trees, err := filepath.Glob(filepath.Join(cgroupRoot, "*", group))
	if err != nil {
		return nil, err
	}
	unified, err := filepath.Glob(filepath.Join(cgroupRoot, group))
	return append(trees, unified...), err
}

// endCgroup ends what still runs in an instance's group and removes the group. The runtime does that too, but not always
// where its shim was killed.
func endCgroup(ctx context.Context, group string) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := removeCgroups(group)
		if !errors.Is(err, syscall.EBUSY) {
			return err
		}
		dirs, _ := cgroupDirs(group)
		for _, dir := range dirs {
			content, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			for _, field := range strings.Fields(string(content)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
		if wait > endCgroupWait {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// endCgroupWait is about half of how long killed processes have to leave their group.
const endCgroupWait = time.Second

// removeGroup removes one empty group. Only rmdir works on a group: its files are the kernel's.
func removeGroup(path string) error {
	if err := syscall.Rmdir(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "rmdir", Path: path, Err: err}
	}
	return nil
}
