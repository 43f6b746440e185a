package proxy

import "time"

// seeker is a request that seeks a place in an instance. It can be used again once done was called or abandon has returned true.
type seeker struct {
	host      string // canonical
	isPrivate bool
	// tried are the instances that have not taken the request. They are not offered until the others had a chance for a while;
	// then they leave this list.
	tried []*instance
	// since is the uptime at which the request came, deadline that at which it gives up.
	since, deadline time.Duration
	// done is called once, by any goroutine and without a lock held, when seek has returned false. It must not wait.
	done func(place)

	waiter
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
//
// Where nobody waits, this takes no lock. Where somebody does, the request queues behind: who comes later is served later.
func (p *Proxy) seek(s *seeker) (place, bool) {
	s.again = 0
	for {
		table := p.table.Load()
		route := table.on(s.isPrivate).find(s.host)
		if !route.isServing() {
			return place{route: route, refusal: refuseRoute(s.host, route, false)}, true
		}
		if route.service.waiting.Load() == 0 {
			in, isStale := route.claim(s.tried)
			if isStale { // a newer table is there; what was claimed for a moment may be what somebody has missed
				p.serveWaiting(route.service)
				continue
			}
			if in != nil {
				return p.hand(s, place{route: route, instance: in})
			}
		}
		found, isStale := route.service.wait(s, table, route)
		switch {
		case isStale:
		case found.instance != nil:
			return p.hand(s, found)
		default:
			return found, found.refusal != nil
		}
	}
}

// hand gives a place to its seeker: at once, or later when the instance must be thawed first, which the seeker's goroutine does not
// wait for.
func (p *Proxy) hand(s *seeker, found place) (place, bool) {
	if found.instance.warmth.Load() == isWarm {
		return found, true
	}
	go p.handThawed(s, found)
	return place{}, false
}

// handThawed gives the place of an instance that cannot be thawed back, and seeks another, as when one does not accept a connection.
func (p *Proxy) handThawed(s *seeker, found place) {
	if in := found.instance; !p.thaw(in) {
		in.avoid()
		p.release(in)
		s.tried = append(s.tried, in)
		var isNow bool
		if found, isNow = p.seek(s); !isNow {
			return
		}
	}
	found.waited = uptime() - s.since
	s.done(found)
}

// handAll gives seekers that have waited what they have found. Nobody holds a lock.
func (p *Proxy) handAll(served []*seeker) {
	for _, s := range served {
		found := s.found
		if found.instance != nil {
			var isNow bool
			if found, isNow = p.hand(s, found); !isNow {
				continue
			}
		}
		s.done(found)
	}
}

// abandon gives up waiting, as when the client is gone. It returns false when done has been called already, or will be: the place
// must be released then.
func (p *Proxy) abandon(s *seeker) bool {
	for {
		queue := s.queue.Load()
		if queue == nil {
			return false
		}
		queue.mu.Lock()
		isHere := s.queue.Load() == queue
		if isHere {
			queue.remove(s)
		}
		queue.mu.Unlock()
		if isHere {
			return true
		}
	}
}

// release ends a claim, and gives the place to the next that waits.
//
// No wake-up is lost: a seeker is counted in waiting before it looks for a place for the last time, and here the place is given
// up before the look at waiting. These are atomic and in one order, so that one of the two sees the other.
func (p *Proxy) release(in *instance) {
	p.unclaim(in)
	p.serveWaiting(in.service)
}

func (p *Proxy) serveWaiting(service *service) {
	if service.waiting.Load() > 0 {
		service.serveNext()
	}
}
