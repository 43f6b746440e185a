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
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/containernetworking/cni/libcni"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// interfaceName begins the names of the interfaces inside an instance: 0 is on the instances' bridge, and those of the
// host's networks follow.
const interfaceName = "eth"

// ErrAttached tells that the plugins have met an address or interface that the id has already. The plugins that a killed apron
// was running go on for a moment, and may come after a Detach.
var ErrAttached = errors.New("it is attached already")

// Attach gives the network namespace at path an address on the instances' bridge, which it returns, and one on each network of
// the host that a subnet's id stands for. Subnets that nothing stands for are a *platform.ExplainedError. What an Attach
// that failed has done is undone by Detach.
func (n *Network) Attach(ctx context.Context, id, path string, subnetIDs ...string) (netip.Addr, error) {
	hosts, err := n.reserve(ctx, id, subnetIDs)
	if err != nil {
		return netip.Addr{}, err
	}
	address, err := n.add(ctx, instancesName, id, path, 0)
	if err != nil || len(hosts) == 0 {
		return address, err
	}
	if err := withoutIPv6(path); err != nil {
		return netip.Addr{}, fmt.Errorf("keep IPv6 off the networks: %w", err)
	}
	for i, host := range hosts {
		if err := n.addHost(ctx, host, id, path, i+1); err != nil {
			return netip.Addr{}, fmt.Errorf("attach to the network %s: %w", host.Name, err)
		}
	}
	return address, nil
}

// add plugs the namespace into the network with the configuration name, and returns its address there.
func (n *Network) add(ctx context.Context, name, id, path string, index int) (netip.Addr, error) {
	list, err := n.conflist(name)
	if err != nil {
		return netip.Addr{}, err
	}
	result, err := n.plugins().AddNetworkList(ctx, list, runtimeConf(id, path, index))
	if err != nil {
		err = fmt.Errorf("attach to the network: %w", err)
		if text := err.Error(); strings.Contains(text, "duplicate allocation") || strings.Contains(text, "already exists") {
			err = fmt.Errorf("%w: %w", ErrAttached, err)
		}
		return netip.Addr{}, err
	}
	current, err := types100.NewResultFromResult(result)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("read the plugin's answer: %w", err)
	}
	for _, ip := range current.IPs {
		if address, ok := netip.AddrFromSlice(ip.Address.IP); ok {
			return address.Unmap(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("the plugin gave no address")
}

// Detach gives all addresses back. It is idempotent; path may be gone already.
func (n *Network) Detach(ctx context.Context, id, path string) error {
	names, err := n.attachments(id)
	if err != nil {
		return fmt.Errorf("read what it is attached to: %w", err)
	}
	if !isNamespace(path) {
		path = "" // the machine was restarted, or apron was killed before it was one: the address is given back
	}
	configs := []string{instancesName}
	for _, name := range names {
		configs = append(configs, hostConfig(name))
	}
	var errs []error
	for i, config := range configs {
		list, err := n.conflist(config)
		if err == nil {
			err = n.plugins().DelNetworkList(ctx, list, runtimeConf(id, path, i))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("detach from the network: %w", err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return n.forget(id)
}

// Attached lists the ids that hold an address on a bridge of instances, whether there is a namespace or not.
func (n *Network) Attached() ([]string, error) {
	var ids []string
	entries, err := os.ReadDir(filepath.Join(n.leases(), instancesName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		if _, err := netip.ParseAddr(entry.Name()); err != nil {
			continue // the plugin's own files
		}
		// The plugin writes the container's id on the first line.
		content, err := os.ReadFile(filepath.Join(n.leases(), instancesName, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // given back just now
		}
		if err != nil {
			return nil, err
		}
		id, _, _ := strings.Cut(string(content), "\n")
		ids = append(ids, strings.TrimSpace(id))
	}
	return ids, nil
}

// IsAttached says whether id holds an address.
func (n *Network) IsAttached(id string) bool {
	ids, err := n.Attached()
	return err != nil || slices.Contains(ids, id)
}

// BuildConflist is the file with the CNI configuration of the builds' network, for BuildKit.
func (n *Network) BuildConflist() string { return n.conflistPath(buildsName) }

// PluginDir is the folder of the CNI plugins.
func (n *Network) PluginDir() string { return n.config.PluginDir }

// isNamespace says whether a namespace is kept at path: the file alone may be there without one.
func isNamespace(path string) bool {
	var status unix.Statfs_t
	return unix.Statfs(path, &status) == nil && status.Type == unix.NSFS_MAGIC
}

func (n *Network) plugins() *libcni.CNIConfig {
	return libcni.NewCNIConfigWithCacheDir([]string{n.config.PluginDir}, filepath.Join(n.dir(), "cache"), nil)
}

func runtimeConf(id, path string, index int) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{ContainerID: id, NetNS: path, IfName: interfaceName + strconv.Itoa(index)}
}

// leases is where the plugin that gives addresses remembers them, in a folder for each network.
func (n *Network) leases() string { return filepath.Join(n.dir(), "leases") }

func (n *Network) conflistPath(name string) string { return filepath.Join(n.dir(), name+".conflist") }

func (n *Network) conflist(name string) (*libcni.NetworkConfigList, error) {
	list, err := libcni.ConfListFromFile(n.conflistPath(name))
	if err != nil {
		return nil, fmt.Errorf("read the network's configuration: %w", err)
	}
	return list, nil
}

// writeConflist writes the configuration of one bridge. The bridge plugin isolates the ports from each other;
// masquerading and filtering are ours (rules), which saves each instance two runs of a plugin.
func (n *Network) writeConflist(name string, b bridge) error {
	return n.writePlugin(name, map[string]any{
		"type": "bridge", "bridge": b.Name, "isGateway": true, "isDefaultGateway": true, "ipMasq": false,
		"hairpinMode": false, "portIsolation": true,
		"ipam": map[string]any{
			"type": "host-local", "dataDir": n.leases(),
			"ranges": [][]map[string]string{{{"subnet": b.Subnet.String()}}},
		},
	})
}

// writePlugin writes the configuration of a network that one plugin makes.
func (n *Network) writePlugin(name string, plugin map[string]any) error {
	content, err := json.MarshalIndent(map[string]any{"cniVersion": "1.0.0", "name": name, "plugins": []any{plugin}}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.dir(), 0o700); err != nil {
		return err
	}
	return os.WriteFile(n.conflistPath(name), content, 0o600)
}
