package operation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// step is a unit of an operation. Its run is idempotent, asks by itself whether its work is done, and returns one
// short line for people.
type step struct {
	name     string
	deadline time.Duration
	run      func(ctx context.Context, r *run) (detail string, err error)
}

// The names of the steps, as people see them.
const (
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
)

// runStep runs one step under its deadline and records its beginning and its outcome.
func (r *run) runStep(ctx context.Context, s step) error {
	r.begin(s.name)
	if err := r.save(ctx, nil); err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, s.deadline,
		platform.Explain(context.DeadlineExceeded, "The step %q took longer than %s and was stopped.", s.name, s.deadline))
	defer cancel()
	detail, err := s.run(limited, r)
	if err != nil && ctx.Err() != nil {
		return interruption(ctx)
	}
	if err != nil && limited.Err() != nil && platform.AsExplained(err) == nil {
		err = context.Cause(limited)
	}
	ended := time.Now().UTC()
	record := &r.operation.Steps[len(r.operation.Steps)-1]
	record.EndedAt, record.Detail = &ended, detail
	record.State = platform.StepStateSucceeded
	if err != nil {
		record.State = platform.StepStateFailed
	}
	return err
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

// save writes the operation's record, and edits the service in the same transaction. A store that does not answer is
// asked again for a while, because giving up here would leave effects without a record.
func (r *run) save(ctx context.Context, edit func(*platform.Service)) error {
	r.operation.UpdatedAt = time.Now().UTC()
	var err error
	for wait := 10 * time.Millisecond; wait < 10*time.Second; wait *= 2 {
		if err = r.store.SaveOperation(ctx, r.operation, edit); err == nil || !isTemporary(err) {
			break
		}
		select {
		case <-ctx.Done():
			return interruption(ctx)
		case <-time.After(wait):
		}
	}
	if err != nil && ctx.Err() != nil {
		return interruption(ctx)
	}
	if err != nil {
		return fmt.Errorf("save operation: %w", err)
	}
	return nil
}

// interruption says why ctx ended: the lease was lost, or apron stops.
func interruption(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errLeaseLost) {
		return errLeaseLost
	}
	return errStopping
}
