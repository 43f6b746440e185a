package network_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/compute/network"
)

// openPort is the one port of the host that instances may reach.
const openPort = 39181

func newNetwork(t *testing.T) *network.Network {
	t.Helper()
	n := openNetwork(t, t.TempDir())
	ensure(t, n)
	return n
}

// openNetwork is the network of a data directory as a start of apron finds it.
func openNetwork(t *testing.T, dir string) *network.Network {
	t.Helper()
	plugins, err := filepath.Abs("../../../bin/cni")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(plugins, "bridge")); err != nil {
		t.Fatalf("run `make build`: %v", err)
	}
	n, err := network.New(network.Config{DataDir: dir, PluginDir: plugins, OpenPorts: []int{openPort}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}

func ensure(t *testing.T, n *network.Network) {
	t.Helper()
	if err := n.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// namespace is a network namespace with an address; functions run in it on a thread of its own.
type namespace struct {
	path    string
	address netip.Addr
	calls   chan func()
}

func attach(t *testing.T, n *network.Network, id string, subnets ...string) *namespace {
	t.Helper()
	ns := newNamespace(t)
	address, err := n.Attach(t.Context(), id, ns.path, subnets...)
	if err != nil {
		t.Fatal(err)
	}
	ns.address = address
	t.Cleanup(func() {
		if err := n.Detach(context.Background(), id, ns.path); err != nil {
			t.Error(err)
		}
	})
	return ns
}

// newNamespace is one that is not attached to anything.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	ns := &namespace{calls: make(chan func())}
	ready, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, and the namespace with the thread
		err := unix.Unshare(unix.CLONE_NEWNET)
		if lo, missing := netlink.LinkByName("lo"); err == nil && missing == nil {
			err = netlink.LinkSetUp(lo)
		}
		ns.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		ready <- err
		for call := range ns.calls {
			call()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(ns.calls)
		<-ended
	})
	return ns
}

// inside runs do in the namespace. Sockets made in it stay there.
func (ns *namespace) inside(do func()) {
	done := make(chan struct{})
	ns.calls <- func() { defer close(done); do() }
	<-done
}

func (ns *namespace) listen(t *testing.T) string {
	t.Helper()
	return ns.listenAt(t, ns.address)
}

