package doctor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

func checkSystem(_ context.Context, m *Machine) Result {
	if m.System != "linux/amd64" {
		return fail("Use a machine with Linux on x86-64.", "This is %s; apron runs on linux/amd64 only.", m.System)
	}
	return ok("This is linux/amd64.")
}

// neededCapabilities are what root may lack inside a container, by their bit in CapEff.
var neededCapabilities = map[string]uint{"CAP_NET_ADMIN": 12, "CAP_SYS_CHROOT": 18, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}

func checkRoot(_ context.Context, m *Machine) Result {
	if m.UserID != 0 {
		return fail("Run it as root, for example with sudo.", "You are not root, and containers need root.")
	}
	status, err := m.read("/proc/self/status")
	if err != nil {
		return fail("Mount /proc.", "/proc cannot be read: %v.", err)
	}
	effective, err := strconv.ParseUint(field(status, "CapEff:"), 16, 64)
	if err != nil {
		return warn("Look at CapEff in /proc/self/status.", "The capabilities of root cannot be read.")
	}
	var missing []string
	for name, bit := range neededCapabilities {
		if effective&(1<<bit) == 0 {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fail("Run apron outside of a container, or in a privileged one.",
			"You are root without %s, which containers need.", strings.Join(missing, ", "))
	}
	return ok("You are root with the capabilities that containers need.")
}

// field returns the text after a name at the beginning of a line.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, name); found {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func checkKernel(_ context.Context, m *Machine) Result {
	release, err := m.read("/proc/sys/kernel/osrelease")
	release = strings.TrimSpace(release)
	var major, minor int
	if err == nil {
		_, err = fmt.Sscanf(release, "%d.%d", &major, &minor)
	}
	switch {
	case err != nil:
		return warn("Look at /proc/sys/kernel/osrelease.", "The kernel's version cannot be read.")
	case major < 4 || major == 4 && minor < 18:
		return fail("Use a distribution with Linux 5.10 or newer, such as Debian 11 or Ubuntu 22.04.", "Linux %s is too old.", release)
	case major < 5 || major == 5 && minor < 10:
		return warn("Use a distribution with Linux 5.10 or newer, such as Debian 11 or Ubuntu 22.04.", "Linux %s is older than what apron is tested with.", release)
	}
	return ok("Linux %s.", release)
}

// neededControllers are the cgroup controllers that limit an instance. Under cgroup v1, freezer and devices are
// controllers too; v2 has them built in.
var neededControllers = []string{"cpu", "memory", "pids"}

func checkCgroups(_ context.Context, m *Machine) Result {
	mounts, err := readMounts(m)
	if err != nil {
		return fail("Mount /proc.", "The mounts cannot be read: %v.", err)
	}
	unified, v1 := "", map[string]bool{}
	for _, mount := range mounts {
		switch {
		case mount.kind == "cgroup2" && mount.point == "/sys/fs/cgroup":
			unified = mount.point
			if !mount.isWritable {
				return fail("Run apron outside of a container, or in a privileged one.", "The cgroups are mounted read-only.")
			}
		case mount.kind == "cgroup" && mount.isWritable:
			for option := range strings.SplitSeq(mount.superOptions, ",") {
				v1[option] = true
			}
		}
	}
	if unified != "" {
		return checkUnified(m)
	}
	var missing []string
	for _, name := range append(slices.Clone(neededControllers), "freezer", "devices") {
		if !v1[name] {
			missing = append(missing, name)
		}
	}
	switch {
	case len(v1) == 0:
		return fail("Mount them at /sys/fs/cgroup, as systemd or the package cgroupfs-mount does.", "No cgroups are mounted for writing.")
	case len(missing) > 0:
		return fail("Mount these controllers below /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1.",
			"The cgroup controllers %s are missing.", strings.Join(missing, ", "))
	}
	return ok("Cgroups are version 1 with every controller that is needed.")
}

func checkUnified(m *Machine) Result {
	text, err := m.read("/sys/fs/cgroup/cgroup.controllers")
	if err != nil {
		return fail("Look at /sys/fs/cgroup.", "The cgroup controllers cannot be read: %v.", err)
	}
	have := strings.Fields(text)
	var missing []string
	for _, name := range neededControllers {
		if !slices.Contains(have, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fail("Enable them in the kernel's configuration or command line (for memory: cgroup_enable=memory).",
			"The cgroup controllers %s are missing.", strings.Join(missing, ", "))
	}
	return ok("Cgroups are version 2 with every controller that is needed.")
}

type mount struct {
	point, kind, superOptions string
	isWritable                bool
}

// readMounts reads /proc/self/mountinfo (proc_pid_mountinfo(5)): the fields up to " - " are the mount's, those after it
// the file system's.
func readMounts(m *Machine) ([]mount, error) {
	file, err := os.Open(m.path("/proc/self/mountinfo"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var mounts []mount
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		own, system := strings.Fields(before), strings.Fields(after)
		if len(own) < 6 || len(system) < 3 {
			continue
		}
		isWritable := slices.Contains(strings.Split(own[5], ","), "rw")
		mounts = append(mounts, mount{own[4], system[0], system[2], isWritable})
	}
	return mounts, lines.Err()
}

func checkNamespaces(_ context.Context, m *Machine) Result {
	if err := m.EnterNamespaces(); err != nil {
		return fail("Run apron outside of a container, or in a privileged one, on a kernel with namespaces.",
			"A process cannot be started in new mount, network, PID, IPC and UTS namespaces: %v.", err)
	}
	return ok("Processes can be started in namespaces of their own.")
}

func checkSeccomp(_ context.Context, m *Machine) Result {
	actions, err := m.read("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil || !strings.Contains(actions, "errno") {
		return fail("Use a kernel with CONFIG_SECCOMP_FILTER; every distribution's has it.", "The kernel has no seccomp filters, which confine instances.")
	}
	return ok("The kernel filters system calls.")
}

func checkLoop(_ context.Context, m *Machine) Result {
	if err := m.OpenForWriting(m.path("/dev/loop-control")); err != nil {
		return fail("Run `modprobe loop`, or run apron outside of a container.",
			"There are no loop devices, which limit what an instance may write: %v.", err)
	}
	return ok("Loop devices are there.")
}
