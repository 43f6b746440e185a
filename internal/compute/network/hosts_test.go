package network_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"

	"github.com/apron-run/apron/internal/compute/network"
	"github.com/apron-run/apron/internal/platform"
)

// hostPort is the port of the host that a test's networks open.
const hostPort = 39182

func createHost(t *testing.T, n *network.Network, wanted platform.HostNetwork) platform.HostNetwork {
	t.Helper()
	made, err := n.CreateHostNetwork(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// newBridge is a bridge of the host that no apron has made, with an address.
func newBridge(t *testing.T, name, address string) netlink.Link {
	t.Helper()
	attributes := netlink.NewLinkAttrs()
	attributes.Name = name
	link := &netlink.Bridge{LinkAttrs: attributes}
	if err := netlink.LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netlink.LinkDel(link); err != nil {
			t.Error(err)
		}
	})
	if address != "" {
		giveAddress(t, link, address)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	return link
}

func giveAddress(t *testing.T, link netlink.Link, text string) {
	t.Helper()
	address, err := netlink.ParseAddr(text)
	if err == nil {
		err = netlink.AddrAdd(link, address)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// plug is a machine on a bridge, as a database would be: a namespace with an address there.
func plug(t *testing.T, bridge, address string) *namespace {
	t.Helper()
	ns := newNamespace(t)
	master, err := netlink.LinkByName(bridge)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(ns.path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MasterIndex = fmt.Sprintf("tst%08x", rand.Uint32()), master.Attrs().Index
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: attributes.Name + "p", PeerNamespace: netlink.NsFd(file.Fd())}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		t.Fatal(err)
	}
	ns.inside(func() {
		var peer netlink.Link
		if peer, err = netlink.LinkByName(pair.PeerName); err != nil {
			return
		}
		var parsed *netlink.Addr
		if parsed, err = netlink.ParseAddr(address); err == nil {
			err = errors.Join(netlink.AddrAdd(peer, parsed), netlink.LinkSetUp(peer))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ns.address = netip.MustParsePrefix(address).Addr()
	return ns
}

// addressAt is the namespace's address on an interface.
func (ns *namespace) addressAt(t *testing.T, name string) netip.Addr {
	t.Helper()
	var addresses []netlink.Addr
	var err error
	ns.inside(func() {
		var link netlink.Link
		if link, err = netlink.LinkByName(name); err == nil {
			addresses, err = netlink.AddrList(link, netlink.FAMILY_ALL)
		}
	})
	if err != nil || len(addresses) != 1 {
		t.Fatalf("it has the addresses %v on %s (%v), want one", addresses, name, err)
	}
	address, _ := netip.AddrFromSlice(addresses[0].IP)
	return address.Unmap()
}

func TestAnInstanceReachesTheNetworkOfItsConnectorAlone(t *testing.T) {
	for what, wanted := range map[string]platform.HostNetwork{
		"a bridge of apron's own": {Name: "lower", Ports: []int{hostPort}},
		"a borrowed bridge": {
			Name: "lower", Ports: []int{hostPort}, Bridge: "tstborrow0", Addresses: netip.MustParsePrefix("10.77.77.128/26"),
		},
	} {
		t.Run(what, func(t *testing.T) {
			if wanted.Bridge != "" {
				newBridge(t, wanted.Bridge, "10.77.77.1/24")
			}
			n, other := newNetwork(t), newNetwork(t)
			made := createHost(t, n, wanted)
			host := made.HostAddress
			database := plug(t, made.Bridge, fmt.Sprintf("%s/%d", host.Next(), made.Subnet.Bits())).listenAt(t, host.Next())
			opened := hostListens(t, fmt.Sprintf("%s:%d", host, hostPort))
			closed := hostListens(t, host.String()+":0")

			with, beside := attach(t, n, "a", "subnet-lower"), attach(t, n, "b", "subnet-lower")
			services := hostListens(t, fmt.Sprintf("%s:%d", host, openPort))
			for what, address := range map[string]string{
				"a database on the network": database, "the port of the host that is opened": opened, "the services' port": services,
			} {
				if !with.reaches(t, address) {
					t.Errorf("an instance with the connector does not reach %s at %s", what, address)
				}
			}
			for what, address := range map[string]string{
				"another port of the host":           closed,
				"the host beyond the network":        hostListens(t, n.Gateway().String()+":0"),
				"an instance beside it":              beside.listen(t),
				"an instance beside it by the way":   beside.listenAt(t, beside.addressAt(t, "eth1")),
				"the host at another apron's bridge": hostListens(t, other.Gateway().String()+":0"),
			} {
				if address != "" && with.reaches(t, address) {
					t.Errorf("an instance with the connector reaches %s at %s", what, address)
				}
			}
			without := attach(t, n, "c")
			strangers := map[string]*namespace{"an instance without the connector": without}
			if wanted.Bridge == "" {
				strangers["an instance of another apron"] = attach(t, other, "d")
			}
			for what, stranger := range strangers {
				for _, address := range []string{database, opened, with.listenAt(t, with.addressAt(t, "eth1"))} {
					if stranger.reaches(t, address) {
						t.Errorf("%s reaches %s", what, address)
					}
				}
			}
			conn, err := net.Dial("tcp", with.listen(t))
			if err != nil {
				t.Fatalf("the host does not reach the instance by the default network: %v", err)
			}
			conn.Close()
			if address := with.addressAt(t, "eth1"); !made.Addresses.Contains(address) {
				t.Errorf("it has %s, want one of %s", address, made.Addresses)
			}
		})
	}
}

func TestAnInstanceIsAttachedToEveryNetworkOnce(t *testing.T) {
	n := newNetwork(t)
	one := createHost(t, n, platform.HostNetwork{Name: "one", SubnetIDs: []string{"subnet-a", "subnet-b"}})
	two := createHost(t, n, platform.HostNetwork{Name: "two"})
	both := attach(t, n, "a", "subnet-a", "subnet-two", "subnet-b")
	if address := both.addressAt(t, "eth1"); !one.Addresses.Contains(address) {
		t.Errorf("the second interface has %s", address)
	}
	if address := both.addressAt(t, "eth2"); !two.Addresses.Contains(address) {
		t.Errorf("the third interface has %s", address)
	}
	_, err := n.Attach(t.Context(), "b", "/nowhere", "subnet-a", "subnet-gone")
	if platform.AsExplained(err) == nil || !strings.Contains(err.Error(), "--subnet-id subnet-gone") {
		t.Errorf("a subnet that nothing stands for: %v", err)
	}
}

func TestDetachLeavesNothingWhoeverWasKilled(t *testing.T) {
	dir := t.TempDir()
	n := openNetwork(t, dir)
	ensure(t, n)
	made := createHost(t, n, platform.HostNetwork{Name: "lower"})
	ns := newNamespace(t)
	if _, err := n.Attach(t.Context(), "whole", ns.path, "subnet-lower"); err != nil {
		t.Fatal(err)
	}
	// What Attach has done when it fails is what it leaves when it is killed.
	if _, err := n.Attach(t.Context(), "half", "/nowhere", "subnet-lower"); err == nil {
		t.Fatal("a namespace that is not there was attached")
	}
	n = openNetwork(t, dir) // the next start
	ensure(t, n)
	ns.addressAt(t, "eth1") // is there
	err := n.DeleteHostNetwork(t.Context(), "lower")
	if platform.AsExplained(err) == nil || !strings.Contains(err.Error(), "2 instances") {
		t.Errorf("a network with instances is deleted: %v", err)
	}
	for range 2 {
		for id, path := range map[string]string{"whole": ns.path, "half": "/nowhere", "unknown": "/nowhere"} {
			if err := n.Detach(t.Context(), id, path); err != nil {
				t.Fatal(err)
			}
		}
	}
	if left := leftIn(t, dir); len(left) > 0 {
		t.Errorf("files are left of instances: %v", left)
	}
	for range 2 {
		if err := n.DeleteHostNetwork(t.Context(), "lower"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := netlink.LinkByName(made.Bridge); !errors.As(err, &netlink.LinkNotFoundError{}) {
		t.Errorf("the bridge is left (%v)", err)
	}
	if rules := firewall(t, n); strings.Contains(rules, made.Bridge) || strings.Contains(rules, made.Subnet.String()) {
		t.Errorf("rules are left:\n%s", rules)
	}
}

// leftIn lists the files that instances leave in a data directory: their addresses, and what they are attached to.
func leftIn(t *testing.T, dir string) []string {
	t.Helper()
	var left []string
	for _, pattern := range []string{"leases/*/[0-9]*.*", "attached/*", "cache/results/*"} {
		found, err := filepath.Glob(filepath.Join(dir, "network", pattern))
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, found...)
	}
	return left
}

func TestNetworksAreRememberedWhenAllIsRemoved(t *testing.T) {
	dir := t.TempDir()
	n := openNetwork(t, dir)
	ensure(t, n)
	newBridge(t, "tstborrow1", "10.77.78.1/24")
	before := linkOf(t, "tstborrow1").Attrs().HardwareAddr
	createHost(t, n, platform.HostNetwork{Name: "own", SubnetIDs: []string{"subnet-a"}})
	createHost(t, n, platform.HostNetwork{Name: "borrowed", Bridge: "tstborrow1", Addresses: netip.MustParsePrefix("10.77.78.64/27"), Ports: []int{5432}})
	rules, made := firewall(t, n), n.HostNetworks()
	ns := newNamespace(t)
	if _, err := n.Attach(t.Context(), "a", ns.path, "subnet-borrowed", "subnet-a"); err != nil {
		t.Fatal(err)
	}
	if after := linkOf(t, "tstborrow1").Attrs().HardwareAddr; after.String() != before.String() {
		t.Errorf("the borrowed bridge has the address %s, and had %s", after, before)
	}
	if err := n.Detach(t.Context(), "a", ns.path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := n.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left := firewall(t, n); strings.Contains(left, "tstborrow1") {
		t.Errorf("rules are left:\n%s", left)
	}
	if _, err := netlink.LinkByName(made[0].Bridge); !errors.As(err, &netlink.LinkNotFoundError{}) {
		t.Errorf("the bridge is left (%v)", err)
	}
	linkOf(t, "tstborrow1") // stays

	n = openNetwork(t, dir)
	if diff := cmp.Diff(made, n.HostNetworks(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("the networks are remembered otherwise:\n%s", diff)
	}
	ensure(t, n)
	if again := firewall(t, n); again != rules {
		t.Errorf("the rules are now\n%s\nand were\n%s", again, rules)
	}
	attach(t, n, "c", "subnet-a", "subnet-borrowed").addressAt(t, "eth2")
}

func TestABridgeThatNobodyRemembersIsRemoved(t *testing.T) {
	dir := t.TempDir()
	n := openNetwork(t, dir)
	ensure(t, n)
	kept, lost := createHost(t, n, platform.HostNetwork{Name: "kept"}), createHost(t, n, platform.HostNetwork{Name: "lost"})
	content, err := json.Marshal([]platform.HostNetwork{kept}) // as if apron had been killed before it wrote the other down
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "networks.json"), content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	ensure(t, openNetwork(t, dir))
	linkOf(t, kept.Bridge)
	if _, err := netlink.LinkByName(lost.Bridge); !errors.As(err, &netlink.LinkNotFoundError{}) {
		t.Errorf("the bridge is left (%v)", err)
	}
}

func linkOf(t *testing.T, name string) netlink.Link {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func TestABorrowedBridgeThatIsGoneIsToldAndNotMade(t *testing.T) {
	dir := t.TempDir()
	n := openNetwork(t, dir)
	ensure(t, n)
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "tstborrow2"
	link := &netlink.Bridge{LinkAttrs: attributes}
	if err := netlink.LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	createHost(t, n, platform.HostNetwork{
		Name: "gone", Bridge: "tstborrow2", Subnet: netip.MustParsePrefix("10.77.79.0/24"), Addresses: netip.MustParsePrefix("10.77.79.64/27"),
	})
	if err := netlink.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	n = openNetwork(t, dir)
	ensure(t, n)
	ns := newNamespace(t)
	_, err := n.Attach(t.Context(), "a", ns.path, "subnet-gone")
	if platform.AsExplained(err) == nil || !strings.Contains(err.Error(), "tstborrow2") {
		t.Errorf("the bridge is gone: %v", err)
	}
	if err := n.Detach(t.Context(), "a", ns.path); err != nil {
		t.Error(err)
	}
	if _, err := netlink.LinkByName("tstborrow2"); err == nil {
		t.Error("the bridge was made")
	}
	if err := n.DeleteHostNetwork(t.Context(), "gone"); err != nil {
		t.Error(err)
	}
}

func TestANetworkThatCannotBeIsRefusedWithTheReason(t *testing.T) {
	n := newNetwork(t)
	newBridge(t, "tstborrow3", "10.77.80.1/24")
	newBridge(t, "tstborrow4", "")
	newBridge(t, "tstborrow5", "10.77.83.1/32")
	taken := createHost(t, n, platform.HostNetwork{
		Name: "taken", SubnetIDs: []string{"subnet-a", platform.AnySubnet}, Bridge: "tstborrow3", Addresses: netip.MustParsePrefix("10.77.80.128/25"),
	})
	if want := netip.MustParseAddr("10.77.80.1"); taken.HostAddress != want {
		t.Errorf("the host's address is %s, want %s", taken.HostAddress, want)
	}
	prefix := netip.MustParsePrefix
	for why, wanted := range map[string]platform.HostNetwork{
		"already a network taken":   {Name: "taken"},
		"subnet-a stands for":       {Name: "new", SubnetIDs: []string{"subnet-b", "subnet-a"}},
		"* stands for":              {Name: "new", SubnetIDs: []string{"*"}},
		"tstborrow3 is that of":     {Name: "new", Bridge: "tstborrow3", Addresses: prefix("10.77.80.64/27")},
		"no bridge tstnothing":      {Name: "new", Bridge: "tstnothing"},
		"lo is no bridge":           {Name: "new", Bridge: "lo"},
		"cannot be borrowed":        {Name: "new", Bridge: n.InstanceBridge()},
		"no IPv4 address":           {Name: "new", Bridge: "tstborrow4"},
		"with --addresses":          {Name: "new", Bridge: "tstborrow4", Subnet: prefix("10.77.81.0/24")},
		"none of its ports":         {Name: "new", Bridge: "tstborrow4", Subnet: prefix("10.77.81.0/24"), Addresses: prefix("10.77.81.128/25"), Ports: []int{80}},
		"no part of":                {Name: "new", Bridge: "tstborrow4", Subnet: prefix("10.77.81.0/24"), Addresses: prefix("10.77.82.128/25")},
		"such as 10.77.81.0/24":     {Name: "new", Subnet: netip.PrefixFrom(netip.MustParseAddr("10.77.81.9"), 24)},
		"overlaps addresses":        {Name: "new", Subnet: prefix("10.77.80.0/26")},
		"overlaps 10.77.80.0/24":    {Name: "new", Bridge: "tstborrow4", Subnet: prefix("10.77.0.0/16"), Addresses: prefix("10.77.81.128/25")},
		"this machine's own":        {Name: "new", Subnet: prefix("10.77.81.0/24"), Addresses: prefix("10.77.81.0/25")},
		"10.77.83.1/32 has 32 bits": {Name: "new", Bridge: "tstborrow5"},
		"may have 8 to 28":          {Name: "new", Subnet: prefix("10.77.81.0/30")},
	} {
		_, err := n.CreateHostNetwork(t.Context(), wanted)
		if platform.AsExplained(err) == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, err := n.UpdateHostNetwork(t.Context(), platform.HostNetwork{Name: "nothing"}); platform.AsExplained(err) == nil {
		t.Errorf("a network that is not there is updated: %v", err)
	}
	createHost(t, n, platform.HostNetwork{Name: "other"})
	if _, err := n.UpdateHostNetwork(t.Context(), platform.HostNetwork{Name: "other", SubnetIDs: []string{"subnet-a"}}); platform.AsExplained(err) == nil {
		t.Errorf("an id that is taken is given to another: %v", err)
	}
	updated, err := n.UpdateHostNetwork(t.Context(), platform.HostNetwork{Name: "other", SubnetIDs: []string{"subnet-c"}, Ports: []int{hostPort}})
	if err != nil || len(updated.SubnetIDs) != 1 || !updated.Subnet.IsValid() || !strings.Contains(firewall(t, n), fmt.Sprintf("--dport %d", hostPort)) {
		t.Errorf("the update gives %+v (%v)", updated, err)
	}
}
