package build_test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/compute/network"
	"github.com/apron-run/apron/internal/platform"
)

// reachScript tries to connect to each of its arguments, and says where that worked. GATEWAY stands for the build's own.
const reachScript = `import socket, sys
gateway = next(socket.inet_ntoa(bytes.fromhex(f[2])[::-1]) for f in map(str.split, open("/proc/net/route")) if f[1] == "00000000")
for target in sys.argv[1:]:
    host, port = target.replace("GATEWAY", gateway).rsplit(":", 1)
    try:
        for family, _, _, _, address in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM):
            with socket.socket(family) as s:
                s.settimeout(1)
                s.connect(address)
                print("reached", target, flush=True)
    except OSError as error:
        print("no way to", target, error, flush=True)
`

func TestABuildReachesTheOutsideAndNothingOfTheMachine(t *testing.T) {
	w := openWorld(t)
	everywhere, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer everywhere.Close()
	_, port, _ := net.SplitHostPort(everywhere.Addr().String())
	closed := []string{
		"GATEWAY:" + port, "127.0.0.1:" + port, "[::1]:" + port, "169.254.169.254:80", w.instance(t),
		net.JoinHostPort("fe80::1%eth0", port),
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		addresses, err := link.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range addresses {
			address := netip.MustParsePrefix(each.String()).Addr()
			host := address.String()
			if address.Is6() && address.IsLinkLocalUnicast() {
				host += "%eth0"
			}
			closed = append(closed, net.JoinHostPort(host, port))
		}
	}
	open := outside(t, http.NotFoundHandler())
	closed = append(closed, publish(t, open))

	dir := t.TempDir()
	write(t, dir, "reach.py", reachScript)
	write(t, dir, "apprunner.yaml", strings.Replace(configuration, "COMMAND", "python3 reach.py "+strings.Join(append(closed, open), " "), 1))
	made := w.mustBuild(t, request(t, dir))
	for _, address := range closed {
		if strings.Contains(made.log, "reached "+address+"\n") {
			t.Errorf("it reaches %s", address)
		}
		if !strings.Contains(made.log, "no way to "+address+" ") {
			t.Errorf("it did not try %s", address)
		}
	}
	if !strings.Contains(made.log, "reached "+open+"\n") {
		t.Errorf("it does not reach %s of the outside", open)
	}
}

// publish makes a port of this machine lead to an address, as published ports of other containers do.
func publish(t *testing.T, to string) string {
	t.Helper()
	const host, port = "198.51.100.1", "39183"
	rule := []string{"PREROUTING", "-p", "tcp", "-d", host, "--dport", port, "-j", "DNAT", "--to-destination", to}
	change := func(what string) {
		if output, err := exec.Command("iptables", append([]string{"-w", "-t", "nat", what}, rule...)...).CombinedOutput(); err != nil {
			t.Fatalf("iptables %s: %v: %s", what, err, output)
		}
	}
	change("-I")
	t.Cleanup(func() { change("-D") })
	return net.JoinHostPort(host, port)
}

// instance starts one that listens until the test ends, and returns its HOST:PORT.
func (w *world) instance(t *testing.T) string {
	t.Helper()
	dir := example(t, "hello-python")
	made := w.mustBuild(t, request(t, dir))
	spec := compute.InstanceSpec{
		ID: platform.NewInstanceID(), ServiceID: platform.NewServiceID(), RevisionID: "1", ServiceName: "test",
		Image: made.image, Args: []string{"python3", "-m", "http.server", "8000"}, Port: 8000,
		CPUUnits: 1024, MemoryMiB: 512, StorageBytes: 1 << 30, LogPath: filepath.Join(t.TempDir(), "instance.log"),
	}
	instance, err := w.backend.Start(t.Context(), spec)
	if err != nil {
		t.Fatalf("start an instance: %v", err)
	}
	t.Cleanup(func() {
		if err := w.backend.Stop(t.Context(), spec.ID, time.Second); err != nil {
			t.Errorf("stop the instance: %v", err)
		}
	})
	return instance.Address
}

