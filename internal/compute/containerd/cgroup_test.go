package containerd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A build step that was cut short leaves a group two levels below the apron's own.
func TestCgroupsAreRemovedWithWhatIsBelowThem(t *testing.T) {
	parent := CgroupParent(t.TempDir())
	tops := []string{filepath.Join(cgroupRoot, parent)}
	if !isUnifiedCgroup() {
		tops = []string{filepath.Join(cgroupRoot, "pids", parent), filepath.Join(cgroupRoot, "memory", parent)}
	}
	for _, top := range tops {
		for _, group := range []string{"buildkit/step", "instance"} {
			if err := os.MkdirAll(filepath.Join(top, group), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 { // the second finds nothing
		if err := removeCgroups(parent); err != nil {
			t.Error(err)
		}
	}
	for _, top := range tops {
		if _, err := os.Stat(top); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there (%v)", top, err)
		}
	}
}
