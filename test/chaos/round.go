package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
)

// round is what one round did, and what was wrong with it.
type round struct {
	number  int
	made    []*made
	killed  []killed
	settled time.Duration
	traffic traffic
	faults  []string
}

func (r *round) fault(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *round) String() string {
	var acts, kills []string
	for _, each := range r.made {
		acts = append(acts, each.String())
	}
	for _, each := range r.killed {
		switch {
		case each.what == "":
		case each.back > 0:
			kills = append(kills, fmt.Sprintf("%s at %s (back in %s)", each.what, each.after, each.back.Round(time.Millisecond)))
		default:
			kills = append(kills, fmt.Sprintf("%s at %s", each.what, each.after))
		}
	}
	if len(kills) == 0 {
		kills = []string{"nothing"}
	}
	text := fmt.Sprintf("round %d: %s; killed %s; settled after %s; %s", r.number, strings.Join(acts, ", "), strings.Join(kills, ", "),
		r.settled.Round(10*time.Millisecond), r.traffic)
	return strings.Join(append([]string{text}, r.faults...), "\n    FAULT: ")
}

// run does one round.
func (w *world) run(number int, p plan) *round {
	r := &round{number: number}
	ctx := w.t.Context()
	for _, a := range p.acts {
		r.made = append(r.made, w.plan(a, w.status(r, w.slots[a.slot])))
	}
	begun := time.Now()
	dead := make(chan death, len(p.kills))
	var work sync.WaitGroup
	for _, m := range r.made {
		work.Go(func() { w.do(ctx, begun, m) })
	}
	r.killed = make([]killed, len(p.kills))
	for i, k := range p.kills {
		work.Go(func() { r.killed[i] = w.kill(ctx, begun, k, dead) })
	}
	work.Wait()
	deadly := 0
	for _, each := range r.killed {
		if each.err != nil {
			r.fault("kill %s: %v", each.kill, each.err)
		}
		if each.what != "" && (each.victim == victimShim || each.victim == victimInstance) {
			deadly++
		}
		if each.what == "proxy" {
			w.cuts = append(w.cuts, span{each.at, each.at.Add(each.back)})
		}
	}
	for range deadly {
		d := <-dead
		if d.ended.IsZero() {
			r.fault("the instance of %s whose %s was killed goes on after %s", w.slots[d.slot].name, d.victim, deathTimeout)
		}
		w.slots[d.slot].deaths = append(w.slots[d.slot].deaths, d)
	}
	if len(r.faults) > 0 {
		return r
	}
	for _, m := range r.made {
		if m.isUnanswered() && m.slot.service == nil {
			if err := w.find(ctx, m.slot); err != nil {
				r.fault("%s: %v", m.name, err)
			}
		}
	}
	waiting := time.Now()
	w.settle(ctx, r)
	r.settled = time.Since(waiting)
	if len(r.faults) == 0 {
		w.check(ctx, r, p)
	}
	w.count(r)
	w.turn(ctx, r)
	r.faults = append(r.faults, w.watcher.take()...)
	return r
}

// status asks for the status of the slot's service; empty when there is none.
func (w *world) status(r *round, s *slot) types.ServiceStatus {
	if s.service == nil {
		return ""
	}
	service, err := w.describe(w.t.Context(), s)
	if err != nil {
		r.fault("describe %s: %v", s.name, err)
	}
	return service.Status
}

const (
	// settleTimeout is how long everything may take to be as it must be, on a machine that is busy with other work. An instance that
	// was killed several times within a minute waits for up to 75 s before it is started again (deploy.Backoff).
	settleTimeout = 2 * time.Minute
	settleEvery   = 50 * time.Millisecond
)

// settle waits until every operation has ended and every service has what it should have.
func (w *world) settle(ctx context.Context, r *round) {
	deadline := time.Now().Add(settleTimeout)
	for _, s := range w.slots {
		for {
			err := w.isSettled(ctx, s)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				r.fault("after %s: %s: %v", settleTimeout, s.name, err)
				break
			}
			sleepUntil(ctx, time.Now().Add(settleEvery))
		}
	}
}

// isSettled is nil once the slot's service is at rest, and else what it waits for.
func (w *world) isSettled(ctx context.Context, s *slot) error {
	if s.service == nil {
		return nil
	}
	service, err := w.describe(ctx, s)
	if err != nil {
		return err
	}
	instances, err := w.instances(ctx, s)
	if err != nil {
		return err
	}
	switch service.Status {
	case types.ServiceStatusOperationInProgress:
		return errors.New("an operation is in progress")
	case types.ServiceStatusRunning:
		s.size = w.sizes[*service.AutoScalingConfigurationSummary.AutoScalingConfigurationArn]
	default:
		if len(instances) > 0 {
			return fmt.Errorf("it is %s and has instances: %+v", service.Status, instances)
		}
		return nil
	}
	active, err := w.activeRevision(ctx, s)
	if err != nil {
		return err
	}
	if len(instances) != s.size {
		return fmt.Errorf("it has %d instances, want %d: %+v", len(instances), s.size, instances)
	}
	for _, each := range instances {
		if !each.Runs() || each.RevisionID != active {
			return fmt.Errorf("it has the instance %+v, want one of the revision %s", each, active)
		}
	}
	// As often as there are instances: each may be the next to be asked.
	for range s.size + 1 {
		answer, err := w.apron.TryGet(ctx, s.service.URL, "/")
		if err != nil {
			return err
		}
		if answer.Status != 200 {
			return fmt.Errorf("it answers %d: %s", answer.Status, answer.Body)
		}
	}
	for i, now := range s.pauses {
		if now.until.IsZero() {
			s.pauses[i].until = time.Now() // it runs again, or was never paused
		}
	}
	return nil
}
