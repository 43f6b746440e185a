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

// Route says which Instances answer for a service's hosts. It is immutable: a change makes a new one.
type Route struct {
	ServiceID ServiceID
	// Hosts are the names that the service answers to, without a port, in lower case; "*.example.com" stands for all names
	// with one label in place of the star, as far as no route has such a name itself.
	Hosts []string
	// PrivateHosts are those on the private listener. A name is in one of the two lists.
	PrivateHosts []string
	ServiceName  string
	RevisionID   RevisionID
	State        RouteState
	// Endpoints are the ready instances.
	Endpoints []Endpoint
	// MaxConcurrency is the most requests one instance gets at a time; more wait. 0 means no limit.
	MaxConcurrency int
	// MaxWaiting bounds the requests that wait for room; 0 means the data plane's default.
	MaxWaiting int
	// IsWakeable says that the service has no instance because it was scaled to zero: requests wait while one starts.
	IsWakeable bool
	Traffic    Traffic
}

// Endpoint is where one ready Instance listens.
type Endpoint struct {
	InstanceID InstanceID
	// Address is host:port.
	Address string
	// Freezer is the file by which the instance is frozen and thawed; empty where that cannot be done.
	Freezer string
}
