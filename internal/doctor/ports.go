package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func checkPorts(_ context.Context, m *Machine) Result {
	if m.IsRunning {
		return ok("This apron runs and holds its addresses.")
	}
	var taken, remedies, addresses []string
	for _, a := range m.Addresses {
		addresses = append(addresses, a.Address)
		err := m.Listen(a.Address)
		if err == nil {
			continue
		}
		reason := err.Error()
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			reason = "taken"
			if holder := m.holderOfAddress(m, a.Address); holder != "" {
				reason = "taken by " + holder
			}
		case errors.Is(err, syscall.EACCES):
			reason = "not allowed for this user"
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			reason = "not an address of this machine"
		}
		taken = append(taken, fmt.Sprintf("%s is %s", a.Address, reason))
		remedies = append(remedies, a.Flag)
	}
	if len(taken) > 0 {
		return fail("Free it, or choose another address with "+strings.Join(remedies, ", ")+".", "%s.", strings.Join(taken, ", "))
	}
	return ok("%s are free.", strings.Join(addresses, ", "))
}

// holderOfAddress finds the process that listens on the port of address: "nginx (pid 123)", or "" when it is not found.
func holderOfAddress(m *Machine, address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return ""
	}
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := m.read(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(text) {
			if inode, isListening := listeningInode(line, number); isListening {
				sockets["socket:["+inode+"]"] = true
			}
		}
	}
	if len(sockets) == 0 {
		return ""
	}
	descriptors, _ := filepath.Glob(m.path("/proc/[0-9]*/fd/*"))
	for _, descriptor := range descriptors {
		if target, err := os.Readlink(descriptor); err == nil && sockets[target] {
			process := filepath.Dir(filepath.Dir(descriptor))
			name, _ := os.ReadFile(filepath.Join(process, "comm"))
			return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), filepath.Base(process))
		}
	}
	return ""
}

// listeningInode reads a line of /proc/net/tcp (proc_pid_net(5)): local address, remote address and state are the
// second, third and fourth field, the inode the tenth. State 0A is LISTEN.
func listeningInode(line string, port int) (inode string, isListening bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] != "0A" {
		return "", false
	}
	_, hex, found := strings.Cut(fields[1], ":")
	n, err := strconv.ParseInt(hex, 16, 32)
	return fields[9], found && err == nil && int(n) == port
}
