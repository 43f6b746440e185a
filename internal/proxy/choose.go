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

// choose returns the better of two random instances, or of all when neither is as good as one can be: docs/decisions/choice-of-instance.md
// has the measurement. Nil means that no instance that was not tried has room.
func (r *route) choose(tried []*instance) *instance {
	n := len(r.instances)
	if n > 2 && len(tried) == 0 {
		i, j := rand.IntN(n), rand.IntN(n-1)
		if j >= i {
			j++
		}
		one, other := r.instances[i], r.instances[j]
		load, otherLoad := r.load(one), r.load(other)
		if otherLoad < load {
			one, load = other, otherLoad
		}
		if load < avoided && one.warmth.Load() == isWarm {
			return one
		}
	}
	if n == 0 {
		return nil
	}
	var best *instance
	bestLoad := int64(full)
	first := rand.IntN(n) // so that a quiet service's load is spread too
	for i := range n {
		in := r.instances[(first+i)%n]
		if load := r.load(in); load < bestLoad && !slices.Contains(tried, in) {
			best, bestLoad = in, load
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
