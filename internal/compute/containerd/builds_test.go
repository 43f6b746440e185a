package containerd_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/compute/containerd"
)

// What daemons left mounted goes; a disk that the user mounted for the data directory, or for one of its folders, stays.
func TestMountsOfDaemonsAreRemovedAndDisksStay(t *testing.T) {
	dataDir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dataDir, link); err != nil {
		t.Fatal(err)
	}
	paths := containerd.Paths{DataDir: link}
	var disks, left []string
	for _, dir := range []string{dataDir, filepath.Join(dataDir, "containerd"), filepath.Join(dataDir, "registry")} {
		disks = append(disks, mountAt(t, dir))
	}
	for _, name := range []string{"instances/a/writable", "run/netns/a", "containerd/tmp/a", "buildkit/net/a", "buildkit/net/a/b"} {
		left = append(left, mountAt(t, filepath.Join(dataDir, name)))
	}
	if err := containerd.RemoveMounts(paths.MountDirs()...); err != nil {
		t.Fatal(err)
	}
	for _, dir := range slices.Concat(disks, left) {
		isMounted, err := mountinfo.Mounted(dir)
		if wanted := slices.Contains(disks, dir); err != nil && !os.IsNotExist(err) || isMounted != wanted {
			t.Errorf("%s is mounted: %v (%v), want %v", dir, isMounted, err, wanted)
		}
	}
}

// mountAt makes a folder and mounts an empty file system at it until the test ends.
func mountAt(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatalf("mount a tmpfs at %s: %v", dir, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // gone already, or a disk that stayed
	return dir
}
