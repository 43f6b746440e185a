package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/apron-run/apron/internal/platform"
)

// maxHosts bounds the networks of the host, as the firewall's rules for them are read for each new connection.
const maxHosts = 32

// HostNetworks returns the networks of the host, in order of creation. Callers must not change them.
func (n *Network) HostNetworks() []platform.HostNetwork { return *n.hosts.Load() }

// CreateHostNetwork makes a network of the host and remembers it. Only Name is required; what else wanted leaves out is chosen:
// a bridge of apron's own on a free private subnet. A network that cannot be is refused with a *platform.ExplainedError.
func (n *Network) CreateHostNetwork(ctx context.Context, wanted platform.HostNetwork) (platform.HostNetwork, error) {
	release, err := n.change(ctx)
	if err != nil {
		return platform.HostNetwork{}, err
	}
	defer release()
	hosts := n.HostNetworks()
	if err := checkHost(hosts, wanted); err != nil {
		return platform.HostNetwork{}, err
	}
	made, err := n.complete(hosts, wanted.Clone())
	if err != nil {
		return platform.HostNetwork{}, err
	}
	err = n.ensureHost(made)
	if err == nil {
		err = n.apply(ctx, append(slices.Clone(hosts), made.Clone()))
	}
	if err != nil {
		return platform.HostNetwork{}, errors.Join(fmt.Errorf("set the network %s up: %w", made.Name, err), n.removeHost(made))
	}
	return made, nil
}

// apply makes the firewall and what is remembered those of hosts. What has begun is finished, also when the caller goes away.
func (n *Network) apply(ctx context.Context, hosts []platform.HostNetwork) error {
	ctx = context.WithoutCancel(ctx)
	err := n.ensureRules(ctx, hosts)
	if err == nil {
		err = n.saveHosts(hosts)
	}
	if err != nil {
		return errors.Join(err, n.ensureRules(ctx, n.HostNetworks()))
	}
	return nil
}

// UpdateHostNetwork gives the network of wanted's name its subnets' ids and ports, and returns it. What cannot be is refused with
// a *platform.ExplainedError.
func (n *Network) UpdateHostNetwork(ctx context.Context, wanted platform.HostNetwork) (platform.HostNetwork, error) {
	release, err := n.change(ctx)
	if err != nil {
		return platform.HostNetwork{}, err
	}
	defer release()
	hosts := slices.Clone(n.HostNetworks())
	place := placeOf(hosts, wanted.Name)
	if place < 0 {
		return platform.HostNetwork{}, platform.Explain(nil, "There is no network %s.", wanted.Name)
	}
	edited := hosts[place].Clone()
	edited.SubnetIDs, edited.Ports = wanted.SubnetIDs, wanted.Ports
	others := slices.Delete(slices.Clone(hosts), place, place+1)
	if err := checkIDs(others, edited.SubnetIDs); err != nil {
		return platform.HostNetwork{}, err
	}
	if err := checkPorts(edited); err != nil {
		return platform.HostNetwork{}, err
	}
	hosts[place] = edited.Clone()
	return edited, n.apply(ctx, hosts)
}

func placeOf(hosts []platform.HostNetwork, name string) int {
	return slices.IndexFunc(hosts, func(host platform.HostNetwork) bool { return host.Name == name })
}

// DeleteHostNetwork removes a network of the host, with its bridge unless that is borrowed. An unknown name is done
// already. One that instances are attached to is refused with a *platform.ExplainedError.
func (n *Network) DeleteHostNetwork(ctx context.Context, name string) error {
	release, err := n.change(ctx)
	if err != nil {
		return err
	}
	defer release()
	hosts := n.HostNetworks()
	place := placeOf(hosts, name)
	if place < 0 {
		return nil
	}
	attached, err := n.attachedTo(name)
	if err != nil {
		return fmt.Errorf("look for what is attached: %w", err)
	}
	if attached > 0 {
		return platform.Explain(nil, "The network %s has %d instances attached to it.", name, attached).Try("Wait until they have ended, and try again.")
	}
	left := slices.Delete(slices.Clone(hosts), place, place+1)
	if err := n.removeHost(hosts[place]); err != nil {
		return fmt.Errorf("remove the bridge: %w", err)
	}
	return n.apply(ctx, left)
}

// change waits until no other change goes on. The release must be called.
func (n *Network) change(ctx context.Context) (release func(), err error) {
	select {
	case n.changing <- struct{}{}:
		return func() { <-n.changing }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// ensureHost sets one network up. It is idempotent.
func (n *Network) ensureHost(host platform.HostNetwork) error {
	if !host.IsBorrowed {
		if err := (bridge{host.Bridge, host.Subnet}).ensure(); err != nil {
			return fmt.Errorf("make the bridge %s: %w", host.Bridge, err)
		}
	}
	return n.writeHostConflist(host)
}

// removeHost takes away what ensureHost has made, and the addresses that are remembered.
func (n *Network) removeHost(host platform.HostNetwork) error {
	errs := []error{os.RemoveAll(filepath.Join(n.leases(), hostConfig(host.Name)))}
	if err := os.Remove(n.conflistPath(hostConfig(host.Name))); !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	if !host.IsBorrowed {
		errs = append(errs, removeBridge(host.Bridge))
	}
	return errors.Join(errs...)
}

func (n *Network) loadHosts() error {
	var hosts []platform.HostNetwork
	content, err := os.ReadFile(n.hostsPath())
	if err == nil {
		err = json.Unmarshal(content, &hosts)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	n.hosts.Store(&hosts)
	return nil
}

func (n *Network) saveHosts(hosts []platform.HostNetwork) error {
	content, err := json.MarshalIndent(hosts, "", "  ")
	if err != nil {
		return err
	}
	if err := save(n.hostsPath(), content); err != nil {
		return err
	}
	n.hosts.Store(&hosts)
	return nil
}

func (n *Network) hostsPath() string { return filepath.Join(n.config.DataDir, "networks.json") }
