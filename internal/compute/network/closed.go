package network

import (
	"net"
	"net/netip"
	"strings"
)

// IsClosed says whether an address is closed to builds: this host's own, those on the bridges of every apron, loopback,
// link-local and multicast. The firewall says the same of what a build sends by itself; this is for what is fetched in its name.
// When the host's addresses cannot be listed, all are closed.
func IsClosed(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	if !address.IsValid() || address.IsLoopback() || address.IsUnspecified() || address.IsLinkLocalUnicast() || address.IsMulticast() {
		return true
	}
	links, err := net.Interfaces()
	if err != nil {
		return true
	}
	for _, link := range links {
		own, err := link.Addrs()
		if err != nil {
			return true
		}
		for _, each := range own {
			prefix, err := netip.ParsePrefix(each.String())
			if err != nil {
				continue
			}
			if prefix.Addr() == address || strings.HasPrefix(link.Name, bridgePrefix) && prefix.Contains(address) {
				return true
			}
		}
	}
	return false
}
