package containerd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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

// A build that starts processes or takes memory without end must not take the machine down.
func TestBuildsAreLimited(t *testing.T) {
	parent := CgroupParent(t.TempDir())
	t.Cleanup(func() {
		if err := removeCgroups(parent); err != nil {
			t.Error(err)
		}
	})
	var machine unix.Sysinfo_t
	if err := unix.Sysinfo(&machine); err != nil {
		t.Fatal(err)
	}
	total := machine.Totalram * uint64(machine.Unit)
	for each, want := range map[int64]uint64{1 << 30: 2 << 30, int64(total): total / 4 * 3} {
		for range 2 {
			if err := LimitBuilds(parent, 2, each); err != nil {
				t.Fatal(err)
			}
		}
		if memory := limitOf(t, parent, "memory/memory.limit_in_bytes", "memory.max"); memory > want || memory < want-1<<20 {
			t.Errorf("two builds of %d bytes may take %d of %d bytes of memory, want %d", each, memory, total, want)
		}
	}
	if pids := limitOf(t, parent, "pids/pids.max", "pids.max"); pids != 8192 {
		t.Errorf("builds may have %d processes", pids)
	}
}

// limitOf reads a limit of the builds' group, in cgroup v1 or v2.
func limitOf(t *testing.T, parent, v1, v2 string) uint64 {
	t.Helper()
	path := filepath.Join("/sys/fs/cgroup", parent, "buildkit", v2)
	if controller, file, _ := strings.Cut(v1, "/"); !isUnifiedCgroup() {
		path = filepath.Join("/sys/fs/cgroup", controller, parent, "buildkit", file)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	limit, err := strconv.ParseUint(strings.TrimSpace(string(content)), 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return limit
}
