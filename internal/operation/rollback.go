package operation

import (
	"context"
	"fmt"
	"time"

	"github.com/apron-run/apron/internal/failpoint"
	"github.com/apron-run/apron/internal/platform"
)

// mayRollBack says whether there is something to go back to.
func (r *run) mayRollBack() bool {
	before := r.operation.Previous
	isNew := before == nil || before.Status == platform.ServiceStatusCreateFailed && r.operation.Type != platform.OperationDeleteService
	return !isNew && !r.operation.Progress.HasSwitched
}

// wayBack is the name of the step that a failed operation ends with.
func (r *run) wayBack() string {
	if r.operation.Status == platform.OperationStatusRollbackInProgress {
		return stepRollBack
	}
	return stepCleanUp
}

// goBack takes the new instances away and ends an operation that has failed. A rollback restores the service. Its route was
// never touched, so that the service is well also when the instances cannot be removed now; the Supervisor goes on trying.
func (r *run) goBack(ctx context.Context) error {
	isRollback := r.operation.Status == platform.OperationStatusRollbackInProgress
	if isRollback {
		r.logs.Event(r.service.ID, "Rolling back : what the operation with ID : %s had started is removed.", r.operation.ID)
	}
	var undone error
	if !r.operation.Progress.HasSwitched {
		if undone = r.undo(ctx, r.wayBack()); isInterruption(undone) {
			return undone
		}
	}
	r.unrouteFailed()
	outcome, status, previous := platform.OperationStatusFailed, platform.ServiceStatusCreateFailed, r.operation.Previous
	switch {
	case isRollback:
		outcome, status = r.reportRollback(undone), previous.Status
	case r.operation.Type == platform.OperationDeleteService:
		status = platform.ServiceStatusDeleteFailed
	}
	r.end(outcome, status)
	err := r.save(ctx, func(service *platform.Service) {
		if previous != nil {
			service.Configuration = previous.Configuration
		}
		settle(service, status, *r.operation.EndedAt)
	})
	if err != nil {
		return err
	}
	r.tidy(ctx)
	return nil
}

// reportRollback tells how a rollback ended, and returns the status that stands for it.
func (r *run) reportRollback(undone error) platform.OperationStatus {
	outcome, word := platform.OperationStatusRollbackSucceeded, "completed successfully"
	if undone != nil {
		outcome, word = platform.OperationStatusRollbackFailed, "failed"
	}
	r.logs.Event(r.service.ID, "Rollback %s : %s.", word, r.operation.Steps[len(r.operation.Steps)-1].Detail)
	return outcome
}

// undo is removeNew as a step of the name, asked for again until it succeeds or its time is over.
func (r *run) undo(ctx context.Context, name string) error {
	const notRemoved = "new instances could not be removed; "
	r.begin(name)
	if r.isWornOut() {
		r.finish(notRemoved+r.remains(ctx), errWornOut)
		return errWornOut
	}
	limited, cancel := context.WithTimeout(ctx, r.deadlines[rollback])
	defer cancel()
	removed := 0
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		found, err := r.removeNew(limited)
		removed = max(removed, found)
		switch {
		case err == nil:
			what := "nothing had started"
			if removed > 0 {
				what = plural(removed, "instance") + " removed"
			}
			r.finish(what+"; "+r.remains(limited), nil)
			return nil
		case isInterruption(err) && limited.Err() == nil:
			return err
		}
		r.log.Error("remove what the operation had started", "error", err)
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return interruption(ctx)
			}
			r.logs.Event(r.service.ID, "Instances of the new revision could not be removed within %s; apron goes on trying.", r.deadlines[rollback])
			r.finish(notRemoved+r.remains(ctx), err)
			return limited.Err()
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
	instances, err := r.own(ctx)
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

// every lists all of the service's instances, and then makes sure of the lease: whoever slept before it listed them would list, and stop,
// those of the operations that came after this one.
func (r *run) every(ctx context.Context) ([]platform.InstanceID, error) {
	ids, err := r.executor.Unwanted(ctx, r.service.ID, "")
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	return ids, r.save(ctx, nil)
}

// own lists, as every, the instances that the operation has started. Where a revision serves, others may be of one before it, with requests that
// the Supervisor lets them finish; where none serves, all of the service are to go.
func (r *run) own(ctx context.Context) ([]platform.InstanceID, error) {
	if !r.service.IsServing {
		return r.every(ctx)
	}
	ids, err := r.executor.Started(ctx, r.service.ID, platform.RevisionIDFor(r.operation.ID))
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	return ids, r.save(ctx, nil)
}

// servingRevision is the revision that serves, whose instances stay; empty when none does.
func (r *run) servingRevision() platform.RevisionID {
	if r.service.IsServing {
		return r.service.ActiveRevisionID
	}
	return ""
}
