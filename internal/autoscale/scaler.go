package autoscale

import (
	"fmt"
	"math"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// Scaler is what is remembered of one service's load. The zero value is ready; it is not safe for concurrent use.
type Scaler struct {
	// since is when the scaler was used first: what was before is not known, so nothing is taken away because of it.
	since time.Time
	// observed is when the last sample was made, and load what it said.
	observed time.Time
	load     platform.Load
	window   window
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
	s.advance(at)
	s.window.add(float64(max(load.Peak, load.InFlight+load.Waiting)))
	load.Frozen = nil
	s.load, s.observed = load, at
}

// Decide returns how many instances the service should have from now on.
func (s *Scaler) Decide(now time.Time, policy Policy, state State) Decision {
	s.advance(now)
	least, most := policy.bounds()
	need := min(max(s.needed(policy), least), most)
	switch {
	case state.Size < least:
		return Decision{Size: max(least, need), Reason: fmt.Sprintf("At least %s: %s", instances(least), change(state.Size, max(least, need)))}
	case state.Size > most:
		return Decision{Size: most, Reason: fmt.Sprintf("At most %s: %s", instances(most), change(state.Size, most))}
	case need > state.Size:
		return Decision{Size: need, Reason: fmt.Sprintf("%s, %d per instance: %s", s.demand(), policy.MaxConcurrency, change(state.Size, need))}
	}
	return s.scaleIn(now, policy, state)
}

func (s *Scaler) scaleIn(now time.Time, policy Policy, state State) Decision {
	stay := Decision{Size: state.Size}
	least, _ := policy.bounds()
	if least == 0 && state.Size > 0 && s.load.InFlight+s.load.Waiting == 0 {
		stay.Next = s.lastRequest().Add(policy.ToZeroAfter)
		if !now.Before(stay.Next) {
			return Decision{Reason: fmt.Sprintf("No request for %s: %s", policy.ToZeroAfter, change(state.Size, 0))}
		}
	}
	if rest := max(least, 1, s.needed(policy)); state.Size <= rest {
		return stay
	}
	floor := max(least, 1, places(s.window.peak(), policy.MaxConcurrency))
	if state.Size <= floor {
		stay.Next = now.Add(bucketWidth)
		return stay
	}
	if due := latest(s.since.Add(quietWindow), s.steppedAt.Add(stepEvery)); now.Before(due) {
		stay.Next = due
		return stay
	}
	next := state.Size - (state.Size-floor+1)/2
	s.steppedAt = now
	return Decision{
		Size: next, Next: now.Add(stepEvery),
		Reason: fmt.Sprintf("At most %s for %s, %d per instance: %s", requests(s.window.peak()), quietWindow, policy.MaxConcurrency, change(state.Size, next)),
	}
}

// needed is how many instances the requests of this moment need.
func (s *Scaler) needed(policy Policy) int {
	return places(float64(s.load.InFlight+s.load.Waiting), policy.MaxConcurrency)
}

func (s *Scaler) advance(now time.Time) {
	if s.since.IsZero() {
		s.since = now
	}
	s.window.advance(now, float64(s.load.InFlight+s.load.Waiting))
}

func (s *Scaler) lastRequest() time.Time { return latest(s.since, s.load.LastRequestAt) }

func (s *Scaler) demand() string { return requests(float64(s.load.InFlight+s.load.Waiting)) }

// places is how many instances so many requests at once need.
func places(requests float64, maxConcurrency int) int {
	if maxConcurrency <= 0 {
		return min(int(math.Ceil(requests)), 1)
	}
	return int(math.Ceil(requests / float64(maxConcurrency)))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func instances(n int) string {
	if n == 1 {
		return "1 instance"
	}
	return fmt.Sprintf("%d instances", n)
}

func requests(n float64) string {
	if n == 1 {
		return "1 request at once"
	}
	return fmt.Sprintf("%.0f requests at once", n)
}

func change(from, to int) string { return fmt.Sprintf("%d -> %s", from, instances(to)) }
