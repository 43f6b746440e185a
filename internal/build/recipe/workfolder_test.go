package recipe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheWorkFolderOfAnInstallationIsItsOwnMemory(t *testing.T) {
	if availableMemory() < enoughMemory {
		t.Skip("this machine has no memory to spare")
	}
	work := t.TempDir()
	command := workCommand(t.Context(), "/bin/sh", []string{"-c", `stat -f -c %T "$TMPDIR"; echo "$1" >"$TMPDIR/file"`, "sh", "text"})
	command.Env = append(os.Environ(), "TMPDIR="+work)
	output, err := command.Output()
	if err != nil || strings.TrimSpace(string(output)) != "tmpfs" {
		t.Fatalf("the folder is on %q, %v", output, err)
	}
	if left, err := os.ReadDir(work); err != nil || len(left) != 0 {
		t.Errorf("outside of the program the folder holds %v, %v", left, err)
	}
}

// A file system that somebody unmounts meanwhile is gone, as if the installation were not there.
func TestAnInstallationHoldsNoMountOfInstances(t *testing.T) {
	if availableMemory() < enoughMemory {
		t.Skip("this machine has no memory to spare")
	}
	dir := t.TempDir()
	at := filepath.Join(dir, "merged")
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
	if err := unix.Mount("overlay", at, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(at, unix.MNT_DETACH)
	command := workCommand(t.Context(), "/bin/cat", []string{"/proc/self/mountinfo"})
	command.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	mounts, err := command.Output()
	if err != nil || !strings.Contains(string(mounts), " / / ") {
		t.Fatalf("it sees the mounts %s (%v)", mounts, err)
	}
	if strings.Contains(string(mounts), at) {
		t.Errorf("it holds %s:\n%s", at, mounts)
	}
}
