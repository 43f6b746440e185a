package deploy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/apron-run/apron/internal/platform"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func instance(id string, revision string, state platform.InstanceState) platform.Instance {
	i := platform.Instance{ID: platform.InstanceID(id), ServiceID: "s", RevisionID: platform.RevisionID(revision), State: state}
	if state == platform.InstanceStateExited {
		i.Exit = &platform.Exit{Code: 1, At: noon}
	}
	return i
}

func serving(revision string) platform.Service {
	return platform.Service{ID: "s", Status: platform.ServiceStatusRunning, IsServing: true, ActiveRevisionID: platform.RevisionID(revision)}
}

func TestPlan(t *testing.T) {
	const run, exited = platform.InstanceStateRunning, platform.InstanceStateExited
	busy := serving("new")
	busy.Status = platform.ServiceStatusOperationInProgress
	paused := serving("new")
	paused.Status, paused.IsServing = platform.ServiceStatusPaused, false
	resuming := paused
	resuming.Status = platform.ServiceStatusOperationInProgress

	old, cold, young := instance("old", "new", run), instance("cold", "new", run), instance("young", "new", run)
	old.StartedAt, cold.StartedAt, young.StartedAt = noon, noon.Add(time.Minute), noon.Add(time.Hour)

	for _, test := range []struct {
		name string
		seen Observation
		want Actions
	}{
		{
			"a service at its size needs nothing",
			Observation{Service: serving("new"), Size: 1, Instances: []platform.Instance{instance("a", "new", run)}, Routed: map[platform.InstanceID]bool{"a": true}},
			Actions{},
		},
		{
			"missing instances are started",
			Observation{Service: serving("new"), Size: 3, Instances: []platform.Instance{instance("a", "new", run)}, Routed: map[platform.InstanceID]bool{"a": true}},
			Actions{Start: 2},
		},
		{
			"missing instances wait for the backoff",
			Observation{Service: serving("new"), Size: 3, StartNotBefore: noon.Add(time.Second)},
			Actions{IsWaiting: true},
		},
		{
			"a running instance without a route is adopted",
			Observation{Service: serving("new"), Size: 1, Instances: []platform.Instance{instance("a", "new", run)}},
			Actions{Admit: []platform.Instance{instance("a", "new", run)}},
		},
		{
			"an instance that is being admitted counts, and is left alone however it fares",
			Observation{Service: serving("new"), Size: 3, Instances: []platform.Instance{instance("a", "new", run), instance("b", "new", exited)},
				Admitting: map[platform.InstanceID]bool{"a": true, "b": true}},
			Actions{Start: 1},
		},
		{
			"an instance that is being admitted leaves when nobody wants it any more",
			Observation{Service: serving("new"), Size: 1, Instances: []platform.Instance{instance("a", "new", run), instance("b", "older", run)},
				Routed: map[platform.InstanceID]bool{"a": true}, Admitting: map[platform.InstanceID]bool{"b": true}},
			Actions{Retire: []platform.Instance{instance("b", "older", run)}},
		},
		{
			"an instance that ended is buried and replaced",
			Observation{Service: serving("new"), Size: 1, Instances: []platform.Instance{instance("a", "new", exited)}, Routed: map[platform.InstanceID]bool{"a": true}},
			Actions{Bury: []platform.Instance{instance("a", "new", exited)}, Start: 1},
		},
		{
			"instances of an older revision leave once no operation runs",
			Observation{Service: serving("new"), Size: 1, Instances: []platform.Instance{instance("a", "new", run), instance("b", "old", run)}, Routed: map[platform.InstanceID]bool{"a": true}},
			Actions{Retire: []platform.Instance{instance("b", "old", run)}},
		},
		{
			"an operation's own instances are left alone, and a dead one of the active revision is still replaced",
			Observation{Service: busy, Size: 1, Instances: []platform.Instance{instance("a", "new", exited), instance("b", "next", run)}, Routed: map[platform.InstanceID]bool{"a": true}},
			Actions{Bury: []platform.Instance{instance("a", "new", exited)}, Start: 1},
		},
		{
			"of instances above the size the frozen ones leave, and then the newest",
			Observation{Service: serving("new"), Size: 1, Instances: []platform.Instance{old, cold, young},
				Routed: map[platform.InstanceID]bool{"old": true, "cold": true, "young": true}, Frozen: map[platform.InstanceID]bool{"cold": true}},
			Actions{Retire: []platform.Instance{cold, young}},
		},
		{
			"instances that do not answer yet are no reason for others to leave",
			Observation{Service: serving("new"), Size: 1, Instances: []platform.Instance{old, cold},
				Routed: map[platform.InstanceID]bool{"old": true}, Admitting: map[platform.InstanceID]bool{"cold": true}},
			Actions{},
		},
		{
			"a service at zero runs nothing and goes on serving",
			Observation{Service: serving("new"), Size: 0, Instances: []platform.Instance{old}, Routed: map[platform.InstanceID]bool{"old": true}},
			Actions{Retire: []platform.Instance{old}},
		},
		{
			"instances that are being started count",
			Observation{Service: serving("new"), Size: 4, Starting: 3},
			Actions{Start: 1},
		},
		{
			"a paused service runs nothing",
			Observation{Service: paused, Size: 1, Instances: []platform.Instance{instance("a", "new", run)}},
			Actions{Retire: []platform.Instance{instance("a", "new", run)}},
		},
		{
			"a resume's instances are left alone until it has switched",
			Observation{Service: resuming, Size: 1, Instances: []platform.Instance{instance("a", "new", run)}},
			Actions{},
		},
		{
			"instances of a service that is gone leave",
			Observation{Service: platform.Service{ID: "s"}, Instances: []platform.Instance{instance("a", "new", run)}},
			Actions{Retire: []platform.Instance{instance("a", "new", run)}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Plan(noon, test.seen)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlanNeverHarmsWhatServes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		service := serving(rapid.SampledFrom([]string{"r1", "r2"}).Draw(t, "active"))
		service.IsServing = rapid.Bool().Draw(t, "serving")
		service.Status = rapid.SampledFrom([]platform.ServiceStatus{
			platform.ServiceStatusRunning, platform.ServiceStatusPaused, platform.ServiceStatusOperationInProgress,
		}).Draw(t, "status")
		seen := Observation{Service: service, Size: rapid.IntRange(0, 5).Draw(t, "size"), Starting: rapid.IntRange(0, 2).Draw(t, "starting"), Routed: map[platform.InstanceID]bool{}}
		for i := range rapid.IntRange(0, 8).Draw(t, "instances") {
			one := instance(string(rune('a'+i)), rapid.SampledFrom([]string{"r1", "r2"}).Draw(t, "revision"),
				rapid.SampledFrom([]platform.InstanceState{platform.InstanceStateRunning, platform.InstanceStateExited}).Draw(t, "state"))
			seen.Instances = append(seen.Instances, one)
			seen.Routed[one.ID] = rapid.Bool().Draw(t, "routed")
		}
		actions := Plan(noon, seen)

		named := map[platform.InstanceID]int{}
		for _, group := range [][]platform.Instance{actions.Bury, actions.Retire, actions.Admit} {
			for _, one := range group {
				named[one.ID]++
			}
		}
		alive, answering, answered := seen.Starting, 0, 0
		for _, one := range seen.Instances {
			if named[one.ID] > 1 {
				t.Fatalf("instance %s is named by two actions", one.ID)
			}
			isActive := service.IsServing && one.RevisionID == service.ActiveRevisionID && one.State == platform.InstanceStateRunning
			if isActive {
				alive++
				if seen.Routed[one.ID] {
					answering++
					answered++
				}
			}
			for _, retired := range actions.Retire {
				if retired.ID != one.ID {
					continue
				}
				if isActive && seen.Routed[one.ID] {
					answering--
				}
				if service.Status == platform.ServiceStatusOperationInProgress && !isActive {
					t.Fatalf("instance %s belongs to the running operation and is retired", one.ID)
				}
			}
		}
		if answering < min(answered, seen.Size) {
			t.Fatalf("%d answered of %d that are wanted, and after the plan %d do", answered, seen.Size, answering)
		}
		if !service.IsServing && actions.Start > 0 {
			t.Fatalf("%d instances are started for a service that does not serve", actions.Start)
		}
		if actions.Start > 0 && alive+actions.Start > seen.Size {
			t.Fatalf("%d run, %d are started, and only %d are wanted", alive, actions.Start, seen.Size)
		}
	})
}

func TestBackoffGrowsToAMinuteAndNoFurther(t *testing.T) {
	want := []time.Duration{0, 0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute}
	for failures, wait := range want {
		if got := Backoff(failures, 0); got != wait {
			t.Errorf("after %d failures: got %s, want %s", failures, got, wait)
		}
	}
	if got := Backoff(1000, 1); got != 75*time.Second {
		t.Errorf("with full jitter: got %s, want 1m15s", got)
	}
}

func TestALostProcessIsNotToldAsAnEndOfTheApps(t *testing.T) {
	cause := ExitCause(&platform.Exit{Code: 255, IsLost: true}, 2048)
	if !strings.Contains(cause, "was lost") || strings.Contains(cause, "255") {
		t.Errorf("it says %q", cause)
	}
}
