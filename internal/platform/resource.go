package platform

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// ResourceID is 32 hex digits; it ends a resource's ARN.
type ResourceID string

// NewResourceID returns a random id.
func NewResourceID() ResourceID { return ResourceID(randomHex()) }

// ResourceKind is a kind of Resource, spelled as in ARNs.
type ResourceKind string

const (
	ResourceAutoScaling   ResourceKind = "autoscalingconfiguration"
	ResourceSecret        ResourceKind = "secret"
	ResourceObservability ResourceKind = "observabilityconfiguration"
	ResourceConnection    ResourceKind = "connection"
	ResourceVPCConnector  ResourceKind = "vpcconnector"
	ResourceVPCIngress    ResourceKind = "vpcingressconnection"
)

// HasRevisions says whether a name of this kind has a row of revisions, which are part of its ARN.
func (k ResourceKind) HasRevisions() bool {
	return k == ResourceAutoScaling || k == ResourceObservability || k == ResourceVPCConnector
}

// Resource is what services refer to: everything in the API that has an ARN but the services themselves.
type Resource struct {
	ID   ResourceID
	Kind ResourceKind
	Name string
	// Revision is 1 for a kind that has none.
	Revision int
	ARN      string
	// Status is one of the kind's own, as the API spells it.
	Status    string
	CreatedAt time.Time
	// DeletedAt is set once the resource is gone; it can be read for a while still.
	DeletedAt *time.Time
	// ServiceID is the service that a VPC ingress connection leads to.
	ServiceID ServiceID
	Tags      map[string]string
	Detail    ResourceDetail

	// IsDefault marks the auto scaling configuration of services that name none.
	IsDefault bool
	// IsLatest and IsUsed are the store's answers at the time of reading: whether no later revision of the name is there,
	// and whether a service refers to it, or may go back to it when its operation fails.
	IsLatest, IsUsed bool
}

// ResourceDetail is what only one kind has; the others' members are nil.
type ResourceDetail struct {
	AutoScaling   *AutoScalingLimits   `json:",omitempty"`
	Observability *ObservabilityDetail `json:",omitempty"`
	Connection    *ConnectionDetail    `json:",omitempty"`
	VPCConnector  *VPCConnectorDetail  `json:",omitempty"`
	VPCIngress    *VPCIngressDetail    `json:",omitempty"`
	Secret        *SecretDetail        `json:",omitempty"`
}

// SecretDetail is a named value. Only the holder of the key can read it.
type SecretDetail struct {
	Sealed    []byte
	ChangedAt time.Time
}

// AutoScalingLimits are what a service scales between.
type AutoScalingLimits struct{ MaxConcurrency, MinSize, MaxSize int }

// ObservabilityDetail says how a service is traced.
type ObservabilityDetail struct {
	// Vendor is AWSXRAY, or empty without tracing.
	Vendor string
}

// VPCConnectorDetail names networks by their subnets' ids.
type VPCConnectorDetail struct {
	Subnets        []string
	SecurityGroups []string `json:",omitempty"`
}

// VPCIngressDetail is a private name of a service.
type VPCIngressDetail struct {
	// DomainName is the host name on the private listener.
	DomainName string
	// VPCID and EndpointID say from where; they are remembered and shown.
	VPCID, EndpointID string
}

// The statuses of a VPC ingress connection, as the API spells them.
const (
	IngressStatusPendingCreation = "PENDING_CREATION"
	IngressStatusPendingUpdate   = "PENDING_UPDATE"
	IngressStatusPendingDeletion = "PENDING_DELETION"
	IngressStatusAvailable       = "AVAILABLE"
	IngressStatusFailedCreation  = "FAILED_CREATION"
	IngressStatusFailedUpdate    = "FAILED_UPDATE"
	IngressStatusFailedDeletion  = "FAILED_DELETION"
	IngressStatusDeleted         = "DELETED"
)

// NewVPCIngressDomain returns a random host name for a VPC ingress connection.
func NewVPCIngressDomain(region, domain string) string {
	return string(NewSubdomain()) + ".vpce." + region + "." + domain
}

// Path is what an ARN says after the account.
func (r Resource) Path() string {
	path := string(r.Kind) + "/" + r.Name + "/"
	if r.Kind.HasRevisions() {
		path += strconv.Itoa(r.Revision) + "/"
	}
	return path + string(r.ID)
}

// Clone returns a copy that shares nothing with r.
func (r Resource) Clone() Resource {
	r.Tags = maps.Clone(r.Tags)
	if r.DeletedAt != nil {
		r.DeletedAt = new(*r.DeletedAt)
	}
	return r
}

// Uses lists the ARNs of the resources that a service of this configuration needs.
func (c Configuration) Uses() []string {
	var arns []string
	for _, arn := range []string{c.AutoScaling.ARN, c.Observability.ARN, c.Network.VPCConnectorARN, c.Source.ConnectionARN} {
		if arn != "" && !slices.Contains(arns, arn) {
			arns = append(arns, arn)
		}
	}
	slices.Sort(arns)
	return arns
}
