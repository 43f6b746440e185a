package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// run is one operation being run by the holder of its lease.
type run struct {
	*Worker
	operation platform.Operation
	service   platform.Service
	revision  platform.Revision
	instances []platform.Instance
	log       *slog.Logger
	// givenUp ends when somebody asked for the operation's end.
	givenUp context.Context
	// place is in the queue of builds; nil when there is nothing to build.
	place *place
	// hasSlot says that the operation counts among those that run.
	hasSlot bool
	// until is when the operation must have reached its switch.
	until time.Time
}

// errCancelled is the cause of an operation that was given up because somebody asked for it.
var errCancelled = platform.Explain(nil, "The operation was cancelled.")

// maxClaims bounds how often an operation is taken up again: one whose work ends apron itself must end too.
const maxClaims = 100

// drive runs the operation to its end. An error means that it has not ended: the lease was lost, apron stops, or the
// store does not answer.
func (r *run) drive(ctx context.Context) (err error) {
	if r.service, err = r.store.ServiceByID(ctx, r.operation.ServiceID); err != nil {
		return fmt.Errorf("read the service: %w", err)
	}
	if r.operation.Status == platform.OperationStatusRollbackInProgress {
		return r.rollBack(ctx)
	}
	if r.hasNeverServed() && r.operation.Type != platform.OperationDeleteService {
		r.executor.Routes.Starting(r.service)
	}
	if err := r.awaitTurn(ctx); err != nil {
		return err
	}
	if r.operation.Status == platform.OperationStatusPending {
		r.operation.Status = platform.OperationStatusInProgress
		r.announce()
	}
	r.until = time.Now().Add(r.deadlines[nameOf(r.operation.Type)])
	road := roadFor(r.operation, r.service)
	if !r.operation.Progress.HasSwitched {
		if r.operation.LeaseTerm > maxClaims {
			return r.failBetween(ctx, platform.Explain(nil, "The operation was begun %d times and never came to its end, because apron itself ended each time.", maxClaims))
		}
		for _, s := range road.before {
			if r.givenUp.Err() != nil {
				return r.failBetween(ctx, errCancelled)
			}
			if err := r.runStep(ctx, s); err != nil {
				if isInterruption(err) {
					return err
				}
				return r.fail(ctx, err)
			}
			if s.name == stepBuild {
				r.leaveQueue()
			}
		}
	}
	for _, s := range road.after {
		if err := r.runStep(ctx, s); err != nil {
			if isInterruption(err) {
				return err
			}
			if r.operation.Type == platform.OperationDeleteService {
				return r.fail(ctx, err)
			}
			// Traffic is where it should be; the Supervisor tidies up.
			r.log.Error("a step after the switch failed", "step", s.name, "error", err)
		}
	}
	return r.succeed(ctx)
}

func isInterruption(err error) bool {
	return errors.Is(err, errStopping) || errors.Is(err, errLeaseLost) || errors.Is(err, store.ErrConflict)
}

// isTemporary says whether a failed write to the store is worth another try.
func isTemporary(err error) bool {
	return !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound)
}

// succeed ends the operation well.
func (r *run) succeed(ctx context.Context) error {
	status := platform.ServiceStatusRunning
	switch r.operation.Type {
	case platform.OperationPauseService:
		status = platform.ServiceStatusPaused
	case platform.OperationDeleteService:
		status = platform.ServiceStatusDeleted
	}
	r.end(platform.OperationStatusSucceeded)
	if err := r.save(ctx, func(service *platform.Service) { settle(service, status, *r.operation.EndedAt) }); err != nil {
		return err
	}
	r.report(status)
	r.tidy(ctx)
	return nil
}

// failBetween is fail without a step that runs. It saves that the operation has begun, which a step would have done: there
// is no way from PENDING to a rollback.
func (r *run) failBetween(ctx context.Context, cause error) error {
	if err := r.save(ctx, nil); err != nil {
		return err
	}
	return r.fail(ctx, cause)
}

// fail keeps the first cause and goes back to how the service was, or as far back as there is something to go back to: a
// service that was never created has failed again.
func (r *run) fail(ctx context.Context, cause error) error {
	r.log.Warn("operation failed", "error", cause)
	r.leaveQueue()
	r.operation.Failure = failureFrom(cause, r.operation.Steps, r.output())
	r.logs.Event(r.service.ID, "Deployment with ID : %s failed. Failure reason : %s", r.operation.ID, r.operation.Failure.Cause)
	r.writeDeployment(r.operation.Failure.Cause)
	before := r.operation.Previous
	if before != nil && before.Status != platform.ServiceStatusCreateFailed && r.operation.Type != platform.OperationDeleteService {
		r.operation.Status = platform.OperationStatusRollbackInProgress
		if err := r.save(ctx, nil); err != nil {
			return err
		}
		return r.rollBack(ctx)
	}
	status := platform.ServiceStatusCreateFailed
	if r.operation.Type == platform.OperationDeleteService {
		status = platform.ServiceStatusDeleteFailed
	} else if err := r.undo(ctx); isInterruption(err) {
		return err
	}
	r.unrouteFailed()
	r.end(platform.OperationStatusFailed)
	err := r.save(ctx, func(service *platform.Service) {
		if before != nil {
			service.Configuration = before.Configuration
		}
		settle(service, status, *r.operation.EndedAt)
	})
	if err != nil {
		return err
	}
	r.report(status)
	r.tidy(ctx)
	return nil
}

