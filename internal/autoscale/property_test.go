package autoscale

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/apron-run/apron/internal/platform"
)

func drawPolicy(t *rapid.T) Policy {
	policy := Policy{
		MaxConcurrency: rapid.IntRange(0, 200).Draw(t, "max concurrency"), MaxSize: rapid.IntRange(1, 1000).Draw(t, "max size"),
		ToZeroAfter: time.Duration(rapid.IntRange(1, 1800).Draw(t, "to zero after")) * time.Second,
	}
	policy.MinSize = rapid.IntRange(0, policy.MaxSize).Draw(t, "min size")
	policy.On = rapid.SampledFrom([]platform.ScaleMetric{"", platform.ScaleOnConcurrency, platform.ScaleOnCPU, platform.ScaleOnMemory}).Draw(t, "on")
	if policy.On == platform.ScaleOnCPU || policy.On == platform.ScaleOnMemory {
		policy.TargetPercent = rapid.IntRange(1, 100).Draw(t, "target")
	}
	return policy
}

// follower does what a Scaler decides, with instances that are ready at once or never.
type follower struct {
	scaler   Scaler
	policy   Policy
	now      time.Time
	state    State
	requests uint64
	last     time.Time
}

func follow(t *rapid.T) *follower {
	f := &follower{policy: drawPolicy(t), now: start}
	f.state = State{
		Size: rapid.IntRange(0, 1000).Draw(t, "size"), UsagePercent: -1,
		StartTime: time.Duration(rapid.IntRange(0, 60_000).Draw(t, "start time")) * time.Millisecond,
	}
	f.state.Ready = f.state.Size
	return f
}

// step lets time pass under a load that is the same all the time, and returns the decision at its end.
func (f *follower) step(passes time.Duration, inFlight, waiting, came int) Decision {
	f.now = f.now.Add(passes)
	f.requests += uint64(came)
	if came+inFlight+waiting > 0 {
		f.last = f.now
	}
	f.scaler.Observe(f.now, platform.Load{
		InFlight: inFlight, Waiting: waiting, Average: float64(inFlight + waiting), Peak: inFlight + waiting,
		Requests: f.requests, IsShort: waiting > 0, LastRequestAt: f.last,
	})
	return f.decide()
}

func (f *follower) decide() Decision {
	decision := f.scaler.Decide(f.now, f.policy, f.state)
	f.state.Size = decision.Size
	f.state.Ready = decision.Size
	return decision
}

func TestSizesStayInTheirBoundsAndEveryChangeHasAReason(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := follow(t)
		least, most := f.policy.bounds()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			before := f.state.Size
			f.state.UsagePercent = rapid.Float64Range(-1, 400).Draw(t, "usage")
			decision := f.step(time.Duration(rapid.IntRange(0, 100_000).Draw(t, "ms"))*time.Millisecond,
				rapid.IntRange(0, 20_000).Draw(t, "in flight"), rapid.IntRange(0, 20_000).Draw(t, "waiting"), rapid.IntRange(0, 20_000).Draw(t, "came"))
			if decision.Size < least || decision.Size > most {
				t.Fatalf("%d is not between %d and %d", decision.Size, least, most)
			}
			if (decision.Size != before) != (decision.Reason != "") {
				t.Fatalf("%d -> %d has the reason %q", before, decision.Size, decision.Reason)
			}
			if !decision.Next.IsZero() && !decision.Next.After(f.now) {
				t.Fatalf("to be asked again at %s, and it is %s", decision.Next, f.now)
			}
		}
	})
}

func TestASizeNeverFallsBelowWhatTheLastWindowNeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := follow(t)
		f.policy.MaxConcurrency = rapid.IntRange(1, 100).Draw(t, "some concurrency")
		f.policy.ToZeroAfter = max(f.policy.ToZeroAfter, quietWindow)
		type need struct {
			at        time.Time
			instances int
		}
		var needs []need // of whatever lasts for two seconds
		lastLevel := 0
		for range rapid.IntRange(1, 15).Draw(t, "levels") {
			level := rapid.IntRange(0, 3000).Draw(t, "level")
			for range rapid.IntRange(1, 60).Draw(t, "seconds") {
				before := f.state.Size
				level := min(level, before*f.policy.MaxConcurrency)
				decision := f.step(time.Second, level, 0, level)
				needs = append(needs, need{f.now, int(math.Ceil(float64(min(level, lastLevel)) / float64(f.policy.MaxConcurrency)))})
				lastLevel = level
				if _, most := f.policy.bounds(); decision.Size >= before || before > most {
					continue
				}
				for _, each := range needs {
					if f.now.Sub(each.at) < quietWindow && decision.Size < each.instances {
						t.Fatalf("%d -> %d, and %s before %d were needed", before, decision.Size, f.now.Sub(each.at), each.instances)
					}
				}
			}
		}
	})
}

