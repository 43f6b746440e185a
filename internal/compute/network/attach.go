package network

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/containernetworking/cni/libcni"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// interfaceName is the name of the interface inside an instance.
const interfaceName = "eth0"

// Attach gives the network namespace at path an address on the instances' bridge.
func (n *Network) Attach(ctx context.Context, id, path string) (netip.Addr, error) {
	list, err := n.conflist(instancesName)
	if err != nil {
		return netip.Addr{}, err
	}
	result, err := n.plugins().AddNetworkList(ctx, list, runtimeConf(id, path))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("attach to the network: %w", err)
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

// Detach gives the address back. It is idempotent; path may be gone already.
func (n *Network) Detach(ctx context.Context, id, path string) error {
	list, err := n.conflist(instancesName)
	if err != nil {
		return err
	}
	if !isNamespace(path) {
		path = "" // the machine was restarted, or apron was killed before it was one: the address is given back
	}
	if err := n.plugins().DelNetworkList(ctx, list, runtimeConf(id, path)); err != nil {
		return fmt.Errorf("detach from the network: %w", err)
	}
	return nil
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

func runtimeConf(id, path string) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{ContainerID: id, NetNS: path, IfName: interfaceName}
}

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
	content, err := json.MarshalIndent(map[string]any{
		"cniVersion": "1.0.0",
		"name":       name,
		"plugins": []any{map[string]any{
			"type": "bridge", "bridge": b.Name, "isGateway": true, "isDefaultGateway": true, "ipMasq": false,
			"hairpinMode": false, "portIsolation": true,
			"ipam": map[string]any{
				"type": "host-local", "dataDir": filepath.Join(n.dir(), "leases"),
				"ranges": [][]map[string]string{{{"subnet": b.Subnet.String()}}},
			},
		}},
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.dir(), 0o700); err != nil {
		return err
	}
	return os.WriteFile(n.conflistPath(name), content, 0o600)
}
