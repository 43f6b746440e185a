package apprunner

// Shapes of the extension actions on networks of the host: what the subnets of VPC connectors stand for.

// NetworkName names a network of the host.
type NetworkName string

// BridgeName is the name of a bridge of the host.
type BridgeName string

// CIDR is a range of IPv4 addresses.
type CIDR string

// TCPPort is a port of the host.
type TCPPort int32

type TCPPortList []TCPPort

// CreateNetworkRequest makes a network; what is left out is chosen.
type CreateNetworkRequest struct {
	Name *NetworkName `api:",required"`
	// SubnetIDs stand for the network in VPC connectors; subnet-NAME always does. "*" stands for every id that no network has.
	SubnetIDs StringList `api:"SubnetIds"`
	// Bridge is a bridge that is there already; absent for one of apron's own.
	Bridge *BridgeName
	// Subnet is what is reached by the network. Addresses is the part of it that instances take their addresses from.
	Subnet    *CIDR
	Addresses *CIDR
	// Ports are those of the host that instances reach at its address on the network.
	Ports TCPPortList
}

type CreateNetworkResponse struct {
	Network *Network `api:",required"`
}

type ListNetworksRequest struct{}

type ListNetworksResponse struct {
	Networks NetworkList `api:",required"`
}

// UpdateNetworkRequest replaces the members that are given.
type UpdateNetworkRequest struct {
	Name      *NetworkName `api:",required"`
	SubnetIDs StringList   `api:"SubnetIds"`
	Ports     TCPPortList
}

type UpdateNetworkResponse struct {
	Network *Network `api:",required"`
}

type DeleteNetworkRequest struct {
	Name *NetworkName `api:",required"`
}

type DeleteNetworkResponse struct {
	Network *Network `api:",required"`
}

// Network is a network of the host that instances are attached to by VPC connectors.
type Network struct {
	Name      *NetworkName `api:",required"`
	SubnetIDs StringList   `api:"SubnetIds,required"`
	Bridge    *BridgeName  `api:",required"`
	// IsBorrowed says that the bridge is not of apron's making.
	IsBorrowed *bool `api:",required"`
	Subnet     *CIDR `api:",required"`
	Addresses  *CIDR `api:",required"`
	// HostAddress is the host's own on the network; absent when it has none.
	HostAddress *String
	Ports       TCPPortList `api:",required"`
	// VPCConnectors are the names of the connectors with a subnet that stands for the network.
	VPCConnectors StringList `api:"VpcConnectors,required"`
}

type NetworkList []Network