func (ns *namespace) listenAt(t *testing.T, address netip.Addr) string {
	t.Helper()
	var listener net.Listener
	var err error
	ns.inside(func() { listener, err = net.Listen("tcp4", net.JoinHostPort(address.String(), "0")) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// reaches says whether a connection to address comes about from within the namespace. It uses the system calls, because
// net.Dial may change threads.
func (ns *namespace) reaches(t *testing.T, address string) bool {
	t.Helper()
	to := netip.MustParseAddrPort(address)
	var family int
	var target unix.Sockaddr
	if to.Addr().Is4() {
		family, target = unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	} else {
		family, target = unix.AF_INET6, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16(), ZoneId: ns.index(t)}
	}
	var err error
	ns.inside(func() {
		var socket int
		if socket, err = unix.Socket(family, unix.SOCK_STREAM, 0); err != nil {
			return
		}
		defer unix.Close(socket)
		wait := unix.NsecToTimeval(int64(500 * time.Millisecond))
		if err = unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait); err != nil {
			return
		}
		err = unix.Connect(socket, target)
	})
	return err == nil
}

func (ns *namespace) index(t *testing.T) uint32 {
	t.Helper()
	var link netlink.Link
	var err error
	ns.inside(func() { link, err = netlink.LinkByName("eth0") })
	if err != nil {
		t.Fatal(err)
	}
	return uint32(link.Attrs().Index)
}

func hostListens(t *testing.T, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

func TestAnInstanceReachesNothingButTheServices(t *testing.T) {
	one, two := newNetwork(t), newNetwork(t)
	ns := attach(t, one, "a")
	gateway := one.Gateway().String()
	if own := ns.listen(t); !ns.reaches(t, own) {
		t.Error("it does not reach itself")
	}
	if !ns.reaches(t, hostListens(t, fmt.Sprintf("%s:%d", gateway, openPort))) {
		t.Error("it does not reach the services' port")
	}
	for what, address := range map[string]string{
		"an instance beside it":        attach(t, one, "b").listen(t),
		"an instance of another apron": attach(t, two, "c").listen(t),
		"another port of the host":     hostListens(t, gateway+":0"),
		"the host at another bridge":   hostListens(t, two.Gateway().String()+":0"),
		"the cloud's metadata":         "169.254.169.254:80",
		"the host by an IPv6 link":     hostByLink(t, one.InstanceBridge()),
	} {
		if address != "" && ns.reaches(t, address) {
			t.Errorf("it reaches %s at %s", what, address)
		}
	}
}

// hostByLink is an address at which the host listens on the bridge's link-local IPv6 address, or nothing without IPv6.
func hostByLink(t *testing.T, bridge string) string {
	t.Helper()
	link, err := netlink.LinkByName(bridge)
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if err != nil || len(addresses) == 0 {
		return ""
	}
	_, port, _ := net.SplitHostPort(hostListens(t, "[::]:0"))
	return net.JoinHostPort(addresses[0].IP.String(), port)
}

func TestTheHostReachesAnInstance(t *testing.T) {
	ns := attach(t, newNetwork(t), "a")
	conn, err := net.DialTimeout("tcp", ns.listen(t), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// What is plugged in knows the bridge by its hardware address, and finds out late when that is another one.
func TestTheBridgeKeepsItsAddressWhenAnInstanceComesOrGoes(t *testing.T) {
	n := newNetwork(t)
	address := func() string {
		t.Helper()
		link, err := netlink.LinkByName(n.InstanceBridge())
		if err != nil {
			t.Fatal(err)
		}
		return link.Attrs().HardwareAddr.String()
	}
	before := address()
	for _, id := range []string{"a", "b", "c"} {
		attach(t, n, id)
		if now := address(); now != before {
			t.Errorf("with the instance %s the bridge is %s, and was %s", id, now, before)
		}
	}
	if err := n.Detach(t.Context(), "a", ""); err != nil {
		t.Fatal(err)
	}
	if now := address(); now != before {
		t.Errorf("without the instance a the bridge is %s, and was %s", now, before)
	}
}

// The plugins that a killed apron was running go on, and may be done after those of the next one have begun.
func TestWhatIsAttachedAlreadyIsTold(t *testing.T) {
	n := newNetwork(t)
	ns := attach(t, n, "a")
	if _, err := n.Attach(t.Context(), "a", ns.path); !errors.Is(err, network.ErrAttached) {
		t.Errorf("the second time: %v", err)
	}
	if err := n.Detach(t.Context(), "a", ns.path); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Attach(t.Context(), "a", ns.path); err != nil {
		t.Errorf("when it was detached: %v", err)
	}
}

// firewall is what the firewall has of a network.
func firewall(t *testing.T, n *network.Network) string {
	t.Helper()
	chains := "APRON-" + strings.TrimSuffix(strings.TrimPrefix(n.InstanceBridge(), "apr"), "i") + "-"
	var all strings.Builder
	for _, program := range []string{"iptables-save", "ip6tables-save"} {
		output, err := exec.Command(program).Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(output)) {
			if strings.Contains(line, chains) {
				name, _, _ := strings.Cut(line, " [") // without the counters
				all.WriteString(name + "\n")
			}
		}
	}
	return all.String()
}

// Google's machines have their only name server at the address of the metadata.
func TestNameServersBesideTheMetadataAreReachedByTheirPortAlone(t *testing.T) {
	rules := firewall(t, newNetwork(t))
	dns, metadata := strings.Index(rules, "-d 169.254.0.0/16 "), strings.Index(rules, "-d 169.254.0.0/16 -i")
	if dns < 0 || metadata < 0 || dns > metadata || strings.Count(rules, "169.254.0.0/16") != 6 || strings.Count(rules, "--dport 53 -j ACCEPT") != 4 {
		t.Errorf("the rules are:\n%s", rules)
	}
}

func TestEnsureCanBeRepeatedAndRemoveLeavesNothing(t *testing.T) {
	n := newNetwork(t)
	once := firewall(t, n)
	if once == "" {
		t.Fatal("no rules were made")
	}
	ensure(t, n)
	if again := firewall(t, n); again != once {
		t.Errorf("the second time changes the rules:\n%s\nwas:\n%s", again, once)
	}
	for range 2 {
		if err := n.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after := firewall(t, n); after != "" {
		t.Errorf("rules are left:\n%s", after)
	}
	if _, err := netlink.LinkByName(n.InstanceBridge()); !errors.As(err, &netlink.LinkNotFoundError{}) {
		t.Errorf("the bridge is left (%v)", err)
	}
}

func TestTheChoiceOfAddressesIsKept(t *testing.T) {
	n := newNetwork(t)
	other := newNetwork(t)
	if n.Gateway() == other.Gateway() || n.InstanceBridge() == other.InstanceBridge() {
		t.Errorf("two aprons share %s on %s", n.Gateway(), n.InstanceBridge())
	}
}
