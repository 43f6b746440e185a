package deploy

import (
	"slices"
	"sync"

	"github.com/apron-run/apron/internal/platform"
)

// Routes is the one owner of which instances answer for a service. It keeps the current Route of each and hands every
// change to the Router as a new, whole Route.
type Routes struct {
	router Router
	host   func(platform.Service) string

	mu     sync.Mutex // guards routes, and orders the calls of router, which do not wait
	routes map[platform.ServiceID]platform.Route
}

// NewRoutes returns Routes without any route. host gives a service's host name without a port.
func NewRoutes(router Router, host func(platform.Service) string) *Routes {
	return &Routes{router: router, host: host, routes: map[platform.ServiceID]platform.Route{}}
}

// Serve points the service's route to the endpoints of its active revision in one step, and returns the instances
// that answered until now and no longer do.
func (r *Routes) Serve(service platform.Service, endpoints []platform.Endpoint) []platform.InstanceID {
	return r.replace(service, platform.RouteStateServing, endpoints)
}

// Pause makes the service's host answer that it is paused, and returns the instances that answered until now.
func (r *Routes) Pause(service platform.Service) []platform.InstanceID {
	return r.replace(service, platform.RouteStatePaused, nil)
}

// Starting makes the service's host answer that it has not been ready yet.
func (r *Routes) Starting(service platform.Service) {
	r.replace(service, platform.RouteStateStarting, nil)
}

func (r *Routes) replace(service platform.Service, state platform.RouteState, endpoints []platform.Endpoint) []platform.InstanceID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var gone []platform.InstanceID
	for _, old := range r.routes[service.ID].Endpoints {
		if !slices.ContainsFunc(endpoints, func(e platform.Endpoint) bool { return e.InstanceID == old.InstanceID }) {
			gone = append(gone, old.InstanceID)
		}
	}
	r.set(platform.Route{
		Host: r.host(service), ServiceID: service.ID, ServiceName: service.Name, RevisionID: service.ActiveRevisionID,
		State: state, Endpoints: endpoints, MaxConcurrency: service.Configuration.AutoScaling.MaxConcurrency,
	}, service.Configuration.Network.IsPubliclyAccessible)
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
	r.set(route, service.Configuration.Network.IsPubliclyAccessible)
	return true
}

// Remove takes one instance off the service's route.
func (r *Routes) Remove(service platform.Service, instance platform.InstanceID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	route, ok := r.routes[service.ID]
	if !ok {
		return
	}
	route.Endpoints = slices.DeleteFunc(slices.Clone(route.Endpoints), func(e platform.Endpoint) bool {
		return e.InstanceID == instance
	})
	r.set(route, service.Configuration.Network.IsPubliclyAccessible)
}

// Forget makes the service's host unknown, and returns the instances that answered until now.
func (r *Routes) Forget(service platform.Service) []platform.InstanceID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var gone []platform.InstanceID
	for _, old := range r.routes[service.ID].Endpoints {
		gone = append(gone, old.InstanceID)
	}
	delete(r.routes, service.ID)
	r.router.RemoveRoute(r.host(service))
	return gone
}

// Current returns the service's route; ok is false when it has none.
func (r *Routes) Current(service platform.ServiceID) (route platform.Route, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	route, ok = r.routes[service]
	return route, ok
}

// set remembers and publishes route. A service that is not public is remembered but never published. Callers hold mu.
func (r *Routes) set(route platform.Route, isPublic bool) {
	r.routes[route.ServiceID] = route
	if isPublic {
		r.router.SetRoute(route)
	} else {
		r.router.RemoveRoute(route.Host)
	}
}
