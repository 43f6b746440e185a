package apron

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Reboot takes everything away that a machine loses when it stops without a warning: processes, mounts, interfaces, firewall
// rules and control groups of this apron. The files in its data directory stay as they are. Restart is the machine's next
// start.
func (a *Apron) Reboot(t testing.TB) {
	t.Helper()
	had := a.belongings()
	a.Kill9(t)
	a.killAll(t)
	a.unmountAll(t)
	for _, name := range had.interfaces {
		_ = exec.Command("ip", "link", "delete", name).Run() // the end of a pair goes with the other
	}
	for _, program := range []string{"iptables", "ip6tables"} {
		if err := loseRules(program, had.tag); err != nil {
			t.Fatal(err)
		}
	}
	if !had.loseCgroups() {
		t.Fatal("control groups do not go")
	}
	left := slices.Concat(a.leftProcesses(), a.leftMounts(), leftInterfaces(had), leftRules(had), leftCgroups(had))
	if len(left) > 0 {
		t.Fatalf("after the end of everything there is still:\n  %s", strings.Join(left, "\n  "))
	}
}

// killAll kills until nothing is left that could start anything.
func (a *Apron) killAll(t testing.TB) {
	t.Helper()
	var deadline time.Time // counts from the first kill: on a machine with thousands of processes the look for ours takes seconds
	for ; ; time.Sleep(10 * time.Millisecond) {
		pids := a.ContainerProcesses()
		for _, each := range a.Processes() {
			pids = append(pids, each.PID)
		}
		if len(pids) == 0 && len(a.leftProcesses()) == 0 {
			return
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(leaveTimeout)
		} else if time.Now().After(deadline) {
			t.Fatalf("processes do not end: %v", a.leftProcesses())
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// unmountAll unmounts what is below the data directory, the deepest first.
func (a *Apron) unmountAll(t testing.TB) {
	t.Helper()
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var points []string
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 4 && a.names(fields[4]) {
			points = append(points, fields[4])
		}
	}
	slices.Sort(points)
	for _, point := range slices.Backward(points) {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil && err != syscall.EINVAL {
			t.Fatalf("unmount %s: %v", point, err)
		}
	}
}

// loseRules removes the rules that name tag, and its chains, one by one: other aprons' rules may change meanwhile.
func loseRules(program, tag string) error {
	rules, err := exec.Command(program + "-save").Output()
	if err != nil {
		return err
	}
	table := ""
	var chains [][2]string
	for scanner := bufio.NewScanner(bytes.NewReader(rules)); scanner.Scan(); {
		line := scanner.Text()
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":") && strings.Contains(line, tag):
			chains = append(chains, [2]string{table, strings.Fields(line[1:])[0]})
		case strings.HasPrefix(line, "-A ") && strings.Contains(line, tag) && !strings.Contains(strings.Fields(line)[1], tag):
			_ = exec.Command(program, append([]string{"-w", "-t", table, "-D"}, strings.Fields(line)[1:]...)...).Run()
		}
	}
	for _, verb := range []string{"-F", "-X"} {
		for _, chain := range chains {
			_ = exec.Command(program, "-w", "-t", chain[0], verb, chain[1]).Run()
		}
	}
	return nil // leftRules says what stayed
}

// loseCgroups removes the groups, the deepest first, and says whether none is left.
func (b belongings) loseCgroups() bool {
	for deadline := time.Now().Add(leaveTimeout); ; time.Sleep(10 * time.Millisecond) {
		left := leftCgroups(b)
		if len(left) == 0 {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		var groups []string
		for _, line := range left {
			_ = filepath.WalkDir(strings.TrimPrefix(line, "control group "), func(path string, entry fs.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					groups = append(groups, path)
				}
				return nil // what went away meanwhile is as wanted
			})
		}
		slices.Sort(groups)
		for _, group := range slices.Backward(groups) {
			_ = syscall.Rmdir(group)
		}
	}
}

// Dirs lists the folders and files in a folder of the data directory whose names are ids of instances.
func (a *Apron) Dirs(t testing.TB, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(a.Data, folder))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var ids []string
	for _, entry := range entries {
		if IsInstanceID(entry.Name()) {
			ids = append(ids, entry.Name())
		}
	}
	return ids
}

// IsInstanceID says whether a name is an instance's id, and not one that containerd or BuildKit has made.
func IsInstanceID(name string) bool {
	_, err := strconv.ParseUint(name[:min(8, len(name))], 16, 64)
	return err == nil && len(name) == 32
}
