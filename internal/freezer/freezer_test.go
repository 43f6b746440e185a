package freezer_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/freezer"
)

// group makes a control group with one process in it, and returns its file and the process.
func group(t *testing.T) (file string, pid int) {
	t.Helper()
	dir, name := "/sys/fs/cgroup", "cgroup.freeze"
	if _, err := os.Stat(filepath.Join(dir, "freezer")); err == nil {
		dir, name = filepath.Join(dir, "freezer"), "freezer.state"
	}
	dir, err := os.MkdirTemp(dir, "apron-freezer-test-")
	if err != nil {
		t.Fatalf("control groups cannot be made here: %v", err)
	}
	busy := exec.Command("yes")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, name)
	t.Cleanup(func() {
		_ = freezer.Files{}.Thaw(file)
		_ = busy.Process.Kill()
		_ = busy.Wait()
		if err := syscall.Rmdir(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, busy.Process.Pid), 0); err != nil {
		t.Fatal(err)
	}
	return file, busy.Process.Pid
}

// used is the processor time of a process in ticks, user and system.
func used(t *testing.T, pid int) string {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(stat))[13:15], " ")
}

func TestAFrozenProcessUsesNoProcessor(t *testing.T) {
	file, pid := group(t)
	files := freezer.Files{}
	for range 2 { // twice is as good as once
		if err := files.Freeze(file); err != nil {
			t.Fatal(err)
		}
	}
	if frozen, err := files.IsFrozen(file); err != nil || !frozen {
		t.Errorf("frozen: %v, %v", frozen, err)
	}
	before, after := "", used(t, pid)
	for deadline := time.Now().Add(10 * time.Second); after != before && time.Now().Before(deadline); after = used(t, pid) {
		before = after                     // it may have been in the kernel still
		time.Sleep(100 * time.Millisecond) // ten ticks
	}
	if after != before {
		t.Errorf("it goes on using the processor: %s, before %s", after, before)
	}
	for range 2 {
		if err := files.Thaw(file); err != nil {
			t.Fatal(err)
		}
	}
	if frozen, err := files.IsFrozen(file); err != nil || frozen {
		t.Errorf("frozen after the thaw: %v, %v", frozen, err)
	}
	for deadline := time.Now().Add(10 * time.Second); used(t, pid) == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not run after the thaw")
		}
	}
}

func TestWhatIsNoGroupIsLeftAlone(t *testing.T) {
	files, dir := freezer.Files{}, t.TempDir()
	gone := filepath.Join(dir, "freezer.state")
	if err := files.Thaw(gone); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a group that is gone: %v", err)
	}
	if _, err := os.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made: %v", err)
	}
	other := filepath.Join(dir, "passwd")
	if err := os.WriteFile(other, []byte("root"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := files.Freeze(other); err == nil {
		t.Error("another file was written")
	}
}
