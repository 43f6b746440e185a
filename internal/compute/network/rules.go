package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// rulesTimeout bounds one call of iptables, which waits for others that hold its lock.
const rulesTimeout = 30 * time.Second

// The chains carry the apron's tag, so that aprons do not share them.
func (n *Network) forwardChain() string { return "APRON-" + n.tag() + "-FWD" }
func (n *Network) inputChain() string   { return "APRON-" + n.tag() + "-IN" }
func (n *Network) natChain() string     { return "APRON-" + n.tag() + "-NAT" }

// rules is the whole of the firewall in iptables-restore's format. Naming a chain empties it first, so that loading the
// text again changes nothing, and each table changes in one step.
func (n *Network) rules(hosts []platform.HostNetwork) string {
	i, b := n.layout.Instances, n.layout.Builds
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("*filter")
	line(":%s - [0:0]", n.forwardChain())
	line(":%s - [0:0]", n.inputChain())
	n.forwardHosts(line, hosts)
	// What another program of this machine publishes, such as a container's port, is the machine's too.
	line("-A %s -i %s -m conntrack --ctstate DNAT -j DROP", n.forwardChain(), b.Name)
	for _, from := range []bridge{i, b} {
		line("-A %s -i %s -o %s+ -j DROP", n.forwardChain(), from.Name, bridgePrefix) // also those of another apron
		for _, protocol := range []string{"udp", "tcp"} {                             // some clouds have their name servers beside the metadata
			line("-A %s -i %s -s %s -d 169.254.0.0/16 -p %s --dport 53 -j ACCEPT", n.forwardChain(), from.Name, from.Subnet, protocol)
		}
		line("-A %s -i %s -d 169.254.0.0/16 -j DROP", n.forwardChain(), from.Name)
		line("-A %s -i %s ! -s %s -j DROP", n.forwardChain(), from.Name, from.Subnet)
		line("-A %s -i %s -j ACCEPT", n.forwardChain(), from.Name)
		line("-A %s -o %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", n.forwardChain(), from.Name)
		line("-A %s -o %s -j DROP", n.forwardChain(), from.Name)
		line("-A %s -i %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", n.inputChain(), from.Name)
	}
	for _, port := range n.config.OpenPorts {
		line("-A %s -i %s -p tcp --dport %s -j ACCEPT", n.inputChain(), i.Name, strconv.Itoa(port))
	}
	line("-A %s -i %s -j DROP", n.inputChain(), i.Name)
	line("-A %s -i %s -j DROP", n.inputChain(), b.Name)
	n.inputHosts(line, hosts)
	line("COMMIT")
	line("*nat")
	line(":%s - [0:0]", n.natChain())
	line("-A %s -s %s ! -d %s -j MASQUERADE", n.natChain(), i.Subnet, i.Subnet)
	line("-A %s -s %s ! -d %s -j MASQUERADE", n.natChain(), b.Subnet, b.Subnet)
	line("COMMIT")
	return text.String()
}

// jumps are the places where the kernel's own chains lead to ours, which come first, before a policy or rule of others.
func (n *Network) jumps() [][]string {
	return [][]string{
		{"-t", "filter", "FORWARD", "-j", n.forwardChain()},
		{"-t", "filter", "INPUT", "-j", n.inputChain()},
		{"-t", "nat", "POSTROUTING", "-j", n.natChain()},
	}
}

// rules6 is the firewall for IPv6, which instances do not have: what they send by the addresses that the kernel gives
// every interface goes nowhere.
func (n *Network) rules6() string {
	var text strings.Builder
	fmt.Fprintf(&text, "*filter\n:%[1]s - [0:0]\n:%[2]s - [0:0]\n", n.forwardChain(), n.inputChain())
	for _, each := range []bridge{n.layout.Instances, n.layout.Builds} {
		fmt.Fprintf(&text, "-A %[1]s -i %[3]s -j DROP\n-A %[1]s -o %[3]s -j DROP\n-A %[2]s -i %[3]s -j DROP\n",
			n.forwardChain(), n.inputChain(), each.Name)
	}
	return text.String() + "COMMIT\n"
}

// family is one version of IP with the program that sets up its firewall.
type family struct {
	program string
	rules   string
	jumps   [][]string
}

// families leaves IPv6 out where the kernel has none.
func (n *Network) families(hosts []platform.HostNetwork) []family {
	families := []family{{"iptables", n.rules(hosts), n.jumps()}}
	if _, err := os.Stat("/proc/net/if_inet6"); err == nil {
		families = append(families, family{"ip6tables", n.rules6(), n.jumps()[:2]})
	}
	return families
}

func (n *Network) ensureRules(ctx context.Context, hosts []platform.HostNetwork) error {
	for _, f := range n.families(hosts) {
		if err := run(ctx, f.rules, f.program+"-restore", "-w", "--noflush"); err != nil {
			return fmt.Errorf("load the firewall rules: %w", err)
		}
		for _, jump := range f.jumps {
			if f.change(ctx, "-C", jump) == nil {
				continue
			}
			if err := f.change(ctx, "-I", jump); err != nil {
				return fmt.Errorf("lead to the firewall rules: %w", err)
			}
		}
	}
	return nil
}

func (n *Network) removeRules(ctx context.Context) error {
	var errs []error
	for _, f := range n.families(nil) {
		for _, jump := range f.jumps {
			chain := jump[len(jump)-1]
			// Each may be gone already, so that only the chain's end decides.
			for f.change(ctx, "-D", jump) == nil {
			}
			if run(ctx, "", f.program, "-w", jump[0], jump[1], "-S", chain) != nil {
				continue
			}
			errs = append(errs,
				run(ctx, "", f.program, "-w", jump[0], jump[1], "-F", chain),
				run(ctx, "", f.program, "-w", jump[0], jump[1], "-X", chain))
		}
	}
	return errors.Join(errs...)
}

// change does one thing (-C, -I, -D) with a jump, which begins with "-t TABLE".
func (f family) change(ctx context.Context, what string, jump []string) error {
	return run(ctx, "", f.program, slices.Concat([]string{"-w", jump[0], jump[1], what}, jump[2:])...)
}

// run runs one command and puts what it says on failure into the error.
func run(ctx context.Context, input, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, rulesTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...)
	command.Stdin = strings.NewReader(input)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(output))
	}
	return nil
}
