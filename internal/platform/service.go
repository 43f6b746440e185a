package platform

import (
	"maps"
	"slices"
	"time"
)

// ServiceStatus is the status that the API shows.
type ServiceStatus string

const (
	ServiceStatusOperationInProgress ServiceStatus = "OPERATION_IN_PROGRESS"
	ServiceStatusRunning             ServiceStatus = "RUNNING"
	ServiceStatusPaused              ServiceStatus = "PAUSED"
	ServiceStatusCreateFailed        ServiceStatus = "CREATE_FAILED"
	ServiceStatusDeleted             ServiceStatus = "DELETED"
	ServiceStatusDeleteFailed        ServiceStatus = "DELETE_FAILED"
)

// Service is the customer's app: what was asked for, and which Revision serves.
type Service struct {
	ID        ServiceID
	Name      string
	ARN       string
	Subdomain Subdomain
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt *time.Time
	Status    ServiceStatus

	// Configuration is what the API shows: the configuration last asked for, or the last good one after a rollback.
	Configuration Configuration
	Tags          map[string]string

	// ActiveRevisionID is the Revision that serves, or that served last while the service is paused. Empty until the
	// first deployment has switched.
	ActiveRevisionID RevisionID
	// IsServing says whether instances of the active Revision should run and answer. False before the first switch,
	// while paused and once a deletion has begun.
	IsServing bool

	// WaitingTrigger is what asked last for a deployment that waits until Status allows one; empty when none waits.
	// WaitingFor is the commit or digest that it is for, where that is known.
	WaitingTrigger Trigger
	WaitingFor     string

	// Found is the commit, or the digest, that the newest deployment found the source to mean, whatever became of it; empty
	// before the first.
	Found string
	// Considered is the Change for which was decided last whether it is deployed by itself: it is decided once.
	Considered string
	// Webhook is the sealed secret of the service's webhook; empty until somebody asked for it.
	Webhook string
}

// Wish is for a deployment that no client of the API asks for.
type Wish struct {
	Trigger Trigger
	// For is the commit or digest that is to be deployed; empty where it is not known.
	For string
	// Considered is the Change that led to the wish; empty keeps the service's.
	Considered string
}

// Change names the way of a source from one commit or digest to another.
func Change(from, to string) string { return from + ".." + to }

// Find notes what a deployment found the source to mean. What waits for the same need not wait any more.
func (s *Service) Find(found string) {
	s.Found = found
	if s.WaitingFor == found {
		s.WaitingTrigger, s.WaitingFor = "", ""
	}
}

// Extension tags: how a client says what App Runner's model has no member for.
const (
	// TagPrefix is what the names of all of them begin with.
	TagPrefix = "apron:"
	// TagBuild chooses how a code repository is built: BuildDockerfile, BuildAuto, or absent for apprunner.yaml.
	TagBuild = "apron:build"
	// TagDockerfile is the Dockerfile's path from the source directory; default "Dockerfile".
	TagDockerfile = "apron:dockerfile"
	// TagRuntime names a runtime of the catalogue, also one that the API's enum does not have. It wins over CodeValues.Runtime and
	// over the runtime of apprunner.yaml.
	TagRuntime = "apron:runtime"
	// TagTarget is the stage of the Dockerfile that is built; default the last.
	TagTarget = "apron:target"
	// TagBuildArg and TagBuildSecret begin tags that name one thing each: a build argument of the Dockerfile with its value,
	// and a secret of its steps, by the id that they mount, with the reference of its value.
	TagBuildArg    = "apron:build-arg:"
	TagBuildSecret = "apron:build-secret:"
)

// Values of TagBuild.
const (
	BuildDockerfile = "dockerfile"
	// BuildAuto is by apprunner.yaml where there is one, else by what the repository's files say.
	BuildAuto = "auto"
)

// Configuration is everything that shapes a Revision: change one member and a new Revision is deployed.
type Configuration struct {
	Source        Source
	Instance      InstanceConfiguration
	HealthCheck   HealthCheck
	AutoScaling   AutoScaling
	Network       Network
	Observability Observability
	// KMSKey is the customer key's ARN, or empty. It is remembered and shown; encryption at rest is the host's matter.
	KMSKey string `json:",omitempty"`
}

// InstanceConfiguration is the size of one Instance.
type InstanceConfiguration struct {
	// CPUUnits is in 1/1024 of a vCPU: 256, 512, 1024, 2048 or 4096.
	CPUUnits int
	// MemoryMiB is in MiB.
	MemoryMiB int
	// RoleARN is the instance role, or empty. It is remembered and shown.
	RoleARN string `json:",omitempty"`
}

// HealthCheckProtocol says how readiness is probed.
type HealthCheckProtocol string

const (
	HealthCheckTCP  HealthCheckProtocol = "TCP"
	HealthCheckHTTP HealthCheckProtocol = "HTTP"
)

// HealthCheck is how an Instance proves that it is ready.
type HealthCheck struct {
	Protocol           HealthCheckProtocol
	Path               string
	IntervalSeconds    int
	TimeoutSeconds     int
	HealthyThreshold   int
	UnhealthyThreshold int
}

// AutoScaling is the auto scaling configuration revision a Service uses, resolved.
type AutoScaling struct {
	ARN            string
	Name           string
	Revision       int
	MaxConcurrency int
	MinSize        int
	MaxSize        int
}

// Network says how a Service is reached and what it reaches.
type Network struct {
	EgressType      string
	VPCConnectorARN string `json:",omitempty"`
	// Subnets are those of the VPC connector, resolved.
	Subnets              []string `json:",omitempty"`
	IsPubliclyAccessible bool
	IPAddressType        string
}

// Observability is the tracing choice of a Service.
type Observability struct {
	IsEnabled bool
	ARN       string `json:",omitempty"`
}

// DefaultConfiguration returns the values App Runner gives to members that CreateService leaves out.
func DefaultConfiguration() Configuration {
	return Configuration{
		Instance: InstanceConfiguration{CPUUnits: 1024, MemoryMiB: 2048},
		HealthCheck: HealthCheck{
			Protocol: HealthCheckTCP, Path: "/", IntervalSeconds: 5, TimeoutSeconds: 2,
			HealthyThreshold: 1, UnhealthyThreshold: 5,
		},
		AutoScaling: AutoScaling{MaxConcurrency: 100, MinSize: 1, MaxSize: 25},
		Network:     Network{EgressType: "DEFAULT", IsPubliclyAccessible: true, IPAddressType: "IPV4"},
	}
}

// memorySizes lists the MiB that each size of CPU is offered with (App Runner developer guide, "vCPU and memory").
var memorySizes = map[int][]int{
	256:  {512, 1024},
	512:  {1024},
	1024: {2048, 3072, 4096},
	2048: {4096, 6144},
	4096: {8192, 10240, 12288},
}

// MemorySizes returns the MiB offered with so many CPU units, ascending, or nil for a CPU size that is not offered.
func MemorySizes(cpuUnits int) []int { return memorySizes[cpuUnits] }

// Clone returns a copy that shares nothing with s.
func (s Service) Clone() Service {
	s.Configuration = s.Configuration.Clone()
	s.Tags = maps.Clone(s.Tags)
	if s.DeletedAt != nil {
		at := *s.DeletedAt
		s.DeletedAt = &at
	}
	return s
}

// Clone returns a copy that shares nothing with c.
func (c Configuration) Clone() Configuration {
	c.Source = c.Source.Clone()
	c.Network.Subnets = slices.Clone(c.Network.Subnets)
	return c
}
