package thread

import (
	"errors"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// What was entered by the first thread of apron stayed with it: a copy of all mounts of the machine, whose disks could not be let go, and
// the network of an instance.
func TestTheFirstThreadIsNotSpent(t *testing.T) {
	before, err := os.Readlink("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				err := Spend(func() error {
					if unix.Gettid() == unix.Getpid() {
						return errors.New("it is on the first thread")
					}
					return unix.Unshare(unix.CLONE_NEWUTS)
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if after, err := os.Readlink("/proc/self/ns/uts"); err != nil || after != before {
		t.Errorf("the process is in %s, and was in %s (%v)", after, before, err)
	}
}
