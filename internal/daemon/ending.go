package daemon

import (
	"os"

	"golang.org/x/sys/unix"
)

// ending returns what is closed when a process ends, and is nil where the kernel does not tell: before Linux 5.3, or when the process
// is not there. The release must be called.
func ending(id identity, isRunning bool) (ended <-chan struct{}, release func()) {
	if !isRunning {
		return nil, func() {}
	}
	fd, err := unix.PidfdOpen(id.Pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, func() {}
	}
	process := os.NewFile(uintptr(fd), "process")
	conn, err := process.SyscallConn()
	if err != nil || !id.isAlive() { // the number may be another's
		_ = process.Close()
		return nil, func() {}
	}
	told, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		hasWaited := false
		if err := conn.Read(func(uintptr) bool { // it can be read once the process has ended
			defer func() { hasWaited = true }()
			return hasWaited
		}); err == nil {
			close(told)
		}
	}()
	return told, func() {
		_ = process.Close()
		<-over
	}
}
