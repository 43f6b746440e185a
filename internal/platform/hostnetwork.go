package platform

import (
	"net/netip"
	"slices"
)

// AnySubnet is what stands, among a network's ids, for every id that no network names.
const AnySubnet = "*"

// HostNetwork is a network of the host that instances are attached to when their service has a VPC connector with one of
// its subnets' ids. It is a bridge, with what else is plugged into it.
type HostNetwork struct {
	Name string
	// SubnetIDs stand for the network. SubnetName does too, unless another network names it.
	SubnetIDs []string `json:",omitempty"`
	// Bridge is the name of the bridge. IsBorrowed says that others made it: it is never removed.
	Bridge     string
	IsBorrowed bool `json:",omitempty"`
	// Subnet is what is reached by the bridge; Addresses, a part of it, are those that instances take.
	Subnet, Addresses netip.Prefix
	// HostAddress is the host's own address on the bridge; a borrowed one may have none.
	HostAddress netip.Addr
	// Ports are the TCP ports of the host that instances reach at HostAddress.
	Ports []int `json:",omitempty"`
}

// SubnetName is the id that stands for a network by its name alone.
func (n HostNetwork) SubnetName() string { return "subnet-" + n.Name }

// Clone returns a copy that shares nothing with n.
func (n HostNetwork) Clone() HostNetwork {
	n.SubnetIDs, n.Ports = slices.Clone(n.SubnetIDs), slices.Clone(n.Ports)
	return n
}

// ResolveSubnets returns the networks that subnets' ids stand for, each once and in the order of the ids, and the ids that
// stand for none. A network's own ids count before names, and names before AnySubnet.
func ResolveSubnets(networks []HostNetwork, subnetIDs []string) (found []HostNetwork, unmapped []string) {
	for _, id := range subnetIDs {
		place := slices.IndexFunc(networks, func(n HostNetwork) bool { return slices.Contains(n.SubnetIDs, id) })
		if place < 0 {
			place = slices.IndexFunc(networks, func(n HostNetwork) bool { return n.SubnetName() == id })
		}
		if place < 0 {
			place = slices.IndexFunc(networks, func(n HostNetwork) bool { return slices.Contains(n.SubnetIDs, AnySubnet) })
		}
		switch {
		case place < 0:
			unmapped = append(unmapped, id)
		case !slices.ContainsFunc(found, func(n HostNetwork) bool { return n.Name == networks[place].Name }):
			found = append(found, networks[place])
		}
	}
	return found, unmapped
}