// rollBack takes the new instances away and restores the service. The route was never touched, so that the service is
// well also when the instances cannot be removed now; the Supervisor goes on trying.
func (r *run) rollBack(ctx context.Context) error {
	outcome := platform.OperationStatusRollbackSucceeded
	if err := r.undo(ctx); isInterruption(err) {
		return err
	} else if err != nil {
		outcome = platform.OperationStatusRollbackFailed
	}
	r.unrouteFailed()
	r.end(outcome)
	previous := r.operation.Previous
	err := r.save(ctx, func(service *platform.Service) {
		service.Configuration = previous.Configuration
		settle(service, previous.Status, *r.operation.EndedAt)
	})
	if err != nil {
		return err
	}
	r.report(previous.Status)
	r.tidy(ctx)
	return nil
}

// hasNeverServed says whether no revision of the service was ever ready.
func (r *run) hasNeverServed() bool { return r.service.ActiveRevisionID == "" }

// unrouteFailed takes the route away that said that the service is starting, once it is not any more.
func (r *run) unrouteFailed() {
	if r.hasNeverServed() {
		r.executor.Routes.Forget(r.service)
	}
}

// undo is removeNew, asked for again until it succeeds or its time is over.
func (r *run) undo(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, r.deadlines[rollback])
	defer cancel()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := r.removeNew(limited)
		if err == nil {
			return nil
		}
		r.log.Error("remove what the operation had started", "error", err)
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return interruption(ctx)
			}
			r.logs.Event(r.service.ID, "Instances of the new revision could not be removed within %s; apron goes on trying.", r.deadlines[rollback])
			return err
		case <-time.After(wait):
		}
	}
}

// removeNew stops the instances that the operation started and discards the revision that it made.
func (r *run) removeNew(ctx context.Context) error {
	instances, err := r.executor.Unwanted(ctx, r.service.ID, r.servingRevision())
	if err != nil {
		return err
	}
	if err := r.executor.StopInstances(ctx, instances, 0); err != nil {
		return err
	}
	revision := platform.RevisionIDFor(r.operation.ID)
	if err := r.executor.Discard(ctx, r.service.ID, revision); err != nil {
		r.log.Error("discard the new revision", "error", err)
	}
	return nil
}

// servingRevision is the revision whose instances a rollback leaves alone; empty when none serves.
func (r *run) servingRevision() platform.RevisionID {
	if r.service.IsServing {
		return r.service.ActiveRevisionID
	}
	return ""
}

// end sets a terminal status. Progress stays for people to see.
func (r *run) end(status platform.OperationStatus) {
	now := time.Now().UTC()
	r.operation.Status, r.operation.EndedAt = status, &now
}

// settle gives the service the status that an ended operation leaves it in.
func settle(service *platform.Service, status platform.ServiceStatus, now time.Time) {
	service.Status, service.UpdatedAt = status, now
	if status == platform.ServiceStatusDeleted {
		service.DeletedAt = &now
	}
}

// tidy removes what the ended operation no longer needs. Nothing depends on it; what fails here is found again.
func (r *run) tidy(ctx context.Context) {
	errs := []error{r.executor.Cleanup(r.operation.ID), r.store.PruneOperations(ctx, r.service.ID, keepOperations)}
	if service, err := r.store.ServiceByID(ctx, r.service.ID); err == nil {
		errs = append(errs, r.executor.PruneRevisions(ctx, service, deploy.KeepRevisions))
	}
	if r.operation.Type == platform.OperationDeleteService {
		errs = append(errs, r.store.PruneServices(ctx, time.Now().Add(-deletedFor)))
	}
	if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
		r.log.Error("tidy up after the operation", "error", err)
	}
	r.supervisor.Wake()
}

// failureFrom makes the record of a cause. What nobody explained is told as an internal error; its text is in apron's
// own log.
func failureFrom(cause error, steps []platform.StepRecord, output []string) *platform.Failure {
	failure := &platform.Failure{}
	if len(steps) > 0 {
		failure.Step = steps[len(steps)-1].Name
	}
	if explained := platform.AsExplained(cause); explained != nil {
		failure.Cause, failure.Evidence = explained.Cause, slices.Clone(explained.Evidence)
	} else {
		failure.Cause = fmt.Sprintf("The step %q failed for a reason that is apron's own; its log has the details. Start the operation again.", failure.Step)
	}
	if len(failure.Evidence) == 0 && !errors.Is(cause, errCancelled) {
		failure.Evidence = output
	}
	return failure
}
