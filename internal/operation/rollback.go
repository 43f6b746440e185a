package operation

import (
	"context"
	"fmt"
	"time"

	"github.com/apron-run/apron/internal/failpoint"
	"github.com/apron-run/apron/internal/platform"
)

// rollBack takes the new instances away and restores the service. The route was never touched, so that the service is
// well also when the instances cannot be removed now; the Supervisor goes on trying.
func (r *run) rollBack(ctx context.Context) error {
	r.logs.Event(r.service.ID, "Rolling back : what the operation with ID : %s had started is removed.", r.operation.ID)
	outcome := platform.OperationStatusRollbackSucceeded
	if err := r.undo(ctx, stepRollBack); isInterruption(err) {
		return err
	} else if err != nil {
		outcome = platform.OperationStatusRollbackFailed
	}
	r.unrouteFailed()
	previous, word := r.operation.Previous, "completed successfully"
	if outcome == platform.OperationStatusRollbackFailed {
		word = "failed"
	}
	r.logs.Event(r.service.ID, "Rollback %s : %s.", word, r.operation.Steps[len(r.operation.Steps)-1].Detail)
	r.end(outcome, previous.Status)
	err := r.save(ctx, func(service *platform.Service) {
		service.Configuration = previous.Configuration
		settle(service, previous.Status, *r.operation.EndedAt)
	})
	if err != nil {
		return err
	}
	r.tidy(ctx)
	return nil
}

// undo is removeNew as a step of the name, asked for again until it succeeds or its time is over.
func (r *run) undo(ctx context.Context, name string) error {
	r.begin(name)
	limited, cancel := context.WithTimeout(ctx, r.deadlines[rollback])
	defer cancel()
	removed := 0
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		found, err := r.removeNew(limited)
		removed = max(removed, found)
		if err == nil {
			what := "nothing had started"
			if removed > 0 {
				what = plural(removed, "instance") + " removed"
			}
			r.finish(what+"; "+r.remains(limited), nil)
			return nil
		}
		r.log.Error("remove what the operation had started", "error", err)
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return interruption(ctx)
			}
			r.logs.Event(r.service.ID, "Instances of the new revision could not be removed within %s; apron goes on trying.", r.deadlines[rollback])
			r.finish("new instances could not be removed; "+r.remains(limited), err)
			return err
		case <-time.After(wait):
		}
	}
}

// remains says what the service is after a rollback.
func (r *run) remains(ctx context.Context) string {
	switch {
	case r.service.IsServing:
		if revision, err := r.store.RevisionByID(ctx, r.service.ActiveRevisionID); err == nil {
			return fmt.Sprintf("revision %d goes on serving", revision.Number)
		}
		return "the revision before goes on serving"
	case r.operation.Previous != nil && r.operation.Previous.Status == platform.ServiceStatusPaused:
		return "the service is paused as before"
	}
	return "no revision serves"
}

// removeNew stops the instances that the operation started, discards the revision that it made, and says how many
// instances there were.
func (r *run) removeNew(ctx context.Context) (int, error) {
	failpoint.Pass(r.operation.Type, failpoint.Rollback, failpoint.Before)
	instances, err := r.executor.Unwanted(ctx, r.service.ID, r.servingRevision())
	if err != nil {
		return 0, err
	}
	if err := r.executor.StopInstances(ctx, instances, 0); err != nil {
		return len(instances), err
	}
	if err := r.executor.Discard(ctx, r.operation); err != nil {
		r.log.Error("discard the new revision", "error", err)
	}
	failpoint.Pass(r.operation.Type, failpoint.Rollback, failpoint.AfterEffect)
	return len(instances), nil
}

// servingRevision is the revision whose instances a rollback leaves alone; empty when none serves.
func (r *run) servingRevision() platform.RevisionID {
	if r.service.IsServing {
		return r.service.ActiveRevisionID
	}
	return ""
}