func TestMoreDemandNeverMeansFewerInstances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := follow(t)
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			f.step(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms"))*time.Millisecond,
				rapid.IntRange(0, 500).Draw(t, "in flight"), rapid.IntRange(0, 500).Draw(t, "waiting"), rapid.IntRange(0, 500).Draw(t, "came"))
		}
		inFlight, waiting, came := rapid.IntRange(0, 1000).Draw(t, "in flight"), rapid.IntRange(0, 1000).Draw(t, "waiting"), rapid.IntRange(0, 1000).Draw(t, "came")
		after := time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond
		less, more := *f, *f
		size := less.step(after, inFlight, waiting, came).Size
		got := more.step(after, inFlight+rapid.IntRange(0, 1000).Draw(t, "more in flight"), waiting+rapid.IntRange(0, 1000).Draw(t, "more waiting"), came).Size
		if got < size {
			t.Fatalf("%d instances, and %d with more demand", size, got)
		}
	})
}

// Room that is made before it is missed is only where a start takes a second.
func TestRequestsStartNoMoreInstancesThanTheyHavePlacesFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := follow(t)
		f.policy.On = platform.ScaleOnConcurrency
		f.state.StartTime = rapid.SampledFrom([]time.Duration{0, slowStart - 1}).Draw(t, "quick start")
		least, _ := f.policy.bounds()
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			before := f.state.Size
			inFlight, waiting := rapid.IntRange(0, 1000).Draw(t, "in flight"), rapid.IntRange(0, 1000).Draw(t, "waiting")
			got := f.step(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms"))*time.Millisecond, inFlight, waiting, rapid.IntRange(0, 5000).Draw(t, "came"))
			if most := max(before, least, f.policy.instances(float64(inFlight+waiting))); got.Size > most {
				t.Fatalf("%d in flight and %d that wait made %d instances of %d: %s", inFlight, waiting, got.Size, before, got.Reason)
			}
		}
	})
}

func TestConstantLoadDoesNotFlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := follow(t)
		f.policy.On = platform.ScaleOnConcurrency
		demand, rate := rapid.IntRange(0, 5000).Draw(t, "demand"), rapid.IntRange(0, 500).Draw(t, "rate")
		if demand > 0 {
			rate = max(rate, 1)
		}
		sizes := []int{f.state.Size}
		for range 3600 {
			inFlight := min(demand, int(min(f.policy.places(f.state.Size), math.MaxInt32)))
			if size := f.step(time.Second, inFlight, demand-inFlight, rate).Size; size != sizes[len(sizes)-1] {
				sizes = append(sizes, size)
			}
		}
		turns := 0
		for i := 2; i < len(sizes); i++ {
			if (sizes[i] > sizes[i-1]) != (sizes[i-1] > sizes[i-2]) {
				turns++
			}
		}
		if turns > 1 {
			t.Fatalf("%d requests at once: %v", demand, sizes)
		}
	})
}

// Nobody asks but at the times that the decisions name.
func TestAnIdleServiceReachesItsSmallestSizeAndStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := follow(t)
		if f.policy.MinSize > 0 {
			f.state.Size = max(f.state.Size, f.policy.MinSize)
		}
		f.step(time.Second, rapid.IntRange(0, 5000).Draw(t, "in flight"), rapid.IntRange(0, 5000).Draw(t, "waiting"), 100)
		decision := f.step(time.Second, 0, 0, 0)
		idleSince := f.now
		for calls := 0; !decision.Next.IsZero(); calls++ {
			if calls > 10_000 {
				t.Fatal("it never comes to rest")
			}
			f.now = decision.Next
			decision = f.decide()
		}
		least, _ := f.policy.bounds()
		if f.state.Size != least {
			t.Fatalf("it rests at %d, and %d would do", f.state.Size, least)
		}
		if took, bound := f.now.Sub(idleSince), max(f.policy.ToZeroAfter, quietWindow+12*stepEvery)+2*bucketWidth; took > bound {
			t.Fatalf("that took %s, longer than %s", took, bound)
		}
		f.now = f.now.Add(24 * time.Hour)
		if got := f.decide(); got.Size != least || !got.Next.IsZero() {
			t.Fatalf("a day later: %+v", got)
		}
	})
}