// privilegeScript tries what only a privileged process may, and says what it is.
const privilegeScript = `import ctypes, os, socket, stat
libc = ctypes.CDLL(None, use_errno=True)
def call(*args):
    if libc.syscall(*args) < 0:
        raise OSError(ctypes.get_errno(), "refused")
def device():
    os.mknod("/tmp/disk", 0o600 | stat.S_IFBLK, os.makedev(*map(int, DISK.split(":"))))
    open("/tmp/disk", "rb").read(1)
DISK = next((open("/sys/block/" + d + "/dev").read().strip() for d in os.listdir("/sys/block")), "7:0")
def write(path, text):
    with open(path, "w") as file:
        file.write(text)
for name, attempt in {
    "mount": lambda: call(165, b"none", b"/mnt", b"tmpfs", 0, None),
    "unshare": lambda: call(272, 0x10000000),
    "device": device,
    "host name": lambda: socket.sethostname("mine"),
    "clock": lambda: call(227, 0, ctypes.byref((ctypes.c_long * 2)(1, 1))),
    "module": lambda: call(313, 0, b"", 0),
    "bpf": lambda: call(321, 0, None, 0),
    "kernel's settings": lambda: write("/proc/sys/kernel/core_pattern", "|/bin/true"),
    "reboot trigger": lambda: write("/proc/sysrq-trigger", "h"),
    "cgroup": lambda: os.mkdir("/sys/fs/cgroup/pids/mine" if os.path.isdir("/sys/fs/cgroup/pids") else "/sys/fs/cgroup/mine"),
    "kernel's memory": lambda: open("/proc/kcore", "rb").read(1)[0],
    "firmware": lambda: os.listdir("/sys/firmware")[0],
    "interface": lambda: socket.if_nameindex() and __import__("fcntl").ioctl(socket.socket(), 0x8914, b"lo".ljust(16, b"\0") + b"\0" * 24),
}.items():
    try:
        attempt()
        print("may:", name, flush=True)
    except (OSError, IndexError) as error:
        print("may not:", name, error, flush=True)
print(open("/proc/self/status").read())
for line in open("/proc/self/mountinfo"):
    print("mounted", line.split()[4], line.split(" - ")[1].split()[0])
print("processes", *[p for p in os.listdir("/proc") if p.isdigit()])
print("sockets", *[line.split()[-1] for line in open("/proc/net/unix") if "@" in line or "/" in line])
print("resolver", *[line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver")])
`

// allowedCapabilities are what a step has of root's powers: Docker's usual ones, which docs/builds-security.md explains.
const allowedCapabilities = 1<<0 | 1<<1 | 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<13 | 1<<18 | 1<<27 | 1<<29 | 1<<31

func TestABuildHasNoPrivilegesOnTheMachine(t *testing.T) {
	w := openWorld(t)
	dir := t.TempDir()
	write(t, dir, "attempt.py", privilegeScript)
	write(t, dir, "apprunner.yaml", strings.Replace(configuration, "COMMAND", "python3 attempt.py", 1))
	made := w.mustBuild(t, request(t, dir))
	if tried := strings.Count(made.log, "may not: "); strings.Contains(made.log, "may: ") || tried != 13 {
		t.Errorf("of what it tries %d are refused:\n%s", tried, made.log)
	}
	field := func(name string) string {
		found := regexp.MustCompile(`(?m)^\[Build\] ` + name + `:?[ \t]*(.*)$`).FindStringSubmatch(made.log)
		if found == nil {
			t.Fatalf("no %s in:\n%s", name, made.log)
		}
		return found[1]
	}
	if seccomp := field("Seccomp"); seccomp != "2" {
		t.Errorf("its system calls are not filtered: Seccomp is %s", seccomp)
	}
	for _, set := range []string{"CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"} {
		capabilities, err := strconv.ParseUint(field(set), 16, 64)
		if err != nil || capabilities&^allowedCapabilities != 0 {
			t.Errorf("%s is %x (%v), beyond %x", set, capabilities, err, uint64(allowedCapabilities))
		}
	}
	if processes := strings.Fields(field("processes")); len(processes) > 3 {
		t.Errorf("it sees the processes %v", processes)
	}
	if sockets := field("sockets"); sockets != "" {
		t.Errorf("it sees the sockets %s", sockets)
	}
	for _, mounted := range regexp.MustCompile(`(?m)^\[Build\] mounted (\S+)`).FindAllStringSubmatch(made.log, -1) {
		if strings.HasSuffix(mounted[1], ".sock") {
			t.Errorf("the socket %s is mounted in it", mounted[1])
		}
	}
	var servers []string
	for line := range strings.Lines(network.ResolvConf()) {
		if fields := strings.Fields(line); fields[0] == "nameserver" {
			servers = append(servers, fields[1])
		}
	}
	if got := strings.Fields(field("resolver")); !slices.Equal(got, servers) {
		t.Errorf("it looks names up at %v, and instances at %v", got, servers)
	}
}

func TestADockerfileCannotAskForMore(t *testing.T) {
	w := openWorld(t)
	for _, options := range []string{"--network=host", "--security=insecure"} {
		_, err := w.try(t, dockerfile(t, fmt.Sprintf("FROM apron.local/python311\nRUN %s true\nCMD [\"true\"]\n", options)))
		if platform.AsExplained(err) == nil {
			t.Errorf("RUN %s: %v", options, err)
		}
	}
}
