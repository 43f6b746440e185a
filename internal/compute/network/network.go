// Package network gives each apron on a machine two networks of its own: a bridge for instances and one for builds. Beside
// them stand the networks of the host that VPC connectors name: instances of a service with one have a second interface there.
//
// What may pass is decided here, by address of origin. Instances and builds reach the outside through masquerading, and
// answers come back. They reach neither each other, nor each other's bridge, nor link-local addresses (a cloud's metadata
// service), nor anything that listens on this host but the ports that services answer on. The host reaches them all;
// that is how the proxy works. Within a bridge, ports are isolated from each other by the bridge itself.
//
// A network of the host opens what is plugged into its bridge, and the ports of this host that it names, to the instances
// that are attached to it; and it closes its subnet to all others.
package network

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/platform"
)

// Config says where a Network keeps its files and what instances may reach on this host.
type Config struct {
	// DataDir is apron's data directory. Its path names the bridges, so that aprons do not share them.
	DataDir string
	// PluginDir holds the CNI plugins.
	PluginDir string
	// OpenPorts are the TCP ports of this host that instances may reach: those of the services' traffic.
	OpenPorts []int
}

// Network is the pair of bridges of one apron, and the networks of the host. It is safe for concurrent use.
type Network struct {
	config Config
	layout layout
	hosts  atomic.Pointer[[]platform.HostNetwork]
	// changing holds one value while hosts, or what is attached to one of them, changes.
	changing chan struct{}
}

// layout is what is chosen once and remembered in DATA/network.json.
type layout struct {
	Instances bridge
	Builds    bridge
}

// bridge is one bridge and the addresses on it.
type bridge struct {
	Name   string
	Subnet netip.Prefix
}

const (
	// bridgePrefix begins the names of the bridges of every apron on a machine; what goes from one to another is refused.
	bridgePrefix = "apr"
	// subnetBits leaves room for 4,093 instances on a bridge.
	subnetBits = 20
	// partial ends the name of a file that is not whole yet.
	partial = ".partial"
	// instancesName and buildsName are the names of the CNI networks.
	instancesName, buildsName = "instances", "builds"
)

// New returns the Network of a data directory: the one chosen before, or a new one on addresses that nothing else on this
// machine uses. Nothing is set up yet.
func New(config Config) (*Network, error) {
	n := &Network{config: config, changing: make(chan struct{}, 1)}
	if err := n.loadHosts(); err != nil {
		return nil, fmt.Errorf("read %s: %w", n.hostsPath(), err)
	}
	content, err := os.ReadFile(n.path())
	if err == nil {
		if err := json.Unmarshal(content, &n.layout); err != nil {
			return nil, fmt.Errorf("read %s: %w", n.path(), err)
		}
		return n, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	used, err := usedPrefixes()
	if err != nil {
		return nil, fmt.Errorf("list the addresses in use: %w", err)
	}
	tag := n.tag()
	first, ok := freeSubnet(tag, used)
	if !ok {
		return nil, errors.New("no free private subnet is left on this machine: every part of 10.128.0.0/9 is in use")
	}
	second, ok := freeSubnet(tag, append(used, first))
	if !ok {
		return nil, errors.New("no second free private subnet is left on this machine: every part of 10.128.0.0/9 is in use")
	}
	n.layout = layout{bridge{bridgePrefix + tag + "i", first}, bridge{bridgePrefix + tag + "b", second}}
	if content, err = json.MarshalIndent(n.layout, "", "  "); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(config.DataDir, 0o700); err != nil {
		return nil, err
	}
	return n, save(n.path(), content)
}

// save replaces a file whole.
func save(path string, content []byte) error {
	file, err := os.OpenFile(path+partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(path+partial, path)
}

// Ensure sets up what all instances share: forwarding, bridges, firewall rules and the plugins' configuration. It is
// idempotent. A borrowed bridge may come later: only instances that need it fail meanwhile.
func (n *Network) Ensure(ctx context.Context) error {
	if err := forward(); err != nil {
		return fmt.Errorf("switch IPv4 forwarding on: %w", err)
	}
	for _, b := range []struct {
		name   string
		bridge bridge
	}{{instancesName, n.layout.Instances}, {buildsName, n.layout.Builds}} {
		if err := n.writeConflist(b.name, b.bridge); err != nil {
			return fmt.Errorf("write the configuration of the network %s: %w", b.name, err)
		}
		if err := b.bridge.ensure(); err != nil {
			return fmt.Errorf("make the bridge %s: %w", b.bridge.Name, err)
		}
	}
	hosts := n.HostNetworks()
	if err := n.removeStrayBridges(hosts); err != nil {
		return fmt.Errorf("remove what was left of networks: %w", err)
	}
	for _, host := range hosts {
		if err := n.ensureHost(host); err != nil {
			return fmt.Errorf("set the network %s up: %w", host.Name, err)
		}
	}
	return n.ensureRules(ctx, hosts)
}

// ensure makes the bridge with the host's address on it, before the first instance does: another apron that looks for free
// addresses sees them.
func (b bridge) ensure() error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = b.Name
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attributes}); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	link, err := netlink.LinkByName(b.Name)
	if err != nil {
		return err
	}
	mask := net.CIDRMask(b.Subnet.Bits(), 32)
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: &net.IPNet{IP: b.gateway().AsSlice(), Mask: mask}}); err != nil {
		return err
	}
	if err := pinAddress(b.Name); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// pinAddress makes a bridge keep its hardware address. Else it is the lowest of what is plugged in: when an instance came that has a
