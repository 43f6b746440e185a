package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/thread"
)

// hostConfig is the name of the CNI network of a network of the host.
func hostConfig(name string) string { return "host-" + name }

// reserve finds the networks that subnets' ids stand for and writes down that id is attached to them before it is, so that
// they stay until it is detached, whoever is killed meanwhile.
func (n *Network) reserve(ctx context.Context, id string, subnetIDs []string) ([]platform.HostNetwork, error) {
	if len(subnetIDs) == 0 {
		return nil, nil
	}
	release, err := n.change(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	hosts, unmapped := platform.ResolveSubnets(n.HostNetworks(), subnetIDs)
	if len(unmapped) > 0 {
		return nil, platform.Explain(nil, "No network of the host stands for %s of the VPC connector.", strings.Join(unmapped, ", ")).
			Try("Make one with `apron network create NAME --subnet-id %s`.", unmapped[0])
	}
	names := make([]string, len(hosts))
	for i, host := range hosts {
		names[i] = host.Name
	}
	content, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(n.attachedDir(), 0o700); err != nil {
		return nil, err
	}
	if err := save(n.attachedPath(id), content); err != nil {
		return nil, fmt.Errorf("write down what it is attached to: %w", err)
	}
	return hosts, nil
}

// attachments are the names of the networks of the host that id is attached to, in the order of its interfaces.
func (n *Network) attachments(id string) ([]string, error) {
	content, err := os.ReadFile(n.attachedPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	return names, json.Unmarshal(content, &names)
}

// forget removes what reserve has written, or was about to.
func (n *Network) forget(id string) error {
	var errs []error
	for _, path := range []string{n.attachedPath(id), n.attachedPath(id) + partial} {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// attachedTo counts the instances that are attached to a network of the host.
func (n *Network) attachedTo(name string) (int, error) {
	entries, err := os.ReadDir(n.attachedDir())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	count := 0
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), partial) {
			continue
		}
		names, err := n.attachments(entry.Name())
		if err != nil {
			return 0, err
		}
		if slices.Contains(names, name) {
			count++
		}
	}
	return count, nil
}

func (n *Network) attachedDir() string { return filepath.Join(n.dir(), "attached") }

func (n *Network) attachedPath(id string) string { return filepath.Join(n.attachedDir(), id) }

// addHost plugs the namespace into the bridge of a network of the host.
func (n *Network) addHost(ctx context.Context, host platform.HostNetwork, id, path string, index int) error {
	if !host.IsBorrowed {
		_, err := n.add(ctx, hostConfig(host.Name), id, path, index)
		return err
	}
	// The plugin would make a bridge that is not there, and switches off that the host learns IPv6 routes by one that is.
	release, err := n.change(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := pinAddress(host.Bridge); errors.As(err, &netlink.LinkNotFoundError{}) {
		return platform.Explain(err, "The bridge %s of the network %s is not there.", host.Bridge, host.Name).
			Try("Make it again, or delete the network.")
	} else if err != nil {
		return err
	}
	acceptRA := "/proc/sys/net/ipv6/conf/" + host.Bridge + "/accept_ra"
	before, readErr := os.ReadFile(acceptRA)
	_, err = n.add(ctx, hostConfig(host.Name), id, path, index)
	if readErr == nil {
		err = errors.Join(err, os.WriteFile(acceptRA, before, 0o644))
	}
	return err
}

// withoutIPv6 makes the interfaces that the namespace is given from now on carry IPv4 alone. The firewall cannot tell an
// instance's IPv6 from that of others on the bridge.
func withoutIPv6(path string) error {
	return thread.Spend(func() error {
		namespace, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(namespace)
		if err := unix.Setns(namespace, unix.CLONE_NEWNET); err != nil {
			return err
		}
		const file = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
		err = os.WriteFile(file, []byte("1"), 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the kernel has no IPv6
		}
		return err
	})
}

// writeHostConflist writes the configuration of a network of the host. The instance gets a route to the subnet and no
// other: the way to the outside stays that of the instances' bridge.
func (n *Network) writeHostConflist(host platform.HostNetwork) error {
	first, last := host.Addresses.Addr(), lastOf(host.Addresses)
	if first == host.Subnet.Addr() {
		first = first.Next()
	}
	if last == lastOf(host.Subnet) {
		last = last.Prev() // the address of all
	}
	of := map[string]string{"subnet": host.Subnet.String(), "rangeStart": first.String(), "rangeEnd": last.String()}
	if host.HostAddress.IsValid() {
		of["gateway"] = host.HostAddress.String()
	}
	return n.writePlugin(hostConfig(host.Name), map[string]any{
		"type": "bridge", "bridge": host.Bridge, "isGateway": false, "ipMasq": false, "hairpinMode": false, "portIsolation": true,
		"ipam": map[string]any{"type": "host-local", "dataDir": n.leases(), "ranges": [][]map[string]string{{of}}},
	})
}

func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().As4()
	for bit := prefix.Bits(); bit < 32; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(bytes)
}
