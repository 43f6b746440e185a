package deploy

import (
	"reflect"
	"slices"
	"sync"

	"github.com/apron-run/apron/internal/platform"
)

// Routes is the one owner of which instances answer for a service, and to which hosts. It keeps the current Route of each
// and hands every change to the Router as a new, whole Route.
type Routes struct {
	router Router
	host   func(platform.Service) string

	mu      sync.Mutex // guards what follows, and orders the calls of router, which do not wait
	routes  map[platform.ServiceID]exposed
	names   map[platform.ServiceID]Names
	traffic map[platform.ServiceID]platform.Traffic
}

// exposed is a Route and what decides on its hosts.
type exposed struct {
	platform.Route
	// host is the service's own.
	host string
	// isPublic is what the revision that serves says: an update's wish holds from the switch on.
	isPublic bool
	// canSleep says that the service may be scaled to zero.
	canSleep bool
}

// Names are those that a service answers to besides its own host.
type Names struct {
	// Domains are the hosts of custom domains, with wildcards. They answer where the service does.
	Domains []string
	// Ingress are the hosts of VPC ingress connections, on the private listener.
	Ingress []string
}

// NewRoutes returns Routes without any route. host gives a service's host name without a port.
func NewRoutes(router Router, host func(platform.Service) string) *Routes {
	return &Routes{router: router, host: host, routes: map[platform.ServiceID]exposed{}}
}

// Serve points the service's route to the endpoints of its active revision in one step, and returns the instances
// that answered until now and no longer do.
func (r *Routes) Serve(service platform.Service, revision platform.Revision, endpoints []platform.Endpoint) []platform.InstanceID {
	return r.replace(service, revision.Configuration, platform.RouteStateServing, endpoints)
}

// Pause makes the service's hosts answer that it is paused, and returns the instances that answered until now.
func (r *Routes) Pause(service platform.Service) []platform.InstanceID {
	return r.replace(service, service.Configuration, platform.RouteStatePaused, nil)
}

// Starting makes the service's host answer that it has not been ready yet.
func (r *Routes) Starting(service platform.Service) {
	r.replace(service, service.Configuration, platform.RouteStateStarting, nil)
}

func (r *Routes) replace(service platform.Service, configuration platform.Configuration, state platform.RouteState,
	endpoints []platform.Endpoint) []platform.InstanceID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var gone []platform.InstanceID
	for _, old := range r.routes[service.ID].Endpoints {
		if !slices.ContainsFunc(endpoints, func(e platform.Endpoint) bool { return e.InstanceID == old.InstanceID }) {
			gone = append(gone, old.InstanceID)
		}
	}
	traffic, _ := platform.ParseTraffic(service.Tags) // Traffic tells what is wrong with them
	route := platform.Route{
		ServiceID: service.ID, ServiceName: service.Name, RevisionID: service.ActiveRevisionID,
		State: state, Endpoints: endpoints, MaxConcurrency: configuration.AutoScaling.MaxConcurrency, Traffic: traffic,
	}
	r.set(exposed{route, r.host(service), configuration.Network.IsPubliclyAccessible, canSleep(service)})
	return gone
}

// Add lets one more instance answer. It does nothing, and returns false, when the route is for another revision by now.
func (r *Routes) Add(service platform.Service, endpoint platform.Endpoint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	route, ok := r.routes[service.ID]
	if !ok || route.State != platform.RouteStateServing || route.RevisionID != service.ActiveRevisionID {
		return false
	}
	route.Endpoints = slices.DeleteFunc(slices.Clone(route.Endpoints), func(e platform.Endpoint) bool {
		return e.InstanceID == endpoint.InstanceID
	})
	route.Endpoints = append(route.Endpoints, endpoint)
	r.set(route)
	return true
}

// SetWakeable follows the tags of a service: one that may be scaled to zero has requests wait while it has no instance.
func (r *Routes) SetWakeable(service platform.Service) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if route, ok := r.routes[service.ID]; ok && route.canSleep != canSleep(service) {
		route.canSleep = !route.canSleep
		r.set(route)
	}
}

// Remove takes instances off the service's route.
func (r *Routes) Remove(service platform.Service, instances ...platform.InstanceID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	route, ok := r.routes[service.ID]
	if !ok {
		return
	}
	route.Endpoints = slices.DeleteFunc(slices.Clone(route.Endpoints), func(e platform.Endpoint) bool {
		return slices.Contains(instances, e.InstanceID)
	})
	r.set(route)
}

// Forget makes the service's hosts unknown, and returns the instances that answered until now.
func (r *Routes) Forget(service platform.Service) []platform.InstanceID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var gone []platform.InstanceID
	for _, old := range r.routes[service.ID].Endpoints {
		gone = append(gone, old.InstanceID)
	}
	delete(r.routes, service.ID)
	r.router.RemoveRoute(service.ID)
	return gone
}

// Current returns the service's route; ok is false when it has none.
func (r *Routes) Current(service platform.ServiceID) (route platform.Route, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, ok := r.routes[service]
	return found.Route, ok
}

// SetNames replaces the names of all services. They hold for the routes that there are and for those to come.
func (r *Routes) SetNames(names map[platform.ServiceID]Names) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.names
	r.names = names
	for id, route := range r.routes {
		if !old[id].equal(names[id]) {
			r.set(route)
		}
	}
}

// SetTraffic replaces how the requests of all services are treated. It holds for the routes that there are and for those to come,
// whose service may have been read before its tags were changed.
func (r *Routes) SetTraffic(traffic map[platform.ServiceID]platform.Traffic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.traffic = traffic
	for id, route := range r.routes {
		if wanted, ok := traffic[id]; ok && !reflect.DeepEqual(route.Traffic, wanted) {
			r.set(route)
		}
	}
}

func (n Names) equal(other Names) bool {
	return slices.Equal(n.Domains, other.Domains) && slices.Equal(n.Ingress, other.Ingress)
}

// set remembers and publishes route, with its hosts and how its requests are treated. A private service answers to nothing but
// where its VPC ingress connections lead; without one it has no host at all. Callers hold mu.
func (r *Routes) set(route exposed) {
	names := r.names[route.ServiceID]
	route.Hosts, route.PrivateHosts = nil, nil
	switch {
	case route.isPublic:
		route.Hosts = append([]string{route.host}, names.Domains...)
	case len(names.Ingress) > 0:
		route.PrivateHosts = slices.Concat(names.Ingress, names.Domains)
	}
	if traffic, ok := r.traffic[route.ServiceID]; ok {
		route.Traffic = traffic
	}
	// Who waits for the first instance goes on waiting for it, whatever becomes of the tag meanwhile.
	mayWake := route.canSleep || r.routes[route.ServiceID].IsWakeable
	route.IsWakeable = mayWake && route.State == platform.RouteStateServing && len(route.Endpoints) == 0
	r.routes[route.ServiceID] = route
	r.router.SetRoute(route.Route)
}

// canSleep says whether a service may be scaled to zero.
func canSleep(service platform.Service) bool {
	scaling, _ := platform.ParseScaling(service.Tags) // a tag that cannot be read has no effect
	return scaling.MinSize != nil && *scaling.MinSize == 0
}
