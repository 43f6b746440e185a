package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// dial says whether the address can be reached from here.
func dial(r *http.Request) (string, error) {
	conn, err := net.DialTimeout(r.FormValue("network"), r.FormValue("address"), 1500*time.Millisecond)
	if err != nil {
		return "", err
	}
	return "connected", conn.Close()
}

// try does what an application must not be able to do, and tells whether it could.
func try(r *http.Request) (string, error) {
	attempts := map[string]func() error{
		"mount":    func() error { return syscall.Mount("none", "/", "tmpfs", 0, "") },
		"mknod":    func() error { return syscall.Mknod("/disk", syscall.S_IFBLK|0o600, 8<<8) },
		"unshare":  func() error { return syscall.Unshare(syscall.CLONE_NEWUSER) },
		"hostname": func() error { return syscall.Sethostname([]byte("mine")) },
		"clock":    func() error { return syscall.Settimeofday(&syscall.Timeval{Sec: 1}) },
		"sysctl":   func() error { return os.WriteFile("/proc/sys/kernel/core_pattern", []byte("|/app"), 0) },
		"cgroup":   makeCgroup,
		"raw socket": func() error {
			_, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, 0x0300)
			return err
		},
		"module": func() error {
			_, _, errno := syscall.Syscall(syscall.SYS_DELETE_MODULE, 0, 0, 0)
			return errnoError(errno)
		},
		"kernel log": func() error {
			_, err := syscall.Klogctl(3, make([]byte, 100))
			return err
		},
	}
	attempt, known := attempts[r.FormValue("what")]
	if !known {
		return "", fmt.Errorf("no attempt %q", r.FormValue("what"))
	}
	if err := attempt(); err != nil {
		return "", fmt.Errorf("refused: %w", err)
	}
	return "done", nil
}

func errnoError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// makeCgroup makes a control group: in the tree of v1's memory controller, or in the one of v2.
func makeCgroup() error {
	const v1 = "/sys/fs/cgroup/memory"
	if _, err := os.Stat(v1); err == nil {
		return os.Mkdir(v1+"/mine", 0o700)
	}
	return os.Mkdir("/sys/fs/cgroup/mine", 0o700)
}
