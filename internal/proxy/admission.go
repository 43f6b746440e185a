package proxy

import "time"

// seeker is a request that seeks a place in an instance.
type seeker struct {
	host      string // canonical
	isPrivate bool
	// tried are the instances that have not taken the request; they are offered last.
	tried []*instance
	// since is the uptime at which the request came, deadline that at which it gives up.
	since, deadline time.Duration
	// done is called once, by any goroutine and without a lock held, when seek has returned false.
	done func(place)
}

// place is what a seeker has found: an instance on which the request is counted, until release, or why there is none.
type place struct {
	route    *route // nil for an unknown host
	instance *instance
	refusal  *refusal
	// waited is how long the request was held.
	waited time.Duration
}

// seek finds a place at once and returns it with true, or has the request wait and returns false: then the seeker's done is called
// later, unless abandon comes first.
func (p *Proxy) seek(s *seeker) (place, bool) {
	route, in, _ := p.claim(s.isPrivate, s.host, s.tried)
	if in == nil {
		return place{route: route, refusal: refuseRoute(s.host, route, len(s.tried) > 0)}, true
	}
	return place{route: route, instance: in}, true
}

// abandon gives up waiting, as when the client is gone. It returns false when done has been called already, or is about to be: the
// place must be released then.
func (p *Proxy) abandon(*seeker) bool { return false }
