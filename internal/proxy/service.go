package proxy

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// askAgain is how long a request waits before instances are tried again that did not accept a connection.
const askAgain = 100 * time.Millisecond

// service is what a service's requests have in common, across all tables that name it: the queue of those that wait.
type service struct {
	proxy *Proxy
	id    platform.ServiceID

	// waiting counts the seekers in the queue. It changes with mu held, and is read without.
	waiting atomic.Int64
	// refused counts the requests that a full queue has refused.
	refused atomic.Uint64
	gauge   gauge

	mu          sync.Mutex // guards the queue: the members below, and the waiter of each seeker in it
	first, last *seeker    // by the time at which they came
	timer       *time.Timer
	due         time.Duration // the uptime for which timer is set; 0 when it is not

	uses int // counts routes of the newest table and instances; guarded by Proxy.mu
}

// waiter is what a seeker is in a queue.
type waiter struct {
	// queue is where it waits; nil when it does not.
	queue         atomic.Pointer[service]
	before, after *seeker
	// route is that of the newest table.
	route *route
	// giveUp is the uptime at which it is refused, again that from which on the instances in tried are offered again, or 0.
	giveUp, again time.Duration
	// refusedAt is the uptime since which no instance that there is has taken the request, or 0.
	refusedAt time.Duration
	// found is what it gets.
	found place
}

// wait has a seeker wait. It is served at once where that is possible all the same, or refused; isStale says that the table is not
// the newest any more, and that nothing was done.
func (q *service) wait(s *seeker, table *table, route *route) (found place, isStale bool) {
	q.mu.Lock()
	served, found, isStale := q.enter(s, table, route)
	q.mu.Unlock()
	q.proxy.handAll(served)
	return found, isStale
}

// enter puts the seeker into the queue and serves those that can be. served are the others. Callers hold mu.
//
// A change of routes publishes its table first and then looks for those that wait; here the seeker is counted first and then
// the table is looked at. One of the two sees the other, so that nobody waits by a table that is no more.
func (q *service) enter(s *seeker, table *table, route *route) (served []*seeker, found place, isStale bool) {
	now := uptime()
	s.bind(route, now)
	if s.giveUp <= now {
		return nil, place{route: route, refusal: s.refusal()}, false
	}
	if !q.hasRoom(route) {
		q.refused.Add(1)
		q.proxy.gauges.short(q)
		return nil, place{route: route, refusal: refuseFull(route)}, false
	}
	q.insert(s)
	if q.proxy.table.Load() != table {
		q.remove(s)
		return nil, place{}, true
	}
	served = q.next(now)
	if i := slices.Index(served, s); i >= 0 {
		return slices.Delete(served, i, i+1), s.found, false
	}
	q.wakeAt(s.wakesAt())
	q.proxy.gauges.short(q)
	return served, place{}, false
}

// hasRoom says whether one more may wait.
func (q *service) hasRoom(route *route) bool {
	limit := route.MaxWaiting
	if limit == 0 {
		limit = q.proxy.config.MaxWaiting
	}
	return q.waiting.Load() < int64(limit) && q.proxy.held.Load() < int64(q.proxy.config.MaxHeld)
}

// serveNext gives places to those that wait.
func (q *service) serveNext() {
	q.mu.Lock()
	served := q.next(uptime())
	q.mu.Unlock()
	q.proxy.handAll(served)
}

// next takes those out of the queue for whom there is a place, the oldest first. Callers hold mu.
func (q *service) next(now time.Duration) (served []*seeker) {
	for s := q.first; s != nil; {
		following := s.after
		in, isStale := s.route.claim(s.tried)
		if isStale || in == nil && len(s.tried) == 0 {
			break // the new table comes and serves them; or there is no place for anybody
		}
		if in != nil {
			q.remove(s)
			s.found = place{route: s.route, instance: in, waited: now - s.since}
			served = append(served, s)
		}
		s = following
	}
	return served
}

// wake refuses those whose time is over, offers instances again that did not accept a connection, and sets the timer for the next
// time.
func (q *service) wake() {
	q.mu.Lock()
	now := uptime()
	var late []*seeker
	for s := q.first; s != nil; {
		following := s.after
		if s.giveUp <= now {
			late = append(late, q.refuse(s, s.refusal(), now))
		} else if s.again != 0 && s.again <= now {
			s.again, s.tried = 0, s.tried[:0]
		}
		s = following
	}
	served := append(late, q.next(now)...)
	q.due = 0
	for s := q.first; s != nil; s = s.after {
		if len(s.tried) == 0 { // it waits for room
			s.bind(s.route, now)
		}
		q.wakeAt(s.wakesAt())
	}
	q.mu.Unlock()
	q.proxy.handAll(served)
}

