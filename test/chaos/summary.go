package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
)

// summary is what came of all rounds.
type summary struct {
	rounds   int
	kills    map[string]int
	outcomes map[string]int
	traffic  traffic
	// slowest are the longest times until a round had settled, and until apron was back.
	settled, back time.Duration
}

func (s *summary) add(r *round) {
	if s.kills == nil {
		s.kills, s.outcomes = map[string]int{}, map[string]int{}
	}
	s.rounds++
	for _, each := range r.killed {
		if each.what != "" {
			s.kills[string(each.victim)]++
			s.back = max(s.back, each.back)
		}
	}
	for _, each := range r.made {
		switch {
		case each.id != "":
			s.outcomes[each.operation.Type+" "+each.operation.Status]++
		case each.isUnanswered():
			s.outcomes["no answer"]++
		case each.err != nil:
			s.outcomes["refused"]++
		}
	}
	s.settled = max(s.settled, r.settled)
	s.traffic.add(r.traffic)
}

func (s summary) String() string {
	return fmt.Sprintf("%d rounds, the slowest settled after %s\nkilled: %s; apron was back within %s\noperations: %s\n%s",
		s.rounds, s.settled.Round(10*time.Millisecond), counts(s.kills), s.back.Round(10*time.Millisecond), counts(s.outcomes), s.traffic)
}

func counts(of map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%d %s", of[name], name))
	}
	return strings.Join(parts, ", ")
}

// end deletes every service. Nothing of them may stay.
func (w *world) end(ctx context.Context) {
	w.t.Helper()
	for _, s := range w.slots {
		if s.service == nil {
			continue
		}
		if s.load != nil {
			s.load.Stop()
		}
		output, err := w.apron.SDK().DeleteService(ctx, &apprunner.DeleteServiceInput{ServiceArn: &s.service.ARN})
		if err != nil {
			w.t.Fatalf("delete %s: %v", s.name, err)
		}
		s.service.WantOperation(w.t, *output.OperationId, "SUCCEEDED")
	}
	for deadline := time.Now().Add(orphanTimeout); ; sleepUntil(ctx, time.Now().Add(settleEvery)) {
		err := w.machine.look(ctx, nil)
		if err == nil && len(w.machine.orphans) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("the services are deleted, and there is still: %v (%v)", slices.Sorted(maps.Keys(w.machine.orphans)), err)
		}
	}
}
