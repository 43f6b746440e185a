package chaos

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/test/load"
)

func at(second float64) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(second * float64(time.Second)))
}

func TestARequestIsLostUnlessItsInstanceWasKilled(t *testing.T) {
	good := func(from, to float64) load.Request {
		return load.Request{Sent: at(from), Answered: at(to), Version: "image-1"}
	}
	broken := func(from, to float64) load.Request {
		return load.Request{Sent: at(from), Answered: at(to), Trouble: "status 502"}
	}
	refused := func(from, to float64) load.Request {
		return load.Request{Sent: at(from), Answered: at(to), IsRefused: true}
	}
	// An instance is killed at 10 and has ended at 11; the shim of another is killed at 20, and its process ends at 25.
	one := []death{{killed: at(10), ended: at(11)}}
	both := append(one, death{killed: at(20), ended: at(25)})
	pause, cut := []span{{at(40), at(50)}}, []span{{at(60), at(61)}}
	for name, c := range map[string]struct {
		request load.Request
		others  []load.Request
		size    int
		deaths  []death
		want    traffic
	}{
		"good":                                    {good(1, 2), nil, 1, one, traffic{sent: 1}},
		"broken without a death":                  {broken(1, 2), nil, 1, nil, traffic{sent: 1, lost: []string{"502"}}},
		"in flight at the death":                  {broken(9, 10.9), nil, 1, one, traffic{sent: 1, inFlight: 1}},
		"broken before the death":                 {broken(8, 9), nil, 1, one, traffic{sent: 1, lost: []string{"502"}}},
		"sent after the death":                    {broken(11.1, 12), nil, 1, one, traffic{sent: 1, lost: []string{"502"}}},
		"broken by the end of the shim alone":     {broken(19, 20.5), nil, 2, both, traffic{sent: 1, lost: []string{"502"}}},
		"refused while none is left":              {refused(12, 12), nil, 1, one, traffic{sent: 1, withoutInstance: 1}},
		"refused after the next one has answered": {refused(14, 14), []load.Request{good(12, 13)}, 1, one, traffic{sent: 2, lost: []string{"503"}}},
		"refused although another is left":        {refused(12, 12), nil, 2, one, traffic{sent: 1, lost: []string{"503"}}},
		"refused without a death":                 {refused(12, 12), nil, 1, nil, traffic{sent: 1, lost: []string{"503"}}},
		"refused in a pause":                      {refused(41, 41), nil, 1, nil, traffic{sent: 1, paused: 1}},
		"broken in a pause":                       {broken(41, 41), nil, 1, nil, traffic{sent: 1, lost: []string{"502"}}},
		"broken with the proxy":                   {broken(59, 60.1), nil, 1, nil, traffic{sent: 1, cut: 1}},
		"sent before there is another proxy":      {broken(60.5, 60.5), nil, 1, nil, traffic{sent: 1, cut: 1}},
		"broken by another proxy":                 {broken(61.1, 62), nil, 1, nil, traffic{sent: 1, lost: []string{"502"}}},
		"refused by another proxy":                {refused(60.5, 60.6), nil, 1, nil, traffic{sent: 1, lost: []string{"503"}}},
		"a version that must not answer": {load.Request{Sent: at(1), Answered: at(2), Version: "broken-image-1"}, nil, 1, nil,
			traffic{sent: 1, lost: []string{"broken-image-1"}}},
	} {
		got := judge(append(c.others, c.request), c.size, c.deaths, pause, cut)
		for i, lost := range got.lost {
			if i < len(c.want.lost) && strings.Contains(lost, c.want.lost[i]) {
				got.lost[i] = c.want.lost[i]
			}
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(traffic{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestTheSameSeedMakesTheSamePlans(t *testing.T) {
	for round := range 50 {
		one, same, other := chaosMenu.draw(7, round, 4), chaosMenu.draw(7, round, 4), chaosMenu.draw(8, round, 4)
		if diff := cmp.Diff(one, same, cmp.AllowUnexported(plan{}, act{}, kill{})); diff != "" {
			t.Error(diff)
		}
		if cmp.Equal(one, other, cmp.AllowUnexported(plan{}, act{}, kill{})) {
			t.Errorf("round %d is the same for another seed", round)
		}
	}
}

func TestAStatusMayMoveAlongSeveralEdgesBetweenTwoLooks(t *testing.T) {
	for _, c := range []struct {
		from, to platform.OperationStatus
		want     bool
	}{
		{"PENDING", "SUCCEEDED", true}, {"PENDING", "ROLLBACK_FAILED", true}, {"IN_PROGRESS", "PENDING", false},
		{"SUCCEEDED", "FAILED", false}, {"ROLLBACK_IN_PROGRESS", "SUCCEEDED", false},
	} {
		if got := canReach(c.from, c.to); got != c.want {
			t.Errorf("from %s to %s: %t", c.from, c.to, got)
		}
	}
}

func TestStepsThatOverlapAreFound(t *testing.T) {
	if faults := overlaps([]work{{"b", 2, 3}, {"a", 1, 2}}); len(faults) > 0 {
		t.Error(faults)
	}
	if faults := overlaps([]work{{"b", 1.9, 3}, {"a", 1, 2}}); len(faults) != 1 {
		t.Errorf("%d faults: %v", len(faults), faults)
	}
}