// wakeAt sets the timer, unless it is set for an earlier time. Callers hold mu.
func (q *service) wakeAt(at time.Duration) {
	if q.due != 0 && q.due <= at {
		return
	}
	q.due = at
	if wait := max(at-uptime(), 0); q.timer == nil {
		q.timer = time.AfterFunc(wait, q.wake)
	} else {
		q.timer.Reset(wait)
	}
}

// reroute has those that wait go on by the newest table: they are served, refused, or seek among another service's instances.
func (q *service) reroute() {
	q.mu.Lock()
	table, now := q.proxy.table.Load(), uptime()
	var ended, moved []*seeker
	for s := q.first; s != nil; {
		following := s.after
		switch route := table.on(s.isPrivate).find(s.host); {
		case !route.isServing():
			s.route = route
			ended = append(ended, q.refuse(s, refuseRoute(s.host, route, false), now))
		case route.service != q:
			q.remove(s)
			moved = append(moved, s)
		default:
			s.bind(route, now)
			q.wakeAt(s.wakesAt())
		}
		s = following
	}
	served := append(ended, q.next(now)...)
	q.mu.Unlock()
	q.proxy.handAll(served)
	for _, s := range moved {
		if found, isNow := q.proxy.seek(s); isNow {
			s.done(found)
		}
	}
}

// refuse takes a seeker out of the queue. Callers hold mu.
func (q *service) refuse(s *seeker, why *refusal, now time.Duration) *seeker {
	q.remove(s)
	s.found = place{route: s.route, refusal: why, waited: now - s.since}
	return s
}

// insert puts a seeker behind those that came before it, which is nearly always the end. Callers hold mu.
func (q *service) insert(s *seeker) {
	before := q.last
	for before != nil && before.since > s.since {
		before = before.before
	}
	s.before, s.after = before, q.first
	if before != nil {
		s.after, before.after = before.after, s
	} else {
		q.first = s
	}
	if s.after != nil {
		s.after.before = s
	} else {
		q.last = s
	}
	s.queue.Store(q)
	q.proxy.held.Add(1)
	q.waiting.Add(1)
}

// remove takes a seeker out of the queue. Callers hold mu.
func (q *service) remove(s *seeker) {
	if s.before != nil {
		s.before.after = s.after
	} else {
		q.first = s.after
	}
	if s.after != nil {
		s.after.before = s.before
	} else {
		q.last = s.before
	}
	s.before, s.after = nil, nil
	s.queue.Store(nil)
	q.waiting.Add(-1)
	q.proxy.held.Add(-1)
}

// bind says by which route the seeker waits, and for how long.
func (s *seeker) bind(route *route, now time.Duration) {
	s.route = route
	if len(s.tried) > 0 && s.again == 0 {
		s.again = now + askAgain
	}
	switch {
	case len(s.tried) == 0 || slices.ContainsFunc(route.instances, func(in *instance) bool { return !slices.Contains(s.tried, in) }):
		s.refusedAt = 0
	case s.refusedAt == 0:
		s.refusedAt = now
	}
	config := route.service.proxy.config
	latest := s.since + config.RequestTimeout // a stream may take hours, but not to begin
	if s.deadline != 0 {
		latest = min(latest, s.deadline)
	}
	switch {
	case len(route.instances) == 0 && route.IsWakeable:
		s.giveUp = latest
	case len(route.instances) == 0:
		s.giveUp = min(latest, route.emptySince+config.HoldTimeout)
	case s.refusedAt != 0:
		s.giveUp = min(latest, s.refusedAt+config.HoldTimeout)
	default:
		s.giveUp = min(latest, max(s.since, route.readySince)+config.QueueTimeout)
	}
}

// wakesAt is when something is to be done about a seeker that waits.
func (s *seeker) wakesAt() time.Duration {
	if s.again != 0 {
		return min(s.again, s.giveUp)
	}
	return s.giveUp
}

// refusal is why a seeker that waits has waited in vain.
func (s *seeker) refusal() *refusal {
	switch {
	case len(s.route.instances) == 0 && s.route.IsWakeable:
		return refuseAsleep(s.route)
	case len(s.route.instances) == 0 || s.refusedAt != 0:
		return refuseRoute(s.host, s.route, s.refusedAt != 0)
	default:
		return refuseBusy(s.route)
	}
}
