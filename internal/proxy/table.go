package proxy

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// table says where each host's requests go. It is never changed once it is published.
type table struct {
	routes []*route
	// newer is closed when another table has taken this one's place.
	newer chan struct{}
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
	return &table{newer: make(chan struct{}), public: newHosts(), private: newHosts()}
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
	p.mu.Lock()
	defer p.mu.Unlock()
	next, before := newTable(), p.table.Load().emptyRoutes()
	for _, each := range routes {
		entry := &route{Route: each, emptySince: uptime()}
		if since, wasEmpty := before[each.ServiceID]; wasEmpty {
			entry.emptySince = since
		}
		for _, endpoint := range each.Endpoints {
			entry.instances = append(entry.instances, p.enlist(endpoint))
		}
		next.routes = append(next.routes, entry)
		for _, name := range each.Hosts {
			next.public.add(name, entry)
		}
		for _, name := range each.PrivateHosts {
			next.private.add(name, entry)
		}
	}
	old := p.table.Swap(next)
	close(old.newer)
	for _, each := range old.routes {
		for _, in := range each.instances {
			p.delist(in)
		}
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
				now = int64(uptime())
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
// yet. The route is nil for an unknown host, the instance when there is none to try. newer is closed when there is a newer
// table than the one that was looked into.
func (p *Proxy) claim(isPrivate bool, host string, tried []*instance) (found *route, in *instance, newer <-chan struct{}) {
	for {
		table := p.table.Load()
		route := table.on(isPrivate).find(host)
		if route == nil || route.State != platform.RouteStateServing {
			return route, nil, table.newer
		}
		in := route.pick(tried)
		if in == nil || in.claim() {
			return route, in, table.newer
		}
		// It was retired between the look into the table and the claim, so a newer table is there.
		p.release(in)
	}
}