// lower one, answers of all the others went to the former address for up to two seconds.
func pinAddress(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetHardwareAddr(link, link.Attrs().HardwareAddr)
}

// gateway is the host's own address on the bridge.
func (b bridge) gateway() netip.Addr { return b.Subnet.Addr().Next() }

// Remove takes away the rules, apron's bridges and what is remembered of addresses. Instances must be gone. The networks
// of the host are remembered, and Ensure sets them up again.
func (n *Network) Remove(ctx context.Context) error {
	errs := []error{n.removeRules(ctx)}
	for _, name := range n.ownBridges() {
		errs = append(errs, removeBridge(name))
	}
	return errors.Join(append(errs, os.RemoveAll(n.dir()))...)
}

// removeBridge removes a bridge; one that is gone is done already.
func removeBridge(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}

// InstanceBridge is the name of the instances' bridge.
func (n *Network) InstanceBridge() string { return n.layout.Instances.Name }

// Gateway is the host's own address on the instances' bridge.
func (n *Network) Gateway() netip.Addr { return n.layout.Instances.gateway() }

// tag is short, and tells data directories apart.
func (n *Network) tag() string {
	sum := sha256.Sum256([]byte(filepath.Clean(n.config.DataDir)))
	return hex.EncodeToString(sum[:4])
}

func (n *Network) path() string { return filepath.Join(n.config.DataDir, "network.json") }

func (n *Network) dir() string { return filepath.Join(n.config.DataDir, "network") }

// usedPrefixes lists what this machine has addresses on or routes to.
func usedPrefixes() ([]netip.Prefix, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	var used []netip.Prefix
	for _, route := range routes {
		if route.Dst == nil {
			continue
		}
		if prefix, err := netip.ParsePrefix(route.Dst.String()); err == nil && prefix.Bits() > 0 {
			used = append(used, prefix)
		}
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.IPNet.String()); err == nil {
			used = append(used, prefix.Masked())
		}
	}
	return used, nil
}

// freeSubnet returns the first subnet of 10.128.0.0/9 that overlaps nothing used, beginning at a place that tag chooses.
func freeSubnet(tag string, used []netip.Prefix) (netip.Prefix, bool) {
	const count = 1 << (subnetBits - 9)
	raw, _ := hex.DecodeString(tag)
	first := (int(raw[0])<<8 | int(raw[1])) % count
	for i := range count {
		index := uint32((first+i)%count) << (32 - subnetBits)
		value := uint32(10)<<24 | 128<<16 | index
		address := netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)})
		subnet := netip.PrefixFrom(address, subnetBits)
		if !overlapsAny(subnet, used) {
			return subnet, true
		}
	}
	return netip.Prefix{}, false
}

func overlapsAny(prefix netip.Prefix, others []netip.Prefix) bool {
	for _, other := range others {
		if prefix.Overlaps(other) {
			return true
		}
	}
	return false
}

// forward switches IPv4 forwarding on where it is off.
func forward() error {
	const path = "/proc/sys/net/ipv4/ip_forward"
	if content, err := os.ReadFile(path); err == nil && len(content) > 0 && content[0] == '1' {
		return nil
	}
	return os.WriteFile(path, []byte("1"), 0o644)
}
