package apron

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/compute/containerd"
)

// belongings is what an apron has on the machine whose names do not say so: they are noted before it goes.
type belongings struct {
	// interfaces are its bridges and what is plugged into them.
	interfaces []string
	// tag is part of the names of its firewall chains and control groups.
	tag string
	// cgroups are the control groups of its containers' processes, with the apron's own above them.
	cgroups []string
}

// leaveTimeout is how long the kernel may take to end what has no user any more: it does so in the background.
const leaveTimeout = 5 * time.Second

// belongings notes what the apron has now.
func (a *Apron) belongings() belongings {
	var b belongings
	var layout struct{ Instances struct{ Name string } }
	if content, err := os.ReadFile(filepath.Join(a.Data, "network.json")); err == nil {
		json.Unmarshal(content, &layout)
	}
	if name := layout.Instances.Name; name != "" {
		b.tag = strings.TrimPrefix(name[:len(name)-1], "apr")
	}
	for _, bridge := range b.bridges() {
		b.interfaces = append(b.interfaces, bridge)
		plugged, _ := os.ReadDir("/sys/class/net/" + bridge + "/brif")
		for _, each := range plugged {
			b.interfaces = append(b.interfaces, each.Name())
		}
	}
	// A container of another apron that is just being made still sees our mounts, but is in a group of its apron's.
	parent := containerd.CgroupParent(a.Data)
	for _, pid := range a.ContainerProcesses() {
		groups, _ := cgroupsOf(strconv.Itoa(pid))
		for _, group := range groups {
			for ; strings.Contains(group, parent); group = filepath.Dir(group) {
				b.cgroups = append(b.cgroups, group)
			}
		}
	}
	slices.Sort(b.cgroups)
	b.cgroups = slices.Compact(b.cgroups)
	return b
}

// bridges are those that the apron has made and that are there: of instances, of builds, and of networks of the host.
func (b belongings) bridges() []string {
	var names []string
	links, _ := os.ReadDir("/sys/class/net")
	for _, link := range links {
		if b.tag != "" && strings.HasPrefix(link.Name(), "apr"+b.tag) {
			names = append(names, link.Name())
		}
	}
	return names
}

// leftovers lists what is still there of an apron that has gone, and what it had.
func (a *Apron) leftovers(had belongings) []string {
	for deadline := time.Now().Add(leaveTimeout); ; time.Sleep(50 * time.Millisecond) {
		left := slices.Concat(a.leftProcesses(), a.leftMounts(), leftInterfaces(had), leftRules(had), a.leftLoopDevices(), leftCgroups(had))
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

// names says whether text holds the path of the data directory, not only a longer one that begins the same.
func (a *Apron) names(text string) bool {
	return regexp.MustCompile(regexp.QuoteMeta(a.Data) + `([^0-9]|$)`).MatchString(text)
}

// leftProcesses lists processes that name the data directory, work in it, or live in a container whose files are there.
func (a *Apron) leftProcesses() []string {
	var left []string
	for _, pid := range processes() {
		if pid == os.Getpid() || pid == a.guard.process.Process.Pid {
			continue
		}
		dir := "/proc/" + strconv.Itoa(pid)
		raw, _ := os.ReadFile(dir + "/cmdline")
		commandLine := strings.ReplaceAll(strings.TrimRight(string(raw), "\x00"), "\x00", " ")
		workingDir, _ := os.Readlink(dir + "/cwd")
		if a.names(commandLine) || a.names(workingDir) {
			left = append(left, fmt.Sprintf("process %d: %s (in %s)", pid, commandLine, workingDir))
		}
	}
	for _, pid := range a.ContainerProcesses() {
		name, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
		left = append(left, fmt.Sprintf("process %d of a container: %s", pid, strings.TrimSpace(string(name))))
	}
	return left
}

// ContainerProcesses lists processes in other mount namespaces that see files of the data directory.
func (a *Apron) ContainerProcesses() []int {
	own, _ := os.Readlink("/proc/self/ns/mnt")
	var pids []int
	for _, pid := range processes() {
		dir := "/proc/" + strconv.Itoa(pid)
		namespace, err := os.Readlink(dir + "/ns/mnt")
		if err != nil || namespace == own {
			continue
		}
		if mounts, err := os.ReadFile(dir + "/mountinfo"); err == nil && a.names(string(mounts)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (a *Apron) leftMounts() []string {
	var left []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return []string{err.Error()}
	}
	for line := range strings.Lines(string(mounts)) {
		if a.names(line) {
			left = append(left, "mount: "+strings.TrimSpace(line))
		}
	}
	return left
}

func (a *Apron) leftLoopDevices() []string {
	var left []string
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, file := range files {
		if backing, err := os.ReadFile(file); err == nil && a.names(string(backing)) {
			left = append(left, fmt.Sprintf("loop device %s of %s", filepath.Base(filepath.Dir(filepath.Dir(file))), strings.TrimSpace(string(backing))))
		}
	}
	return left
}

func leftInterfaces(had belongings) []string {
	var left []string
	for _, name := range slices.Compact(slices.Sorted(slices.Values(append(had.bridges(), had.interfaces...)))) {
		if _, err := os.Stat("/sys/class/net/" + name); err == nil {
			left = append(left, "interface "+name)
		}
	}
	return left
}

func leftRules(had belongings) []string {
	if had.tag == "" {
		return nil
	}
	var left []string
	for _, program := range []string{"iptables-save", "ip6tables-save"} {
		rules, err := exec.Command(program).Output()
		if err != nil {
			return []string{program + ": " + err.Error()}
		}
		for line := range strings.Lines(string(rules)) {
			if strings.Contains(line, had.tag) {
				left = append(left, "firewall: "+strings.TrimSpace(line))
			}
		}
	}
	return left
}

func leftCgroups(had belongings) []string {
	var left []string
	filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil // it went away, or is a file
		}
		isNoted := slices.ContainsFunc(had.cgroups, func(group string) bool { return strings.HasSuffix(path, group) })
		if isNoted || had.tag != "" && strings.Contains(entry.Name(), had.tag) {
			left = append(left, "control group "+path)
		}
		return nil
	})
	return left
}

// cgroupsOf lists a process's control groups, in every hierarchy.
func cgroupsOf(pid string) ([]string, error) {
	content, err := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil {
		return nil, err
	}
	var groups []string
	for line := range strings.Lines(string(content)) {
		if fields := strings.SplitN(strings.TrimSpace(line), ":", 3); len(fields) == 3 {
			groups = append(groups, fields[2])
		}
	}
	return groups, nil
}

func processes() []int {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
