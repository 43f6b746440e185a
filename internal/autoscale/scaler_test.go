package autoscale

import (
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// feed lets seconds pass in which a service has so many requests at once, each of which takes one second.
func (f *follower) feed(seconds, atOnce int) (changes []Decision) {
	for range seconds {
		before := f.state.Size
		room := f.state.Size * f.policy.MaxConcurrency
		if decision := f.step(time.Second, min(atOnce, room), max(0, atOnce-room), min(atOnce, room)); decision.Size != before {
			decision.Next = time.Time{}
			changes = append(changes, decision)
		}
	}
	return changes
}

func service(policy Policy, state State) *follower {
	if state.UsagePercent == 0 {
		state.UsagePercent = -1
	}
	state.Ready = state.Size
	return &follower{policy: policy, now: start, state: state}
}

func TestAServiceWithoutRoomGetsWhatItNeedsAtOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy Policy
		state  State
		load   platform.Load
		want   Decision
	}{
		{
			"a burst", Policy{MaxConcurrency: 10, MinSize: 1, MaxSize: 25}, State{Size: 2, Ready: 2},
			platform.Load{InFlight: 20, Waiting: 16}, Decision{Size: 4, Reason: "36 requests at once, 10 per instance: 2 -> 4 instances"},
		},
		{
			"what starts already counts", Policy{MaxConcurrency: 10, MinSize: 1, MaxSize: 25}, State{Size: 4, Ready: 2, Starting: 2},
			platform.Load{InFlight: 20, Waiting: 16}, Decision{Size: 4},
		},
		{
			"more than is allowed", Policy{MaxConcurrency: 10, MinSize: 1, MaxSize: 3}, State{Size: 2, Ready: 2},
			platform.Load{InFlight: 20, Waiting: 16}, Decision{Size: 3, Reason: "36 requests at once, 10 per instance: 2 -> 3 instances, the most allowed"},
		},
		{
			"a MaxConcurrency that has become smaller", Policy{MaxConcurrency: 10, MinSize: 1, MaxSize: 25}, State{Size: 1, Ready: 1},
			platform.Load{InFlight: 35}, Decision{Size: 4, Reason: "35 requests at once, 10 per instance: 1 -> 4 instances"},
		},
		{
			"from zero", Policy{MaxConcurrency: 10, MaxSize: 25, ToZeroAfter: time.Minute}, State{},
			platform.Load{Waiting: 1}, Decision{Size: 1, Reason: "1 request at once, 10 per instance: 0 -> 1 instance"},
		},
		{
			"a burst from zero", Policy{MaxConcurrency: 10, MaxSize: 25, ToZeroAfter: time.Minute}, State{},
			platform.Load{Waiting: 31}, Decision{Size: 4, Reason: "31 requests at once, 10 per instance: 0 -> 4 instances"},
		},
		{
			"from zero without a limit", Policy{MaxSize: 25, ToZeroAfter: time.Minute}, State{},
			platform.Load{Waiting: 31}, Decision{Size: 1, Reason: "31 requests at once: 0 -> 1 instance"},
		},
		{
			"a tag that asks for more", Policy{MaxConcurrency: 10, MinSize: 3, MaxSize: 25}, State{Size: 1, Ready: 1},
			platform.Load{}, Decision{Size: 3, Reason: "the fewest allowed: 1 -> 3 instances"},
		},
		{
			"a configuration that allows less", Policy{MaxConcurrency: 10, MinSize: 1, MaxSize: 2}, State{Size: 5, Ready: 5},
			platform.Load{InFlight: 50}, Decision{Size: 2, Reason: "the most allowed: 5 -> 2 instances"},
		},
		{
			"busy processors", Policy{MaxConcurrency: 100, MinSize: 1, MaxSize: 25, On: platform.ScaleOnCPU, TargetPercent: 60}, State{Size: 2, Ready: 2, UsagePercent: 91},
			platform.Load{InFlight: 4}, Decision{Size: 4, Reason: "91 % of the cpu used, 60 % wanted: 2 -> 4 instances"},
		},
		{
			"processors near their target", Policy{MaxConcurrency: 100, MinSize: 1, MaxSize: 25, On: platform.ScaleOnCPU, TargetPercent: 60}, State{Size: 2, Ready: 2, UsagePercent: 65},
			platform.Load{InFlight: 4}, Decision{Size: 2},
		},
		{
			"requests that wait though processors are idle", Policy{MaxConcurrency: 1, MinSize: 1, MaxSize: 25, On: platform.ScaleOnCPU, TargetPercent: 60}, State{Size: 1, Ready: 1, UsagePercent: 2},
			platform.Load{InFlight: 1, Waiting: 2}, Decision{Size: 3, Reason: "3 requests at once, 1 per instance: 1 -> 3 instances"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var scaler Scaler
			scaler.Observe(start, c.load)
			got := scaler.Decide(start, c.policy, c.state)
			got.Next = time.Time{}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The data plane tells of them every 50 ms while they wait; each takes five seconds.
func TestABurstIsNotTakenForAStreamOfRequests(t *testing.T) {
	for _, startTime := range []time.Duration{0, 300 * time.Millisecond, 5 * time.Second} {
		f := service(Policy{MaxConcurrency: 100, MinSize: 1, MaxSize: 25}, State{Size: 1, StartTime: startTime})
		f.step(time.Second, 1, 0, 1)
		f.step(time.Second, 0, 0, 0)
		f.now = f.now.Add(time.Minute)
		want := Decision{Size: 3, Reason: "250 requests at once, 100 per instance: 1 -> 3 instances"}
		for came := 250; came >= 0; came -= 250 {
			got := f.step(50*time.Millisecond, 100, 150, came)
			got.Next = time.Time{}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("with a start of %s: %s", startTime, diff)
			}
			want.Reason = ""
		}
		for range 100 {
			if got := f.step(50*time.Millisecond, 250, 0, 0); got.Size != 3 {
				t.Fatalf("with a start of %s: %+v", startTime, got)
			}
		}
	}
}

func TestAWaitThatIsOverSoonStartsNoInstance(t *testing.T) {
	f := service(Policy{MaxConcurrency: 10, MinSize: 1, MaxSize: 25}, State{Size: 2, StartTime: 500 * time.Millisecond})
	for range 60 { // each takes 50 ms
		f.step(time.Second, 10, 0, 200)
	}
	if got := f.step(50*time.Millisecond, 20, 5, 25); got.Size != 2 {
		t.Errorf("5 that wait for 12 ms: %+v", got)
	}
	if got := f.step(50*time.Millisecond, 20, 100, 115); got.Size <= 2 {
		t.Errorf("100 that wait for 250 ms: %+v", got)
	}
}

func TestABacklogThatASlowStartHasMadeIsNotTakenForDemand(t *testing.T) {
	f := service(Policy{MaxConcurrency: 10, MinSize: 1, MaxSize: 1000}, State{Size: 1, StartTime: time.Minute})
	for range 60 {
		f.step(time.Second, 10, 0, 50) // each takes 200 ms
	}
	got := f.step(time.Second, 10, 3000, 3050)
	// 3,000 of 200 ms are 600 s of work. 300 instances would do it in the moment they come, a minute later.
	if got.Size < 2 || got.Size > 100 {
		t.Errorf("%+v", got)
	}
}

func TestAnInstanceThatStartsSlowlyIsStartedBeforeItIsMissed(t *testing.T) {
	policy := Policy{MaxConcurrency: 10, MinSize: 1, MaxSize: 25}
	slow, quick := service(policy, State{Size: 1, StartTime: 5 * time.Second}), service(policy, State{Size: 1, StartTime: 200 * time.Millisecond})
	want := []Decision{{Size: 2, Reason: "9 requests at once, 10 per instance, and a start takes 5.0 s: 1 -> 2 instances"}}
	if diff := cmp.Diff(want, slow.feed(10, 9)); diff != "" {
		t.Error(diff)
	}
	if changes := quick.feed(10, 9); len(changes) > 0 {
		t.Error(changes)
	}
}

func TestAServiceGrowsSmallerStepByStepAfterAQuietWindow(t *testing.T) {
	f := service(Policy{MaxConcurrency: 10, MinSize: 2, MaxSize: 25}, State{Size: 2})
	f.feed(100, 200)
	full := f.state.Size
	if changes := f.feed(55, 1); len(changes) > 0 || full < 20 {
		t.Errorf("%d, and then %v", full, changes)
	}
	reasons := []string{}
	for _, each := range f.feed(120, 1) {
		reasons = append(reasons, each.Reason)
	}
	want := []string{
		"no more than 2 needed for 1 minute: 20 -> 11 instances", "no more than 2 needed for 1 minute: 11 -> 6 instances",
		"no more than 2 needed for 1 minute: 6 -> 4 instances", "no more than 2 needed for 1 minute: 4 -> 3 instances",
		"no more than 2 needed for 1 minute: 3 -> 2 instances",
	}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Error(diff)
	}
}

func TestTheLastInstanceStaysUntilThereWasNoRequestForLong(t *testing.T) {
	f := service(Policy{MaxConcurrency: 10, MaxSize: 25, ToZeroAfter: 15 * time.Minute}, State{Size: 1})
	f.feed(5, 1)
	if got := f.step(time.Second, 0, 0, 1); !got.Next.Equal(f.now.Add(15 * time.Minute)) {
		t.Errorf("to be asked again at %s, and it is %s", got.Next, f.now)
	}
	f.now = f.now.Add(15*time.Minute - time.Second)
	if got := f.decide(); got.Size != 1 {
		t.Errorf("too early: %+v", got)
	}
	f.now = f.now.Add(time.Second)
	if diff := cmp.Diff(Decision{Reason: "no request for 15 minutes: 1 -> 0 instances"}, f.decide()); diff != "" {
		t.Error(diff)
	}
}

func TestAServiceThatHasGoneToZeroIsNotStartedForWhatWas(t *testing.T) {
	f := service(Policy{MaxConcurrency: 10, MaxSize: 25, ToZeroAfter: time.Second}, State{Size: 1, StartTime: 5 * time.Second})
	f.feed(5, 8)
	f.step(500*time.Millisecond, 8, 0, 0)
	f.step(500*time.Millisecond, 0, 0, 0)
	f.step(500*time.Millisecond, 0, 0, 0)
	for range 10 {
		if got := f.step(100*time.Millisecond, 0, 0, 0); got.Size != 0 {
			t.Fatalf("%+v", got)
		}
	}
}

func TestAScalerThatKnowsNoPastTakesNothingAway(t *testing.T) {
	f := service(Policy{MaxConcurrency: 10, MinSize: 1, MaxSize: 25}, State{Size: 8})
	if changes := f.feed(59, 0); len(changes) > 0 {
		t.Error(changes)
	}
	if changes := f.feed(60, 0); len(changes) == 0 || f.state.Size != 1 {
		t.Errorf("%d: %v", f.state.Size, changes)
	}
}

func TestADataPlaneThatBeginsAnewIsNoBurst(t *testing.T) {
	f := service(Policy{MaxConcurrency: 10, MinSize: 1, MaxSize: 25}, State{Size: 1})
	f.feed(100, 5)
	f.requests = 0
	if changes := f.feed(100, 5); len(changes) > 0 {
		t.Error(changes)
	}
}

// A machine has ten thousand services or more.
func TestAScalerIsSmallAndMakesNoGarbage(t *testing.T) {
	if size := unsafe.Sizeof(Scaler{}); size > 1024 {
		t.Errorf("%d bytes", size)
	}
	if made := testing.AllocsPerRun(100, quietSecond()); made > 0 {
		t.Errorf("%.0f allocations", made)
	}
}

func BenchmarkDecide(b *testing.B) {
	second := quietSecond()
	b.ReportAllocs()
	for b.Loop() {
		second()
	}
}

// quietSecond is a second of a service with requests that does not change.
func quietSecond() func() {
	f := service(Policy{MaxConcurrency: 10, MinSize: 1, MaxSize: 25}, State{Size: 2})
	f.feed(100, 15)
	load := platform.Load{InFlight: 15, Average: 15, Peak: 15, Requests: f.requests}
	return func() {
		f.now = f.now.Add(time.Second)
		load.Requests += 15
		f.scaler.Observe(f.now, load)
		f.scaler.Decide(f.now, f.policy, f.state)
	}
}

func TestAScalerThatBeginsAmidTrafficDoesNotTakeAllRequestsForNewOnes(t *testing.T) {
	for _, first := range []platform.Load{{}, {InFlight: 10, Average: 10, Requests: 1_000_000}} {
		f := service(Policy{MaxConcurrency: 10, MinSize: 1, MaxSize: 25}, State{Size: 1})
		f.scaler.Observe(f.now, first)
		f.decide()
		f.requests = 1_000_000
		if got := f.step(time.Second, 10, 26, 10); got.Size != 4 {
			t.Errorf("after %+v: %+v", first, got)
		}
	}
}

func TestSilenceIsNotTakenForWork(t *testing.T) {
	f := service(Policy{MaxConcurrency: 1, MinSize: 1, MaxSize: 25}, State{Size: 1})
	f.step(time.Second, 0, 0, 10)
	f.step(time.Second, 0, 0, 10)
	f.step(time.Hour, 1, 0, 1)
	if took := f.scaler.demand.service(); took > 1 {
		t.Errorf("a request is thought to take %.1f s", took)
	}
}
