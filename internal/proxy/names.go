package proxy

import (
	"hash/maphash"
	"maps"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// hosts finds routes by the host of a request. It is never changed once it is published.
type hosts struct {
	named *names
	// wild is by what follows the star of a wildcard, its dot included.
	wild *names
}

func newHosts() hosts { return hosts{&names{}, &names{}} }

// find returns the route of a host: that of its own name, or else that of the wildcard which has its first label's place.
func (h hosts) find(host string) *route {
	if found := h.named.find(host); found != nil || h.wild.count == 0 {
		return found
	}
	if dot := strings.IndexByte(host, '.'); dot > 0 {
		return h.wild.find(host[dot:])
	}
	return nil
}

// place is where a name is kept, and by what.
func (h hosts) place(name string) (*names, string) {
	name = canonicalHost(name)
	if rest, isWild := strings.CutPrefix(name, "*"); isWild {
		return h.wild, rest
	}
	return h.named, name
}

// edit returns hosts that can be changed.
func (h hosts) edit() hosts { return hosts{h.named.edit(), h.wild.edit()} }

// nameParts is how many parts names has: with 10,000 names a change copies some 40 of them.
const nameParts = 256

// names is a map in parts, of which a change copies only those that it touches. A part that is nil has no names.
type names struct {
	parts [nameParts]map[string]*route
	count int
	// isOwn says of which parts this is the only owner.
	isOwn [nameParts]bool
}

var nameSeed = maphash.MakeSeed()

func partOf(name string) int { return int(maphash.String(nameSeed, name) % nameParts) }

func (n *names) find(name string) *route { return n.parts[partOf(name)][name] }

func (n *names) edit() *names { return &names{parts: n.parts, count: n.count} }

// set lets a name lead to the route, or nowhere. It is only for names that were not published.
func (n *names) set(name string, to *route) {
	i := partOf(name)
	if !n.isOwn[i] {
		n.isOwn[i] = true
		if n.parts[i] = maps.Clone(n.parts[i]); n.parts[i] == nil {
			n.parts[i] = map[string]*route{}
		}
	}
	before := len(n.parts[i])
	if to != nil {
		n.parts[i][name] = to
	} else {
		delete(n.parts[i], name)
	}
	n.count += len(n.parts[i]) - before
}

// hostsOf are the names of a route on one of the listeners.
func hostsOf(route *platform.Route, isPrivate bool) []string {
	if isPrivate {
		return route.PrivateHosts
	}
	return route.Hosts
}
