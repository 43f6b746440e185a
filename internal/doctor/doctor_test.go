package doctor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// healthy is a machine on which every check is well.
func healthy(t *testing.T) *Machine {
	t.Helper()
	root := t.TempDir()
	m := ThisMachine(Config{
		DataDir: filepath.Join(root, "data"), CacheDir: filepath.Join(root, "cache"), BinDir: filepath.Join(root, "bin"),
		Addresses: []Address{{"--api", "127.0.0.1:0"}},
	})
	m.Root = root
	m.System, m.UserID = "linux/amd64", 0
	m.Now = func() time.Time { return time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC) }
	m.LookPath = func(name string) (string, error) { return "/usr/bin/" + name, nil }
	m.Listen = func(string) error { return nil }
	m.Usage = func(string) (Usage, error) { return Usage{60 << 30, 100 << 30, 1 << 20, 2 << 20}, nil }
	m.MountOverlay = func(string) error { return nil }
	m.EnterNamespaces = func() error { return nil }
	m.OpenForWriting = func(string) error { return nil }
	put(t, m, "/proc/self/status", "Name:\tapron\nCapEff:\t000001ffffffffff\n")
	put(t, m, "/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
	put(t, m, "/proc/self/mountinfo", "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"+
		"29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")
	put(t, m, "/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids\n")
	put(t, m, "/proc/sys/kernel/seccomp/actions_avail", "kill_process kill_thread trap errno trace log allow\n")
	put(t, m, "/proc/meminfo", "MemTotal:        8000000 kB\nMemFree: 1 kB\nMemAvailable:    6000000 kB\n")
	for _, name := range daemons {
		put(t, m, "/bin/"+name, "#!")
		if err := os.Chmod(filepath.Join(root, "bin", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func put(t *testing.T, m *Machine, path, content string) {
	t.Helper()
	path = m.path(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAHealthyMachineIsWell(t *testing.T) {
	results := Examine(t.Context(), healthy(t))
	for _, result := range results {
		if result.State != StateOK || result.Message == "" || result.Remedy != "" {
			t.Errorf("%+v", result)
		}
	}
	if HasFailed(results) || len(results) != len(checks) {
		t.Errorf("%d results of %d checks", len(results), len(checks))
	}
}

// oldMounts are the mounts of a machine with cgroup version 1 beside an empty version 2, as Debian 10 has them.
func oldMounts(controllers ...string) string {
	text := "35 22 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	for i, name := range controllers {
		text += fmt.Sprintf("%d 22 0:%d / /sys/fs/cgroup/%s rw,nosuid shared:9 - cgroup cgroup rw,%s\n", 40+i, 40+i, name, name)
	}
	return text
}

func TestEachFaultIsNamedWithItsRemedy(t *testing.T) {
	for name, c := range map[string]struct {
		check   string
		spoil   func(t *testing.T, m *Machine)
		state   State
		message string
	}{
		"arm64":    {"system", func(_ *testing.T, m *Machine) { m.System = "linux/arm64" }, StateFail, "linux/arm64"},
		"macOS":    {"system", func(_ *testing.T, m *Machine) { m.System = "darwin/amd64" }, StateFail, "darwin/amd64"},
		"not root": {"root", func(_ *testing.T, m *Machine) { m.UserID = 1000 }, StateFail, "not root"},
		"root without powers": {"root", func(t *testing.T, m *Machine) { put(t, m, "/proc/self/status", "CapEff:\t00000000a80425fb\n") },
			StateFail, "without CAP_NET_ADMIN, CAP_SYS_ADMIN"},
		"unreadable capabilities": {"root", func(t *testing.T, m *Machine) { put(t, m, "/proc/self/status", "Name: x\n") }, StateWarn, "cannot be read"},
		"no proc":                 {"root", func(t *testing.T, m *Machine) { remove(t, m, "/proc/self/status") }, StateFail, "/proc cannot be read"},
		"ancient kernel":          {"kernel", func(t *testing.T, m *Machine) { put(t, m, "/proc/sys/kernel/osrelease", "3.10.0-1160\n") }, StateFail, "Linux 3.10.0-1160 is too old"},
		"old kernel":              {"kernel", func(t *testing.T, m *Machine) { put(t, m, "/proc/sys/kernel/osrelease", "4.19.0\n") }, StateWarn, "older"},
		"unknown kernel":          {"kernel", func(t *testing.T, m *Machine) { put(t, m, "/proc/sys/kernel/osrelease", "x\n") }, StateWarn, "cannot be read"},
		"no mountinfo":            {"cgroups", func(t *testing.T, m *Machine) { remove(t, m, "/proc/self/mountinfo") }, StateFail, "mounts cannot be read"},
		"no cgroups":              {"cgroups", func(t *testing.T, m *Machine) { put(t, m, "/proc/self/mountinfo", "") }, StateFail, "No cgroups"},
		"read-only cgroups": {"cgroups", func(t *testing.T, m *Machine) {
			put(t, m, "/proc/self/mountinfo", "29 22 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup2 rw\n")
		}, StateFail, "read-only"},
		"cgroup 2 without memory": {"cgroups", func(t *testing.T, m *Machine) { put(t, m, "/sys/fs/cgroup/cgroup.controllers", "cpu io pids\n") },
			StateFail, "controllers memory are missing"},
		"cgroup 2 without a list": {"cgroups", func(t *testing.T, m *Machine) { remove(t, m, "/sys/fs/cgroup/cgroup.controllers") }, StateFail, "cannot be read"},
		"cgroup 1 without pids": {"cgroups", func(t *testing.T, m *Machine) {
			put(t, m, "/proc/self/mountinfo", oldMounts("cpu,cpuacct", "memory", "devices", "freezer"))
		}, StateFail, "controllers pids are missing"},
		"no namespaces":  {"namespaces", func(_ *testing.T, m *Machine) { m.EnterNamespaces = refuse }, StateFail, "operation not permitted"},
		"no seccomp":     {"seccomp", func(t *testing.T, m *Machine) { remove(t, m, "/proc/sys/kernel/seccomp/actions_avail") }, StateFail, "no seccomp"},
		"no loop":        {"loop devices", func(_ *testing.T, m *Machine) { m.OpenForWriting = func(string) error { return refuse() } }, StateFail, "no loop devices"},
		"no mmdebstrap":  {"programs", func(_ *testing.T, m *Machine) { m.LookPath = without("mmdebstrap") }, StateFail, "mmdebstrap (assembles"},
		"no iptables":    {"programs", func(_ *testing.T, m *Machine) { m.LookPath = without("iptables") }, StateFail, "iptables (keeps"},
		"no git":         {"programs", func(_ *testing.T, m *Machine) { m.LookPath = without("git") }, StateFail, "git (fetches"},
		"no runc":        {"daemons", func(t *testing.T, m *Machine) { remove(t, m, "/bin/runc") }, StateFail, ": runc."},
		"daemon no file": {"daemons", func(t *testing.T, m *Machine) { m.BinDir = "/nowhere" }, StateFail, "Not in /nowhere: apron-log, containerd"},
		"daemon not executable": {"daemons", func(t *testing.T, m *Machine) {
			if err := os.Chmod(m.path("/bin/buildkitd"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, StateFail, ": buildkitd."},
		"data is a file": {"data directory", func(t *testing.T, m *Machine) { put(t, m, "/data", "x") }, StateFail, "not a folder"},
		"data not writable": {"data directory", func(_ *testing.T, m *Machine) { m.WriteProbe = func(string) error { return refuse() } },
			StateFail, "Nothing can be written"},
		"no overlay":         {"overlayfs", func(_ *testing.T, m *Machine) { m.MountOverlay = func(string) error { return refuse() } }, StateFail, "No overlay"},
		"disk nearly full":   {"disk", func(_ *testing.T, m *Machine) { m.Usage = free(4<<30, 100<<30, 1<<20) }, StateFail, "Only 4.0 GB are free"},
		"disk filling":       {"disk", func(_ *testing.T, m *Machine) { m.Usage = free(15<<30, 100<<30, 1<<20) }, StateWarn, "85 % full"},
		"disk without files": {"disk", func(_ *testing.T, m *Machine) { m.Usage = free(60<<30, 100<<30, 10) }, StateFail, "10 more files"},
		"disk unknown": {"disk", func(_ *testing.T, m *Machine) {
			m.Usage = func(string) (Usage, error) { return Usage{}, refuse() }
		}, StateWarn, "cannot be told"},
		"cache disk nearly full": {"disk", func(t *testing.T, m *Machine) {
			if err := os.MkdirAll(m.CacheDir, 0o755); err != nil {
				t.Fatal(err)
			}
			m.Usage = func(dir string) (Usage, error) {
				if dir == m.CacheDir {
					return Usage{1 << 30, 100 << 30, 1 << 20, 1 << 20}, nil
				}
				return Usage{60 << 30, 100 << 30, 1 << 20, 1 << 20}, nil
			}
		}, StateFail, "/cache; images"},
		"tiny memory": {"memory", func(t *testing.T, m *Machine) {
			put(t, m, "/proc/meminfo", "MemTotal: 500000 kB\nMemAvailable: 400000 kB\n")
		}, StateFail, "only 0.5 GB"},
		"memory used up": {"memory", func(t *testing.T, m *Machine) {
			put(t, m, "/proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 100000 kB\n")
		}, StateWarn, "Little memory"},
		"memory unknown": {"memory", func(t *testing.T, m *Machine) { remove(t, m, "/proc/meminfo") }, StateWarn, "cannot be told"},
		"clock at zero":  {"clock", func(_ *testing.T, m *Machine) { m.Now = func() time.Time { return time.Unix(0, 0) } }, StateFail, "1970-01-01"},
		"clock far ahead": {"clock", func(_ *testing.T, m *Machine) {
			m.Now = func() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }
		}, StateFail, "2200-01-01"},
		"port taken": {"ports", func(_ *testing.T, m *Machine) {
			m.Listen = func(string) error { return fmt.Errorf("listen: %w", syscall.EADDRINUSE) }
			m.holderOfAddress = func(*Machine, string) string { return "nginx (pid 123)" }
		}, StateFail, "127.0.0.1:0 is taken by nginx (pid 123)"},
		"port below 1024": {"ports", func(_ *testing.T, m *Machine) { m.Listen = func(string) error { return syscall.EACCES } }, StateFail, "not allowed"},
		"borrowed bridge gone": {"networks", func(t *testing.T, m *Machine) {
			put(t, m, "/sys/class/net/br1/bridge/bridge_id", "8000.x")
			put(t, m, "/data/networks.json", `[{"Name":"own","Bridge":"apr0"},{"Name":"lan","Bridge":"br0","IsBorrowed":true},{"Name":"b","Bridge":"br1","IsBorrowed":true}]`)
		}, StateWarn, ": br0 of the network lan."},
		"networks unreadable": {"networks", func(t *testing.T, m *Machine) { put(t, m, "/data/networks.json", "{") }, StateWarn, "cannot be read"},
		"foreign address": {"ports", func(_ *testing.T, m *Machine) { m.Listen = func(string) error { return syscall.EADDRNOTAVAIL } },
			StateFail, "not an address of this machine"},
	} {
		t.Run(name, func(t *testing.T) {
			machine := healthy(t)
			c.spoil(t, machine)
			results := Examine(t.Context(), machine)
			for _, result := range results {
				if result.Name != c.check {
					continue
				}
				if result.State != c.state || !strings.Contains(result.Message, c.message) || result.Remedy == "" {
					t.Errorf("found %+v, want %s with %q and a remedy", result, c.state, c.message)
				}
				if !strings.HasSuffix(result.Message, ".") || !strings.HasSuffix(result.Remedy, ".") {
					t.Errorf("%+v are no sentences", result)
				}
			}
			if HasFailed(results) != (c.state == StateFail) {
				t.Errorf("HasFailed is %v: %+v", HasFailed(results), results)
			}
		})
	}
}

func TestVersion1CgroupsAreEnough(t *testing.T) {
	machine := healthy(t)
	put(t, machine, "/proc/self/mountinfo", oldMounts("cpu,cpuacct", "memory", "devices", "freezer", "pids"))
	if result := checkCgroups(t.Context(), machine); result.State != StateOK || !strings.Contains(result.Message, "version 1") {
		t.Errorf("found %+v", result)
	}
}

func TestARunningApronMayHoldItsPorts(t *testing.T) {
	machine := healthy(t)
	machine.Listen = func(string) error { return syscall.EADDRINUSE }
	machine.IsRunning = true
	if result := checkPorts(t.Context(), machine); result.State != StateOK {
		t.Errorf("found %+v", result)
	}
}

func TestTheHolderOfAPortIsFound(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	machine := ThisMachine(Config{Addresses: []Address{{"--api", listener.Addr().String()}}})
	result := checkPorts(t.Context(), machine)
	want := fmt.Sprintf("(pid %d)", os.Getpid())
	if result.State != StateFail || !strings.Contains(result.Message, want) || !strings.Contains(result.Remedy, "--api") {
		t.Errorf("found %+v, want %s", result, want)
	}
}

// The machine of the tests runs containers, so that what the checks really do must work on it and leave nothing.
func TestTheRealChecksWorkHereAndLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	machine := ThisMachine(Config{DataDir: filepath.Join(dir, "not", "yet"), CacheDir: dir})
	for _, check := range []func() Result{
		func() Result { return checkSystem(t.Context(), machine) },
		func() Result { return checkRoot(t.Context(), machine) },
		func() Result { return checkKernel(t.Context(), machine) },
		func() Result { return checkCgroups(t.Context(), machine) },
		func() Result { return checkNamespaces(t.Context(), machine) },
		func() Result { return checkSeccomp(t.Context(), machine) },
		func() Result { return checkLoop(t.Context(), machine) },
		func() Result { return checkDataDir(t.Context(), machine) },
		func() Result { return checkOverlay(t.Context(), machine) },
		func() Result { return checkMemory(t.Context(), machine) },
		func() Result { return checkClock(t.Context(), machine) },
	} {
		if result := check(); result.State == StateFail {
			t.Errorf("%+v", result)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("a mount is left behind (%v)", err)
	}
}

func remove(t *testing.T, m *Machine, path string) {
	t.Helper()
	if err := os.Remove(m.path(path)); err != nil {
		t.Fatal(err)
	}
}

func refuse() error { return syscall.EPERM }

func without(missing string) func(string) (string, error) {
	return func(name string) (string, error) {
		if name == missing {
			return "", errors.New("not found")
		}
		return "/usr/bin/" + name, nil
	}
}

func free(bytes, total, files uint64) func(string) (Usage, error) {
	return func(string) (Usage, error) { return Usage{bytes, total, files, 2 << 20}, nil }
}
