package network

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// forwardHosts says what passes between the networks of the host and the rest. Others may be on the same bridge, so that
// what comes from an instance is told by the addresses that instances have; they cannot take others. What stays on a bridge
// is seen here only where the kernel filters bridges too (br_netfilter).
func (n *Network) forwardHosts(line func(format string, args ...any), hosts []platform.HostNetwork) {
	if len(hosts) == 0 {
		return
	}
	chain, instances := n.forwardChain(), n.layout.Instances
	for _, host := range hosts {
		line("-A %s -i %[2]s -o %[2]s -s %[3]s ! -d %[3]s -j ACCEPT", chain, host.Bridge, host.Addresses)
		line("-A %s -i %[2]s -o %[2]s -d %[3]s ! -s %[3]s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", chain, host.Bridge, host.Addresses)
	}
	for _, host := range hosts {
		line("-A %s -s %s -j DROP", chain, host.Addresses)
		line("-A %s -d %s -j DROP", chain, host.Addresses)
	}
	line("-A %s ! -i %s -s %s -j DROP", chain, instances.Name, instances.Subnet)
	for _, host := range hosts {
		for _, from := range []bridge{instances, n.layout.Builds} {
			// The machine's resolver may be there, and is everybody's.
			for _, resolver := range resolversIn(host.Subnet) {
				for _, protocol := range []string{"udp", "tcp"} {
					line("-A %s -i %s -s %s -d %s -p %s --dport 53 -j ACCEPT", chain, from.Name, from.Subnet, resolver, protocol)
				}
			}
			line("-A %s -i %s -d %s -j DROP", chain, from.Name, host.Subnet)
		}
	}
}

// inputHosts says which ports of this host are open to instances by the networks that they are attached to.
func (n *Network) inputHosts(line func(format string, args ...any), hosts []platform.HostNetwork) {
	if len(hosts) == 0 {
		return
	}
	chain := n.inputChain()
	for _, host := range hosts {
		line("-A %s -i %s -s %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", chain, host.Bridge, host.Addresses)
		// The services' public ports may be asked for at an address that is on the network.
		for _, port := range slices.Concat(host.Ports, n.config.OpenPorts) {
			line("-A %s -i %s -s %s -d %s -p tcp --dport %d -j ACCEPT", chain, host.Bridge, host.Addresses, host.Subnet, port)
		}
	}
	for _, host := range hosts {
		line("-A %s ! -i lo -s %s -j DROP", chain, host.Addresses)
	}
	line("-A %s ! -i lo -s %s -j DROP", chain, n.layout.Instances.Subnet)
}

// resolversIn are the machine's resolvers, as instances know them, that are in subnet.
func resolversIn(subnet netip.Prefix) []netip.Addr {
	var found []netip.Addr
	for line := range strings.Lines(ResolvConf()) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if address, err := netip.ParseAddr(fields[1]); err == nil && subnet.Contains(address) {
			found = append(found, address)
		}
	}
	return found
}
