// Package thread runs what changes its thread for good, such as by entering a namespace.
package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Spend calls do on a thread that ends afterwards and runs nothing else. It is never the first one of the process: that one does not end
// before the process does, and what it has entered would be held by the process, and taken for where all of it is.
func Spend(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // a thread that is locked when its goroutine ends, ends with it
		if unix.Gettid() != unix.Getpid() {
			done <- do()
			return
		}
		done <- Spend(do) // on another thread, as long as this one is held
		runtime.UnlockOSThread()
	}()
	return <-done
}
