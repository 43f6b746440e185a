package api

import (
	"context"
	"net/netip"
	"slices"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

const (
	// maxNetworkMembers bounds the ids and the ports of a network.
	maxNetworkMembers = 100
	// maxSubnetID bounds the characters of an id; AWS's have 24.
	maxSubnetID = 100
)

func (h *Handler) createNetwork(ctx context.Context, input *apprunner.CreateNetworkRequest) (*apprunner.CreateNetworkResponse, error) {
	if h.Networks == nil {
		return nil, noNetworks()
	}
	wanted := platform.HostNetwork{Name: string(*input.Name)}
	var err error
	if wanted.SubnetIDs, err = networkIDs(input.SubnetIDs); err != nil {
		return nil, err
	}
	if wanted.Ports, err = networkPorts(input.Ports); err != nil {
		return nil, err
	}
	if input.Bridge != nil {
		wanted.Bridge = string(*input.Bridge)
	}
	if wanted.Subnet, err = cidr("Subnet", input.Subnet); err != nil {
		return nil, err
	}
	if wanted.Addresses, err = cidr("Addresses", input.Addresses); err != nil {
		return nil, err
	}
	made, err := h.Networks.CreateHostNetwork(ctx, wanted)
	if err != nil {
		return nil, explained(err)
	}
	output, err := h.answerNetwork(ctx, made)
	return &apprunner.CreateNetworkResponse{Network: output}, err
}

func (h *Handler) answerNetwork(ctx context.Context, network platform.HostNetwork) (*apprunner.Network, error) {
	connectors, err := h.connectors(ctx)
	if err != nil {
		return nil, err
	}
	return wireNetwork(network, h.Networks.HostNetworks(), connectors), nil
}

// networkIDs reads ids of subnets.
func networkIDs(list apprunner.StringList) ([]string, error) {
	if len(list) > maxNetworkMembers {
		return nil, invalidRequest("SubnetIds must have at most %d ids.", maxNetworkMembers)
	}
	for i, id := range list {
		if len(id) > maxSubnetID {
			return nil, invalidRequest("SubnetIds[%d] must have at most %d characters.", i, maxSubnetID)
		}
	}
	return distinct("SubnetIds", list)
}

func networkPorts(list apprunner.TCPPortList) ([]int, error) {
	if len(list) > maxNetworkMembers {
		return nil, invalidRequest("Ports must have at most %d ports.", maxNetworkMembers)
	}
	var ports []int
	for i, port := range list {
		if slices.Contains(ports, int(port)) {
			return nil, invalidRequest("Ports[%d] is given twice.", i)
		}
		ports = append(ports, int(port))
	}
	return ports, nil
}

func cidr(member string, text *apprunner.CIDR) (netip.Prefix, error) {
	if text == nil {
		return netip.Prefix{}, nil
	}
	read, err := netip.ParsePrefix(string(*text))
	if err != nil {
		return netip.Prefix{}, invalidRequest("%s must be a range of IPv4 addresses, such as 10.20.0.0/24.", member)
	}
	return read, nil
}

func noNetworks() *Error {
	return invalidRequest("This apron cannot make networks of its host.")
}

// explained refuses what a person can change, in its own words.
func explained(err error) error {
	if why := platform.AsExplained(err); why != nil {
		return invalidRequest("%s", why)
	}
	return err
}

func (h *Handler) listNetworks(ctx context.Context, _ *apprunner.ListNetworksRequest) (*apprunner.ListNetworksResponse, error) {
	output := &apprunner.ListNetworksResponse{}
	if h.Networks == nil {
		return output, nil
	}
	connectors, err := h.connectors(ctx)
	if err != nil {
		return nil, err
	}
	all := h.Networks.HostNetworks()
	for _, network := range all {
		output.Networks = append(output.Networks, *wireNetwork(network, all, connectors))
	}
	return output, nil
}

// updateNetwork replaces the members that are given. A subnet of a connector keeps a network.
func (h *Handler) updateNetwork(ctx context.Context, input *apprunner.UpdateNetworkRequest) (*apprunner.UpdateNetworkResponse, error) {
	network, err := h.network(*input.Name)
	if err != nil {
		return nil, err
	}
	edited := network.Clone()
	if input.SubnetIDs != nil {
		if edited.SubnetIDs, err = networkIDs(input.SubnetIDs); err != nil {
			return nil, err
		}
	}
	if input.Ports != nil {
		if edited.Ports, err = networkPorts(input.Ports); err != nil {
			return nil, err
		}
	}
	if err := h.refuseUnmapping(ctx, network, &edited); err != nil {
		return nil, err
	}
	if edited, err = h.Networks.UpdateHostNetwork(ctx, edited); err != nil {
		return nil, explained(err)
	}
	output, err := h.answerNetwork(ctx, edited)
	return &apprunner.UpdateNetworkResponse{Network: output}, err
}

func (h *Handler) deleteNetwork(ctx context.Context, input *apprunner.DeleteNetworkRequest) (*apprunner.DeleteNetworkResponse, error) {
	network, err := h.network(*input.Name)
	if err != nil {
		return nil, err
	}
	if err := h.refuseUnmapping(ctx, network, nil); err != nil {
		return nil, err
	}
	output, err := h.answerNetwork(ctx, network)
	if err != nil {
		return nil, err
	}
	if err := h.Networks.DeleteHostNetwork(ctx, network.Name); err != nil {
		return nil, explained(err)
	}
	return &apprunner.DeleteNetworkResponse{Network: output}, nil
}

// network returns the network of a name. ResourceNotFound without one.
func (h *Handler) network(name apprunner.NetworkName) (platform.HostNetwork, error) {
	if h.Networks != nil {
		for _, network := range h.Networks.HostNetworks() {
			if network.Name == string(name) {
				return network, nil
			}
		}
	}
	return platform.HostNetwork{}, notFound("There is no network %s.", name)
}

// refuseUnmapping refuses to change a network into edited, or to remove it when that is nil, if a connector's subnet would then
// stand for another or none. A connector that is created at the same time is told at its service's next deployment.
func (h *Handler) refuseUnmapping(ctx context.Context, network platform.HostNetwork, edited *platform.HostNetwork) error {
	before := h.Networks.HostNetworks()
	after := slices.Clone(before)
	place := slices.IndexFunc(after, func(each platform.HostNetwork) bool { return each.Name == network.Name })
	if place >= 0 && edited != nil {
		after[place] = *edited
	} else if place >= 0 {
		after = slices.Delete(after, place, place+1)
	}
	connectors, err := h.connectors(ctx)
	if err != nil {
		return err
	}
	for _, connector := range connectors {
		for _, subnet := range connector.Detail.VPCConnector.Subnets {
			if standsFor(before, subnet) == network.Name && standsFor(after, subnet) != network.Name {
				return invalidRequest("The network %s is what the subnet %s of the VPC connector %s stands for. Delete the connector first.",
					network.Name, shorten(subnet), connector.Name)
			}
		}
	}
	return nil
}

// standsFor is the name of the network that a subnet's id stands for, or nothing.
func standsFor(networks []platform.HostNetwork, subnet string) string {
	found, _ := platform.ResolveSubnets(networks, []string{subnet})
	if len(found) == 0 {
		return ""
	}
	return found[0].Name
}

func (h *Handler) connectors(ctx context.Context) ([]platform.Resource, error) {
	return h.Store.ListResources(ctx, store.ResourceQuery{Kind: platform.ResourceVPCConnector})
}

// wireNetwork shows a network with the connectors that it serves.
func wireNetwork(network platform.HostNetwork, all []platform.HostNetwork, connectors []platform.Resource) *apprunner.Network {
	wire := &apprunner.Network{
		Name:       new(apprunner.NetworkName(network.Name)),
		SubnetIDs:  wireStrings(network.SubnetIDs),
		Bridge:     new(apprunner.BridgeName(network.Bridge)),
		IsBorrowed: new(network.IsBorrowed),
		Subnet:     new(apprunner.CIDR(network.Subnet.String())),
		Addresses:  new(apprunner.CIDR(network.Addresses.String())),
	}
	if network.HostAddress.IsValid() {
		wire.HostAddress = new(apprunner.String(network.HostAddress.String()))
	}
	for _, port := range network.Ports {
		wire.Ports = append(wire.Ports, apprunner.TCPPort(port))
	}
	for _, connector := range connectors {
		isServed := func(subnet string) bool { return standsFor(all, subnet) == network.Name }
		if slices.ContainsFunc(connector.Detail.VPCConnector.Subnets, isServed) {
			wire.VPCConnectors = append(wire.VPCConnectors, apprunner.String(connector.Name))
		}
	}
	return wire
}
