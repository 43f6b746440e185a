package containerd

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// cgroupRoot is where the kernel's control groups are mounted: one tree (v2), or a folder for each controller (v1).
const cgroupRoot = "/sys/fs/cgroup"

// CgroupParent is the group that holds all instances of one apron.
func CgroupParent(dataDir string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(dataDir)))
	return "/apron-" + hex.EncodeToString(sum[:4])
}

func isUnifiedCgroup() bool {
	_, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers"))
	return err == nil
}

// removeCgroups removes the groups of an apron without instances, with whatever is below them: a build that was cut short
// leaves the group of its step. One that still holds a process stays, and is told.
func removeCgroups(parent string) error {
	tops, err := filepath.Glob(filepath.Join(cgroupRoot, "*", parent))
	if err != nil {
		return err
	}
	var groups []string
	for _, top := range append(tops, filepath.Join(cgroupRoot, parent)) {
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

// removeGroup removes one empty group. Only rmdir works on a group: its files are the kernel's.
func removeGroup(path string) error {
	if err := syscall.Rmdir(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "rmdir", Path: path, Err: err}
	}
	return nil
}
