package proxy

import (
	"slices"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// table says where each host's requests go. It is never changed once it is published.
type table struct {
	// public and private are the hosts of the two listeners.
	public, private hosts
}

func newTable() *table { return &table{public: newHosts(), private: newHosts()} }

// on returns the hosts of one of the listeners.
func (t *table) on(isPrivate bool) hosts {
	if isPrivate {
		return t.private
	}
	return t.public
}

// route is a Route with its instances' counters.
type route struct {
	platform.Route
	service   *service
	instances []*instance
	// emptySince is the uptime since which the route has no instances.
	emptySince time.Duration
	// readySince is the uptime since which it has had instances.
	readySince time.Duration
}

// isServing says whether requests are sent to instances. A nil route has none.
func (r *route) isServing() bool { return r != nil && r.State == platform.RouteStateServing }

// SetRoutes replaces all routes in one step: requests that arrive from now on see only the new ones. An instance that old and new
// ones name keeps its counters and connections. Each is of another service.
func (p *Proxy) SetRoutes(routes []platform.Route) { p.changeRoutes(routes, nil, true) }

// ChangeRoutes replaces the routes of some services, adds those of new ones, and removes those of others, in one step; the other
// routes stay. It costs no more with many of these than with few.
func (p *Proxy) ChangeRoutes(changed []platform.Route, removed []platform.ServiceID) {
	p.changeRoutes(changed, removed, false)
}

func (p *Proxy) changeRoutes(changed []platform.Route, removed []platform.ServiceID, isAll bool) {
	for _, each := range p.publish(changed, removed, isAll) {
		if each.waiting.Load() > 0 {
			each.reroute()
		}
	}
}

// publish puts a table with the changes in the place of the old one, and returns the services whose requests may go elsewhere by it.
//
// The order matters: the new table is published before the instances that only the old one names are retired, so that who finds an
// instance retired finds a newer table too.
func (p *Proxy) publish(changed []platform.Route, removed []platform.ServiceID, isAll bool) (affected []*service) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var before, after []*route
	for _, each := range changed {
		old := p.routes[each.ServiceID]
		if old != nil {
			before = append(before, old)
		}
		entry := p.newRoute(each, old)
		after = append(after, entry)
		p.routes[each.ServiceID] = entry
	}
	if isAll {
		removed = p.unlisted(changed)
	}
	for _, id := range removed {
		if old := p.routes[id]; old != nil {
			before = append(before, old)
			delete(p.routes, id)
		}
	}
	old := p.table.Load()
	next := &table{public: old.public.edit(), private: old.private.edit()}
	for _, isPrivate := range []bool{false, true} {
		affected = append(affected, p.rename(next.on(isPrivate), isPrivate, before, after)...)
	}
	p.table.Store(next)
	for _, each := range slices.Concat(before, after) {
		affected = append(affected, each.service)
	}
	for _, each := range before {
		for _, in := range each.instances {
			p.delist(in)
		}
		p.leaveService(each.service)
	}
	return affected
}

// newRoute makes a route that comes after another one of its service, or after nil. Callers hold mu.
func (p *Proxy) newRoute(of platform.Route, old *route) *route {
	made := &route{Route: of, service: p.joinService(of.ServiceID), emptySince: uptime(), readySince: uptime()}
	switch {
	case old.isServing() && len(old.instances) == 0:
		made.emptySince = old.emptySince
	case old.isServing():
		made.readySince = old.readySince
	}
	for _, endpoint := range of.Endpoints {
		made.instances = append(made.instances, p.enlist(made.service, endpoint, of.Traffic.FreezeAfter))
	}
	return made
}

// unlisted are the services that have a route, but none among these. Callers hold mu.
func (p *Proxy) unlisted(routes []platform.Route) (services []platform.ServiceID) {
	listed := make(map[platform.ServiceID]bool, len(routes))
	for _, each := range routes {
		listed[each.ServiceID] = true
	}
	for id := range p.routes {
		if !listed[id] {
			services = append(services, id)
		}
	}
	return services
}

// rename takes the names of routes that are no more, and gives new ones theirs. The newest of two routes with a name has it; when that
// one gives it up, the other has it again. Those that have lost one so are returned. Callers hold mu.
func (p *Proxy) rename(hosts hosts, isPrivate bool, before, after []*route) (losers []*service) {
	isOld := make(map[*route]bool, len(before))
	for _, each := range before {
		isOld[each] = true
	}
	for _, each := range after {
		for _, name := range hostsOf(&each.Route, isPrivate) {
			names, key := hosts.place(name)
			if owner := names.find(key); owner != nil && owner != each && !isOld[owner] {
				losers = append(losers, owner.service)
				p.contested[contest{isPrivate, canonicalHost(name)}] = true
			}
			names.set(key, each)
		}
	}
	for _, each := range before {
		for _, name := range hostsOf(&each.Route, isPrivate) {
			names, key := hosts.place(name)
			if isOld[names.find(key)] {
				names.set(key, p.claimant(name, isPrivate))
			}
		}
	}
	return losers
}

// contest is a name on one of the listeners that two routes had.
type contest struct {
	isPrivate bool
	name      string
}

// claimant is a route with a name that its owner has given up; nil when there is none. Callers hold mu.
func (p *Proxy) claimant(name string, isPrivate bool) *route {
	name = canonicalHost(name)
	about := contest{isPrivate, name}
	if !p.contested[about] {
		return nil
	}
	for _, each := range p.routes {
		if slices.ContainsFunc(hostsOf(&each.Route, isPrivate), func(other string) bool { return canonicalHost(other) == name }) {
			return each
		}
	}
	delete(p.contested, about)
	return nil
}

// joinService returns the service with an id and counts one more use of it. Callers hold mu.
func (p *Proxy) joinService(id platform.ServiceID) *service {
	found := p.services[id]
	if found == nil {
		found = &service{proxy: p, id: id}
		p.services[id] = found
	}
	found.uses++
	return found
}

// leaveService counts one use less. Callers hold mu.
func (p *Proxy) leaveService(one *service) {
	if one.uses--; one.uses == 0 {
		delete(p.services, one.id)
	}
}
