package platform

// RouteState says what a Route does with a request.
type RouteState string

const (
	// RouteStateServing sends requests to the ready instances.
	RouteStateServing RouteState = "SERVING"
	// RouteStatePaused answers 503: the service is paused.
	RouteStatePaused RouteState = "PAUSED"
	// RouteStateStarting answers 503: the service has never been ready.
	RouteStateStarting RouteState = "STARTING"
)

// Route says which Instances answer for a host. It is immutable: a change makes a new one.
type Route struct {
	// Host is the service's host name without a port, in lower case.
	Host        string
	ServiceID   ServiceID
	ServiceName string
	RevisionID  RevisionID
	State       RouteState
	// Endpoints are the ready instances.
	Endpoints []Endpoint
	// MaxConcurrency is the most requests one instance should hold at a time.
	MaxConcurrency int
}

// Endpoint is where one ready Instance listens.
type Endpoint struct {
	InstanceID InstanceID
	// Address is host:port.
	Address string
}
