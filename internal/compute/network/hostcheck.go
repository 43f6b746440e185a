package network

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// checkHost refuses a network that contradicts itself or one that is there.
func checkHost(hosts []platform.HostNetwork, wanted platform.HostNetwork) error {
	if len(hosts) >= maxHosts {
		return platform.Explain(nil, "There are %d networks already, the most that an apron has. Delete one that is not used.", maxHosts)
	}
	for _, host := range hosts {
		if host.Name == wanted.Name {
			return platform.Explain(nil, "There is already a network %s.", host.Name)
		}
		if wanted.Bridge != "" && host.Bridge == wanted.Bridge {
			return platform.Explain(nil, "The bridge %s is that of the network %s already.", host.Bridge, host.Name)
		}
	}
	if err := checkIDs(hosts, wanted.SubnetIDs); err != nil {
		return err
	}
	if strings.HasPrefix(wanted.Bridge, bridgePrefix) {
		return platform.Explain(nil, "The bridge %s cannot be borrowed: names that begin with %s are those of aprons' own bridges.", wanted.Bridge, bridgePrefix)
	}
	for what, prefix := range map[string]netip.Prefix{"subnet": wanted.Subnet, "range of addresses": wanted.Addresses} {
		if prefix.IsValid() && (!prefix.Addr().Is4() || prefix != prefix.Masked()) {
			return platform.Explain(nil, "The %s %s must be of IPv4 and begin with its first address, such as %s.", what, prefix, like(prefix))
		}
	}
	if wanted.Subnet.IsValid() {
		return checkSubnet(wanted.Subnet)
	}
	return nil
}

// checkSubnet refuses a subnet without room for a network, and one that is too wide to be one.
func checkSubnet(subnet netip.Prefix) error {
	if subnet.Bits() < 8 || subnet.Bits() > 28 {
		return platform.Explain(nil, "The subnet %s has %d bits: it may have 8 to 28, which leaves room for addresses.", subnet, subnet.Bits())
	}
	return nil
}

// checkIDs refuses an id that stands for another network.
func checkIDs(others []platform.HostNetwork, ids []string) error {
	for _, id := range ids {
		for _, host := range others {
			if slices.Contains(host.SubnetIDs, id) {
				return platform.Explain(nil, "The subnet id %s stands for the network %s already.", id, host.Name)
			}
		}
	}
	return nil
}

// like is a prefix that could have been meant.
func like(prefix netip.Prefix) netip.Prefix {
	if prefix.Addr().Is4() {
		return prefix.Masked()
	}
	return netip.MustParsePrefix("10.20.0.0/24")
}

// checkAddresses refuses addresses for instances that are not within the subnet, or that the host has.
func checkAddresses(wanted platform.HostNetwork) error {
	subnet, addresses := wanted.Subnet, wanted.Addresses
	if addresses.Bits() <= subnet.Bits() || !subnet.Contains(addresses.Addr()) || addresses.Bits() > 30 {
		return platform.Explain(nil, "The addresses %s are no part of the subnet %s with room for instances; %s would be.", addresses, subnet, upperHalf(subnet))
	}
	if addresses.Contains(wanted.HostAddress) {
		return platform.Explain(nil, "The addresses %s hold %s, which is this machine's own.", addresses, wanted.HostAddress).
			Try("Name others with --addresses.")
	}
	return checkPorts(wanted)
}

// checkPorts refuses ports of the host where the host cannot be reached.
func checkPorts(wanted platform.HostNetwork) error {
	if len(wanted.Ports) > 0 && !wanted.HostAddress.IsValid() {
		return platform.Explain(nil, "This machine has no address on the bridge %s, so that none of its ports can be opened there.", wanted.Bridge)
	}
	return nil
}
