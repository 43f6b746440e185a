package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// rulesTimeout bounds one call of iptables, which waits for others that hold its lock.
const rulesTimeout = 30 * time.Second

// The chains carry the apron's tag, so that aprons do not share them.
func (n *Network) forwardChain() string { return "APRON-" + n.tag() + "-FWD" }
func (n *Network) inputChain() string   { return "APRON-" + n.tag() + "-IN" }
func (n *Network) natChain() string     { return "APRON-" + n.tag() + "-NAT" }

// rules is the whole of the firewall in iptables-restore's format. Naming a chain empties it first, so that loading the
// text again changes nothing, and each table changes in one step.
func (n *Network) rules() string {
	i, b := n.layout.Instances, n.layout.Builds
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("*filter")
	line(":%s - [0:0]", n.forwardChain())
	line(":%s - [0:0]", n.inputChain())
	for _, from := range []bridge{i, b} {
		for _, to := range []bridge{i, b} {
			line("-A %s -i %s -o %s -j DROP", n.forwardChain(), from.Name, to.Name)
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

func (n *Network) ensureRules(ctx context.Context) error {
	if err := run(ctx, n.rules(), "iptables-restore", "-w", "--noflush"); err != nil {
		return fmt.Errorf("load the firewall rules: %w", err)
	}
	for _, jump := range n.jumps() {
		table, rest := jump[:2], jump[2:]
		if run(ctx, "", "iptables", append(append([]string{"-w"}, table...), append([]string{"-C"}, rest...)...)...) == nil {
			continue
		}
		if err := run(ctx, "", "iptables", append(append([]string{"-w"}, table...), append([]string{"-I"}, rest...)...)...); err != nil {
			return fmt.Errorf("lead to the firewall rules: %w", err)
		}
	}
	return nil
}

func (n *Network) removeRules(ctx context.Context) error {
	var errs []error
	for _, jump := range n.jumps() {
		table, rest := jump[:2], jump[2:]
		chain := rest[len(rest)-1]
		// Each may be gone already, so that only the chain's end decides.
		for run(ctx, "", "iptables", append(append([]string{"-w"}, table...), append([]string{"-D"}, rest...)...)...) == nil {
		}
		if run(ctx, "", "iptables", append(append([]string{"-w"}, table...), "-S", chain)...) != nil {
			continue
		}
		errs = append(errs,
			run(ctx, "", "iptables", append(append([]string{"-w"}, table...), "-F", chain)...),
			run(ctx, "", "iptables", append(append([]string{"-w"}, table...), "-X", chain)...))
	}
	return errors.Join(errs...)
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
