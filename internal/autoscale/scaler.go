package autoscale

import (
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// stepEvery is how long a step of scale-in waits for the next.
	stepEvery = 10 * time.Second
	// slowStart is from when on an instance is started before there is no room any more.
	slowStart = time.Second
	// longestStart bounds what a start that never ends makes of the time that starts take.
	longestStart = 2 * time.Minute
)

// Scaler is what is remembered of one service's load. The zero value is ready; it is not safe for concurrent use.
type Scaler struct {
	// since is when the scaler was used first. What was before is not known, so nothing is taken away because of it.
	since  time.Time
	demand demand
	window window
	// observed is when the last sample was made, and load what it said; isNew until demand has it.
	observed time.Time
	load     platform.Load
	isNew    bool
	// places is how many requests the ready instances could take at the last Decision.
	places float64
	// ready is how many were ready then, and awaitingSince since when others have been on their way without one more being ready.
	ready         int
	awaitingSince time.Time
	// steppedAt is when the size fell last.
	steppedAt time.Time
}

// State is what a service's instances are like now.
type State struct {
	// Size is how many instances there should be: that of the Decision before, or what a deployment has begun with.
	Size int
	// Ready answer requests, frozen or not. Starting have been asked for and do not answer yet.
	Ready, Starting int
	// StartTime is how long instances of this service take until they are ready, as seen last; 0 when it is not known.
	StartTime time.Duration
	// UsagePercent is how much of their CPU or memory, as Policy.On says, the ready instances use on average; frozen ones count. It is
	// below zero when it is not known.
	UsagePercent float64
}

// Decision is a size and why.
type Decision struct {
	// Size is how many instances there should be from now on.
	Size int
	// Reason is one line for the event log, and empty when the size stays.
	Reason string
	// Next is when to ask again though no sample came; zero means that nothing changes until one comes.
	Next time.Time
}

// Observe takes what the data plane told at a time. Its silence afterwards means that the load is still the same, so whoever has lost
// the data plane must not ask for decisions.
func (s *Scaler) Observe(at time.Time, load platform.Load) {
	if s.since.IsZero() {
		s.since = at
	}
	s.digest(s.places)
	s.observed, s.load, s.isNew = at, load, true
	s.load.Frozen = nil
}

// digest hands the last sample on, now that it is known how many places there were meanwhile.
func (s *Scaler) digest(places float64) {
	if s.isNew {
		s.demand.pass(s.observed.Add(-reportEvery), places) // the silence before it
		s.demand.observe(s.observed, s.load, places)
		s.isNew = false
	}
}

// Decide returns how many instances the service should have from now on. The caller sees to it, and says so in State.Size of the next
// call; a decision that could not be followed is made again.
func (s *Scaler) Decide(now time.Time, policy Policy, state State) Decision {
	if s.since.IsZero() {
		s.since = now
	}
	s.digest(max(s.places, policy.places(state.Ready)))
	s.demand.pass(now, s.places)
	startTime := s.track(now, policy, state)
	least, most := policy.bounds()

	pressing := policy.instances(s.demand.pressing(policy.places(state.Size), startTime))
	used := policy.used(state)
	s.window.add(now, max(pressing, used, policy.instances(s.demand.usual(keptRoots))))

	wanted := max(pressing, used, least)
	if startTime >= slowStart && state.Size > 0 {
		wanted = max(wanted, policy.instances(s.demand.usual(madeRoots)))
	}
	size := min(wanted, most)
	var reason string
	switch {
	case state.Size > most:
		size, reason = most, limitReason("most", most, state.Size)
	case size <= state.Size:
		return s.decideFewer(now, policy, state)
	case size == least:
		reason = limitReason("fewest", least, state.Size)
	case wanted == used:
		reason = usageReason(policy, state, size) + limited(wanted, most)
	case wanted == pressing:
		reason = pressingReason(&s.demand, policy, state.Size, size) + limited(wanted, most)
	default:
		reason = usualReason(&s.demand, policy, startTime, state.Size, size) + limited(wanted, most)
	}
	return Decision{Size: size, Reason: reason, Next: s.next(now, policy, size)}
}

// track notices how the instances change and returns how long one takes to start: as long as the last one, or as the next one has
// taken so far.
func (s *Scaler) track(now time.Time, policy Policy, state State) time.Duration {
	isWhole := state.Ready >= state.Size && state.Starting == 0
	if isWhole || state.Ready > s.ready || s.awaitingSince.IsZero() {
		s.awaitingSince = now
	}
	s.ready, s.places = state.Ready, policy.places(state.Ready)
	return max(state.StartTime, min(now.Sub(s.awaitingSince), longestStart))
}

// decideFewer takes away what the last window did not need: half of it, and after a while half of the rest, so that a large service
// does not need hours, and a mistake is a small one.
func (s *Scaler) decideFewer(now time.Time, policy Policy, state State) Decision {
	least, _ := policy.bounds()
	floor := max(least, 1, s.window.peak())
	size, reason := state.Size, ""
	switch {
	case least == 0 && state.Size > 0 && s.isIdle() && !now.Before(s.zeroAt(policy)):
		size, reason = 0, zeroReason(policy, state.Size)
	case floor < state.Size && !now.Before(latest(s.since.Add(quietWindow), s.steppedAt.Add(stepEvery))):
		size -= (state.Size - floor + 1) / 2
		reason = quietReason(floor, state.Size, size)
		s.steppedAt = now
	}
	return Decision{Size: size, Reason: reason, Next: s.next(now, policy, size)}
}

// next is when another decision than this size may come of nothing but time: never at the smallest size.
func (s *Scaler) next(now time.Time, policy Policy, size int) time.Time {
	least, _ := policy.bounds()
	switch {
	case s.demand.load.Waiting > 0 || size > max(least, 1):
		return now.Add(bucketWidth)
	case size > least && s.isIdle():
		return s.zeroAt(policy)
	}
	return time.Time{}
}

func (s *Scaler) isIdle() bool { return atOnce(s.demand.load) == 0 }

// zeroAt is when an idle service that may have no instance has none.
func (s *Scaler) zeroAt(policy Policy) time.Time {
	return latest(s.since, s.demand.load.LastRequestAt).Add(policy.ToZeroAfter)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
