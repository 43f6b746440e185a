package containerd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// hears says whether a signal can reach an app. An app is process 1 of its namespace, for which the kernel drops a signal that it
// neither handles nor has blocked, to wait for it (pid_namespaces(7)): many a small server never hears SIGTERM. Where it cannot be
// found out, the app is taken to hear.
func hears(pid uint32, signal syscall.Signal) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return true
	}
	return handles(string(status), signal)
}

// handles reads the sets of signals in a status file of proc(5).
func handles(status string, signal syscall.Signal) bool {
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		if name != "SigCgt" && name != "SigBlk" {
			continue
		}
		set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil || set>>(signal-1)&1 == 1 {
			return true
		}
	}
	return false
}
