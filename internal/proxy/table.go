package proxy

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// table says where each host's requests go. It is never changed once it is published.
type table struct {
	routes []*route
	// public and private are the hosts of the two listeners.
	public, private hosts
}

// hosts finds routes by the host of a request.
type hosts struct {
	named map[string]*route
	// wild is by what follows the star of a wildcard, its dot included.
	wild map[string]*route
}

func newTable() *table {
	return &table{public: newHosts(), private: newHosts()}
}

func newHosts() hosts { return hosts{map[string]*route{}, map[string]*route{}} }

// add lets a name lead to the route. The first of two routes with a name is as good as the second.
func (h hosts) add(name string, to *route) {
	into := h.named
	name = canonicalHost(name)
	if rest, isWild := strings.CutPrefix(name, "*"); isWild {
		into, name = h.wild, rest
	}
	if into[name] == nil {
		into[name] = to
	}
}

// find returns the route of a host: that of its own name, or else that of the wildcard which has its first label's place.
func (h hosts) find(host string) *route {
	if found := h.named[host]; found != nil || len(h.wild) == 0 {
		return found
	}
	if dot := strings.IndexByte(host, '.'); dot > 0 {
		return h.wild[host[dot:]]
	}
	return nil
}

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
}

// SetRoutes replaces the whole table in one step: requests that arrive from now on see only the new one. An instance
// that both tables name keeps its counters and connections.
//
// The order matters: the new table is published before the instances that only the old one names are retired, so that
// who finds an instance retired finds a newer table too.
func (p *Proxy) SetRoutes(routes []platform.Route) {
	for _, each := range p.publish(routes) {
		if each.waiting.Load() > 0 {
			each.reroute()
		}
	}
}

// publish puts a table of the routes in the place of the old one, and returns the services of both.
func (p *Proxy) publish(routes []platform.Route) []*service {
	p.mu.Lock()
	defer p.mu.Unlock()
	next, before := newTable(), p.table.Load().emptyRoutes()
	for _, each := range routes {
		entry := &route{Route: each, service: p.joinService(each.ServiceID), emptySince: uptime()}
		if since, wasEmpty := before[each.ServiceID]; wasEmpty {
			entry.emptySince = since
		}
		for _, endpoint := range each.Endpoints {
			entry.instances = append(entry.instances, p.enlist(entry.service, endpoint, each.Traffic.FreezeAfter))
		}
		next.routes = append(next.routes, entry)
		for _, name := range each.Hosts {
			next.public.add(name, entry)
		}
		for _, name := range each.PrivateHosts {
			next.private.add(name, entry)
		}
	}
	services := slices.Collect(maps.Values(p.services))
	old := p.table.Swap(next)
	for _, each := range old.routes {
		for _, in := range each.instances {
			p.delist(in)
		}
		p.leaveService(each.service)
	}
	return services
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

// emptyRoutes are the services that serve without an instance, and since when.
func (t *table) emptyRoutes() map[platform.ServiceID]time.Duration {
	empty := map[platform.ServiceID]time.Duration{}
	for _, each := range t.routes {
		if each.State == platform.RouteStateServing && len(each.instances) == 0 {
			empty[each.ServiceID] = each.emptySince
		}
	}
	return empty
}

// isServing says whether requests are sent to instances. A nil route has none.
func (r *route) isServing() bool { return r != nil && r.State == platform.RouteStateServing }
