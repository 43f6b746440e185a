package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/apron-run/apron/internal/platform"
)

// complete chooses what wanted leaves open, and refuses what this machine cannot give.
func (n *Network) complete(hosts []platform.HostNetwork, wanted platform.HostNetwork) (platform.HostNetwork, error) {
	if wanted.Bridge != "" {
		return n.borrow(hosts, wanted)
	}
	wanted.IsBorrowed = false
	used, err := usedPrefixes()
	if err != nil {
		return wanted, fmt.Errorf("list the addresses in use: %w", err)
	}
	for _, host := range hosts {
		used = append(used, host.Subnet)
	}
	used = append(used, n.layout.Instances.Subnet, n.layout.Builds.Subnet)
	if !wanted.Subnet.IsValid() {
		var isFree bool
		if wanted.Subnet, isFree = freeSubnet(n.tag(), used); !isFree {
			return wanted, platform.Explain(nil, "No free private subnet is left on this machine.").
				Try("Name one with --subnet.")
		}
	} else if overlapsAny(wanted.Subnet, used) {
		return wanted, platform.Explain(nil, "The subnet %s overlaps addresses that this machine uses already.", wanted.Subnet).
			Try("Choose another one, or let apron choose.")
	}
	wanted.Bridge = n.freeBridges(hosts)[0] // maxHosts keeps one free
	wanted.HostAddress = wanted.Subnet.Addr().Next()
	if !wanted.Addresses.IsValid() {
		wanted.Addresses = upperHalf(wanted.Subnet)
	}
	return wanted, checkAddresses(wanted)
}

// borrow looks at the bridge of others that wanted names.
func (n *Network) borrow(hosts []platform.HostNetwork, wanted platform.HostNetwork) (platform.HostNetwork, error) {
	wanted.IsBorrowed = true
	link, err := netlink.LinkByName(wanted.Bridge)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return wanted, platform.Explain(err, "There is no bridge %s on this machine; `ip link show type bridge` lists those that are there.", wanted.Bridge)
	}
	if err != nil {
		return wanted, err
	}
	if link.Type() != "bridge" {
		return wanted, platform.Explain(nil, "%s is no bridge but of the type %s; `ip link show type bridge` lists the bridges.", wanted.Bridge, link.Type())
	}
	addresses, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return wanted, err
	}
	for _, address := range addresses {
		prefix, err := netip.ParsePrefix(address.IPNet.String())
		if err != nil {
			continue
		}
		if !wanted.Subnet.IsValid() {
			wanted.Subnet = prefix.Masked()
		}
		if wanted.Subnet.Contains(prefix.Addr()) {
			wanted.HostAddress = prefix.Addr()
			break
		}
	}
	if !wanted.Subnet.IsValid() {
		return wanted, platform.Explain(nil, "The bridge %s has no IPv4 address to tell its subnet by.", wanted.Bridge).
			Try("Name it with --subnet.")
	}
	if err := checkSubnet(wanted.Subnet); err != nil {
		return wanted, err
	}
	if !wanted.Addresses.IsValid() {
		return wanted, platform.Explain(nil,
			"Which addresses of %s may instances take on the bridge %s? Name a part of it that nobody else uses with --addresses, such as %s.",
			wanted.Subnet, wanted.Bridge, upperHalf(wanted.Subnet))
	}
	for _, host := range hosts {
		if host.Subnet.Overlaps(wanted.Subnet) {
			return wanted, platform.Explain(nil, "The subnet %s overlaps %s of the network %s.", wanted.Subnet, host.Subnet, host.Name)
		}
	}
	if own := []netip.Prefix{n.layout.Instances.Subnet, n.layout.Builds.Subnet}; overlapsAny(wanted.Subnet, own) {
		return wanted, platform.Explain(nil, "The subnet %s overlaps the addresses of apron's instances.", wanted.Subnet)
	}
	return wanted, checkAddresses(wanted)
}

// upperHalf is what instances take of a subnet where nothing else was said. The rest is for what is plugged in.
func upperHalf(subnet netip.Prefix) netip.Prefix {
	bytes := subnet.Addr().As4()
	bytes[subnet.Bits()/8] |= 0x80 >> (subnet.Bits() % 8)
	return netip.PrefixFrom(netip.AddrFrom4(bytes), subnet.Bits()+1)
}

// hostBridges are the names that bridges of networks may have.
func (n *Network) hostBridges() []string {
	names := make([]string, maxHosts)
	for i := range names {
		names[i] = fmt.Sprintf("%s%sn%d", bridgePrefix, n.tag(), i+1)
	}
	return names
}

// freeBridges are those names that no network has.
func (n *Network) freeBridges(hosts []platform.HostNetwork) []string {
	return slices.DeleteFunc(n.hostBridges(), func(name string) bool {
		return slices.ContainsFunc(hosts, func(host platform.HostNetwork) bool { return host.Bridge == name })
	})
}

// removeStrayBridges removes the bridge of a network that a killed apron was about to make or to delete.
func (n *Network) removeStrayBridges(hosts []platform.HostNetwork) error {
	var errs []error
	for _, name := range n.freeBridges(hosts) {
		errs = append(errs, removeBridge(name))
	}
	return errors.Join(errs...)
}

// ownBridges are the names of all bridges that this apron may have made, also one that a killed apron was about to.
func (n *Network) ownBridges() []string {
	names := append(n.hostBridges(), n.layout.Instances.Name, n.layout.Builds.Name)
	for _, host := range n.HostNetworks() {
		if !host.IsBorrowed && !slices.Contains(names, host.Bridge) {
			names = append(names, host.Bridge) // made when the data directory was elsewhere
		}
	}
	return names
}
