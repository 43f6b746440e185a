package client

import "context"

// Network is a network of the host, as Apron.ListNetworks tells it.
type Network struct {
	Name string `json:"Name"`
	// SubnetIDs and Ports are nil where an update leaves them as they are.
	SubnetIDs     []string `json:"SubnetIds"`
	Bridge        string   `json:"Bridge"`
	IsBorrowed    bool     `json:"IsBorrowed"`
	Subnet        string   `json:"Subnet"`
	Addresses     string   `json:"Addresses"`
	HostAddress   string   `json:"HostAddress,omitempty"`
	Ports         []int    `json:"Ports"`
	VPCConnectors []string `json:"VpcConnectors"`
}

// CreateNetwork makes a network. What wanted leaves out is chosen.
func (c *Client) CreateNetwork(ctx context.Context, wanted Network) (Network, error) {
	input := map[string]any{"Name": wanted.Name}
	for name, value := range map[string]string{"Bridge": wanted.Bridge, "Subnet": wanted.Subnet, "Addresses": wanted.Addresses} {
		if value != "" {
			input[name] = value
		}
	}
	return c.changeNetwork(ctx, "CreateNetwork", withLists(input, wanted))
}

// UpdateNetwork replaces the subnets' ids and the ports that are given.
func (c *Client) UpdateNetwork(ctx context.Context, edited Network) (Network, error) {
	return c.changeNetwork(ctx, "UpdateNetwork", withLists(map[string]any{"Name": edited.Name}, edited))
}

// DeleteNetwork removes a network and returns what it was.
func (c *Client) DeleteNetwork(ctx context.Context, name string) (Network, error) {
	return c.changeNetwork(ctx, "DeleteNetwork", map[string]any{"Name": name})
}

// Networks returns all networks of the host.
func (c *Client) Networks(ctx context.Context) ([]Network, error) {
	var output struct{ Networks []Network }
	err := c.call(ctx, "ListNetworks", map[string]any{}, &output)
	return output.Networks, err
}

func withLists(input map[string]any, network Network) map[string]any {
	if network.SubnetIDs != nil {
		input["SubnetIds"] = network.SubnetIDs
	}
	if network.Ports != nil {
		input["Ports"] = network.Ports
	}
	return input
}

func (c *Client) changeNetwork(ctx context.Context, action string, input map[string]any) (Network, error) {
	var output struct{ Network Network }
	err := c.call(ctx, action, input, &output)
	return output.Network, err
}
