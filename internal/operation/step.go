package operation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apron-run/apron/internal/failpoint"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// step is a unit of an operation. Its run is idempotent, asks by itself whether its work is done, and returns one
// short line for people.
type step struct {
	name string
	run  func(ctx context.Context, r *run) (detail string, err error)
	// isWhole says that the step is not given up half way: it is over in a moment, and nobody could say how far it came.
	isWhole bool
}

// The names of the steps, as people see them.
const (
	stepQueue       = "wait for builds"
	stepResolve     = "resolve"
	stepFetch       = "fetch"
	stepBuild       = "build"
	stepPull        = "pull"
	stepReuse       = "reuse image"
	stepStart       = "start instances"
	stepHealthCheck = "health check"
	stepSwitch      = "switch traffic"
	stepSwitchOff   = "stop traffic"
	stepDrain       = "drain"
	stepStop        = "stop instances"
	stepRemove      = "remove"
	// What a failed operation ends with: the second where there is nothing to go back to.
	stepRollBack = "roll back"
	stepCleanUp  = "clean up"
)

// runStep runs one step under its deadline and records its beginning and its outcome.
func (r *run) runStep(ctx context.Context, s step) error {
	r.begin(s.name)
	if err := r.save(ctx, nil); err != nil {
		return err
	}
	limited, cancel := r.limit(ctx, s)
	defer cancel()
	failpoint.Pass(r.operation.Type, s.name, failpoint.Before)
	detail, err := r.runPatiently(limited, s)
	if err != nil && !isInterruption(err) && platform.AsExplained(err) == nil && r.mayTryAgain(limited) {
		detail, err = r.runPatiently(limited, s)
	}
	failpoint.Pass(r.operation.Type, s.name, failpoint.AfterEffect)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return interruption(ctx)
	case errors.Is(context.Cause(limited), errCancelled), limited.Err() != nil && platform.AsExplained(err) == nil:
		err = context.Cause(limited)
	}
	r.finish(detail, err)
	return err
}

// mayTryAgain waits until a step that failed for a reason of apron's own is worth another try: a daemon that ended is back within a
// second, and the store answers.
func (r *run) mayTryAgain(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Second):
		return r.save(ctx, nil) == nil
	}
}

// limit returns the context of a step: it ends with the step's deadline, with that of the operation before the switch,
// and when the operation is to be given up.
func (r *run) limit(ctx context.Context, s step) (context.Context, context.CancelFunc) {
	deadline := r.deadlineOf(s)
	until, late := time.Now().Add(deadline), platform.Explain(context.DeadlineExceeded,
		"The step %q took longer than %s and was stopped.", s.name, deadline).Try(moreTime, nameOf(s.name))
	if !r.operation.Progress.HasSwitched && r.until.Before(until) {
		until, late = r.until, platform.Explain(context.DeadlineExceeded,
			"The operation took longer than %s in all and was stopped in the step %q.", r.deadlines[nameOf(r.operation.Type)], s.name).
			Try(moreTime, nameOf(r.operation.Type))
	}
	timed, cancelTimed := context.WithDeadlineCause(ctx, until, late)
	limited, cancel := context.WithCancelCause(timed)
	forget := func() bool { return true }
	if !s.isWhole {
		forget = context.AfterFunc(r.givenUp, func() { cancel(errCancelled) })
	}
	return limited, func() { forget(); cancel(nil); cancelTimed() }
}

const moreTime = "Start it again, or give it more time with `apron serve --deadline %s=DURATION`."

// deadlineOf is how long a step may take. Those that watch a clock of their own, to say more about what they waited for,
// have a margin over it.
func (r *run) deadlineOf(s step) time.Duration {
	const margin = time.Minute
	switch s.name {
	case stepDrain:
		return drainTimeout + margin
	case stepHealthCheck:
		return r.deadlines.HealthCheck() + margin
	default:
		return r.deadlines[nameOf(s.name)]
	}
}

// begin adds the record of the step that is about to run. A step that runs again after a crash keeps its place.
func (r *run) begin(name string) {
	for i := range r.operation.Steps {
		if r.operation.Steps[i].Name == name {
			r.operation.Steps = r.operation.Steps[:i+1]
			r.operation.Steps[i].State = platform.StepStateRunning
			r.operation.Steps[i].EndedAt = nil
			return
		}
	}
	r.operation.Steps = append(r.operation.Steps, platform.StepRecord{
		Name: name, State: platform.StepStateRunning, StartedAt: time.Now().UTC(),
	})
}

// finish records the outcome of the step that runs.
func (r *run) finish(detail string, err error) {
	ended := time.Now().UTC()
	record := &r.operation.Steps[len(r.operation.Steps)-1]
	record.EndedAt, record.Detail = &ended, detail
	record.State = platform.StepStateSucceeded
	if err != nil {
		record.State = platform.StepStateFailed
	}
}

// save writes the operation's record, and edits the service in the same transaction. A store that does not answer is
// asked again for as long as a lease holds, because giving up here would leave effects without a record.
func (r *run) save(ctx context.Context, edit func(*platform.Service)) error {
	r.operation.UpdatedAt = time.Now().UTC()
	var err error
	deadline, hasFailed := time.Now().Add(r.LeaseFor), false
	for wait := 10 * time.Millisecond; time.Now().Before(deadline); wait = min(2*wait, time.Second) {
		if err = r.store.SaveOperation(ctx, r.operation, edit); err == nil || !isTemporary(err) {
			break
		}
		hasFailed = true
		select {
		case <-ctx.Done():
			return interruption(ctx)
		case <-time.After(wait):
		}
	}
	if err != nil && ctx.Err() != nil {
		return interruption(ctx)
	}
	if hasFailed && errors.Is(err, store.ErrConflict) && r.isKept(ctx) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("save operation: %w", err)
	}
	return nil
}

// isKept says whether the store has the operation's end already: the answer to an earlier save may have been lost.
func (r *run) isKept(ctx context.Context) bool {
	stored, err := r.store.OperationByID(ctx, r.operation.ID)
	return err == nil && r.operation.Status.IsTerminal() && stored.Status == r.operation.Status && stored.LeaseTerm == r.operation.LeaseTerm
}

// interruption says why ctx ended: the lease was lost, or apron stops.
func interruption(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errLeaseLost) {
		return errLeaseLost
	}
	return errStopping
}
