package network

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

func TestTheMachinesResolverStaysOpenOnANetworkThatIsClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte("nameserver 192.168.1.1\nnameserver 9.9.9.9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := resolverFiles
	t.Cleanup(func() { resolverFiles = before })
	resolverFiles = []string{path}
	n := &Network{layout: layout{
		Instances: bridge{"apr0i", netip.MustParsePrefix("10.128.0.0/20")}, Builds: bridge{"apr0b", netip.MustParsePrefix("10.128.16.0/20")},
	}}
	rules := strings.Split(n.rules([]platform.HostNetwork{{
		Name: "lan", Bridge: "br0", Subnet: netip.MustParsePrefix("192.168.1.0/24"), Addresses: netip.MustParsePrefix("192.168.1.128/25"),
	}}), "\n")
	place := func(rule string) int { return slices.Index(rules, "-A "+n.forwardChain()+" "+rule) }
	for _, from := range []bridge{n.layout.Instances, n.layout.Builds} {
		closed := place("-i " + from.Name + " -d 192.168.1.0/24 -j DROP")
		for _, protocol := range []string{"udp", "tcp"} {
			open := place("-i " + from.Name + " -s " + from.Subnet.String() + " -d 192.168.1.1 -p " + protocol + " --dport 53 -j ACCEPT")
			if open < 0 || closed < open {
				t.Errorf("%s by %s is opened in line %d, and the subnet closed in line %d", from.Name, protocol, open, closed)
			}
		}
	}
	if strings.Contains(strings.Join(rules, "\n"), "9.9.9.9") {
		t.Error("a resolver elsewhere has a rule")
	}
}
