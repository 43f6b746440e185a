package proxy

import (
	"math/rand/v2"
	"slices"
)

// The handicaps of an instance in its choice are beyond any count of requests in flight.
const (
	avoided = 1 << 32
	full    = 1 << 33
)

// enough is how many instances are looked at, from a random one on. More cost more, and the choice is hardly better.
const enough = 16

// unlimitedHandicap is how many more requests than a frozen instance a warm one has before the other is thawed, where there is no limit.
const unlimitedHandicap = 8

// claim counts the request on the instance that suits it best and was not tried yet; nil when there is none with room. isStale says
// that a newer table is there, because the instance was retired between the look into the table and the claim.
func (r *route) claim(tried []*instance) (in *instance, isStale bool) {
	limit := int64(r.MaxConcurrency)
	for {
		in := r.choose(tried)
		if in == nil {
			return nil, false
		}
		if !in.tryClaim(limit) {
			continue // others were faster; each round lost is a place that another request got
		}
		if in.isRetired.Load() {
			in.service.proxy.unclaim(in)
			return nil, true
		}
		return in, false
	}
}

// choose returns an idle instance, or the best of enough, or of all when none of enough is warm and has room. Nil means that no instance
// that was not tried has room. docs/decisions/choice-of-instance.md has the measurement.
func (r *route) choose(tried []*instance) (best *instance) {
	n := len(r.instances)
	if n == 0 {
		return nil
	}
	bestLoad := int64(full)
	for i, at := 0, rand.IntN(n); i < n; i++ {
		in := r.instances[at]
		if load := r.load(in); load < bestLoad && !slices.Contains(tried, in) {
			best, bestLoad = in, load
		}
		if bestLoad == 0 || i+1 >= enough && bestLoad < avoided && best.warmth.Load() != isFrozen {
			break
		}
		if at++; at == n {
			at = 0
		}
	}
	return best
}

// load is how many requests are in flight on an instance, and more the worse it suits: those that did not accept a connection just
// now come last. A frozen one counts as if it were half full, so that a few requests wake one instance and many wake more.
func (r *route) load(in *instance) int64 {
	load := in.inFlight.Load()
	if r.MaxConcurrency > 0 && load >= int64(r.MaxConcurrency) {
		return full
	}
	if in.warmth.Load() == isFrozen {
		if r.MaxConcurrency > 0 {
			load += max(int64(r.MaxConcurrency)/2, 1)
		} else {
			load += unlimitedHandicap
		}
	}
	if until := in.avoidUntil.Load(); until != 0 {
		if int64(uptime()) < until {
			load += avoided
		} else {
			in.avoidUntil.CompareAndSwap(until, 0)
		}
	}
	return load
}
