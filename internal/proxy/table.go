package proxy

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// table says where each host's requests go. It is never changed once it is published.
type table struct {
	routes map[string]*route
}

// route is a Route with its instances' counters.
type route struct {
	platform.Route
	instances []*instance
}

// SetRoute replaces the route of route.Host in one step: requests that arrive from now on see only the new one.
func (p *Proxy) SetRoute(next platform.Route) {
	next.Host = canonicalHost(next.Host)
	next.Endpoints = slices.Clone(next.Endpoints)
	p.mu.Lock()
	defer p.mu.Unlock()
	entry := &route{Route: next}
	for _, endpoint := range next.Endpoints {
		entry.instances = append(entry.instances, p.enlist(endpoint))
	}
	p.swap(next.Host, entry)
}

// RemoveRoute forgets a host.
func (p *Proxy) RemoveRoute(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swap(canonicalHost(host), nil)
}

// swap publishes a table in which host has the new route, or none, and then retires the instances that no route names
// any more. The order matters: who finds an instance retired finds a newer table too. Callers hold mu.
func (p *Proxy) swap(host string, entry *route) {
	old := p.table.Load()
	next := &table{routes: maps.Clone(old.routes)}
	delete(next.routes, host)
	if entry != nil {
		next.routes[host] = entry
	}
	p.table.Store(next)
	if previous := old.routes[host]; previous != nil {
		for _, in := range previous.instances {
			p.delist(in)
		}
	}
}

// pick returns the instance with the fewest requests in flight that was not tried yet; nil when all were. Those that
// did not accept a connection just now come last. Among equals it begins anywhere, so that a quiet service's load is
// spread too.
func (r *route) pick(tried []*instance) *instance {
	if len(r.instances) == 0 {
		return nil
	}
	var best *instance
	var bestLoad int64
	var now int64
	first := rand.IntN(len(r.instances))
	for i := range r.instances {
		in := r.instances[(first+i)%len(r.instances)]
		if slices.Contains(tried, in) {
			continue
		}
		load := in.inFlight.Load()
		if until := in.avoidUntil.Load(); until != 0 {
			if now == 0 {
				now = time.Now().UnixNano()
			}
			if now < until {
				load += 1 << 32 // beyond any count of requests
			}
		}
		if best == nil || load < bestLoad {
			best, bestLoad = in, load
		}
	}
	return best
}

// claim finds the host's route in the newest table, and counts the request on one of its instances that was not tried
// yet. The route is nil for an unknown host, the instance when there is none to try.
func (p *Proxy) claim(host string, tried []*instance) (*route, *instance) {
	for {
		route := p.table.Load().routes[host]
		if route == nil || route.State != platform.RouteStateServing {
			return route, nil
		}
		in := route.pick(tried)
		if in == nil || in.claim() {
			return route, in
		}
		// It was retired between the look into the table and the claim, so a newer table is there.
		p.release(in)
	}
}
