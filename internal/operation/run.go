package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/apron-run/apron/internal/failpoint"
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
	// visit is what the worker knows of it.
	visit *visit
	// place is in the queue of builds; nil when there is nothing to build.
	place *place
	// hasSlot says that the operation counts among those that run.
	hasSlot bool
	// until is when the operation must have reached its switch.
	until time.Time
}

// errCancelled is the cause of an operation that was given up because somebody asked for it.
var errCancelled = platform.Explain(nil, "The operation was cancelled.").Try("Start it again when it is wanted.")

// maxClaims bounds how often an operation is taken up again on its way to the switch: one whose work ends apron itself must
// end too. With twice as many, what is left to do after the switch, or on the way back, is left to the Supervisor.
const maxClaims = 100

// drive runs the operation to its end. An error means that it has not ended: the lease was lost, apron stops, or the
// store does not answer.
func (r *run) drive(ctx context.Context) (err error) {
	failpoint.Pass(r.operation.Type, failpoint.Claim, failpoint.AfterRecord)
	if r.service, err = r.store.ServiceByID(ctx, r.operation.ServiceID); err != nil {
		return fmt.Errorf("read the service: %w", err)
	}
	if r.operation.Failure != nil {
		return r.goBack(ctx)
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
	hadSwitched := r.operation.Progress.HasSwitched
	if !r.operation.Progress.HasSwitched {
		if r.operation.LeaseTerm > maxClaims {
			return r.failBetween(ctx, errWornOut)
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
	if hadSwitched {
		if err := r.routeAgain(ctx); err != nil && !r.isWornOut() {
			return err
		}
	}
	for _, s := range road.after {
		if r.isWornOut() {
			return r.giveWay(ctx, errWornOut)
		}
		if err := r.runStep(ctx, s); err != nil {
			if isInterruption(err) {
				return err
			}
			if r.operation.Type == platform.OperationDeleteService && !errors.Is(err, errCancelled) {
				return r.fail(ctx, err)
			}
			// Traffic is where it should be; the Supervisor tidies up.
			r.log.Error("a step after the switch failed", "step", s.name, "error", err)
		}
	}
	return r.succeed(ctx)
}

// errWornOut is the cause of an operation that was taken up too often.
var errWornOut = platform.Explain(nil, "The operation was begun %d times and never came to its end, because apron itself ended each time.", maxClaims).
	Try("Look into serve.log of apron's data directory for what ended it, and start the operation again.")

// isWornOut says whether also what needs no success was tried too often.
func (r *run) isWornOut() bool { return r.operation.LeaseTerm > 2*maxClaims }

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
	r.end(platform.OperationStatusSucceeded, status)
	if err := r.save(ctx, func(service *platform.Service) { settle(service, status, *r.operation.EndedAt) }); err != nil {
		return err
	}
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

// giveWay ends an operation that cannot go on, wherever it is. After the switch traffic is where it should be, and the
// Supervisor tidies up; only of a deletion something would stay that nobody looks for.
func (r *run) giveWay(ctx context.Context, cause error) error {
	switch {
	case r.operation.Status.IsTerminal():
		return nil
	case r.operation.Progress.HasSwitched && r.operation.Type != platform.OperationDeleteService:
		return r.succeed(ctx)
	}
	return r.fail(ctx, cause)
}

// fail keeps the first cause and goes back to how the service was, or as far back as there is something to go back to: a
// service that was never created has failed again. The record comes first: once something is taken away, nobody may go
// forward again.
func (r *run) fail(ctx context.Context, cause error) error {
	r.log.Warn("operation failed", "error", cause)
	r.leaveQueue()
	cause = r.executor.Disk.Explain(cause)
	if n := len(r.operation.Steps); n > 0 && r.operation.Steps[n-1].State == platform.StepStateRunning {
		r.finish("", cause) // it was cut short: by the end of apron, or by a panic
	}
	r.operation.Failure = failureFrom(cause, r.operation, r.output())
	r.reportFailure(cause)
	if r.mayRollBack() {
		r.operation.Status = platform.OperationStatusRollbackInProgress
	}
	if !r.operation.Progress.HasSwitched {
		r.begin(r.wayBack())
	}
	if err := r.save(ctx, nil); err != nil {
		return err
	}
	return r.goBack(ctx)
}

// hasNeverServed says whether no revision of the service was ever ready.
func (r *run) hasNeverServed() bool { return r.service.ActiveRevisionID == "" }

// unrouteFailed takes the route away that said that the service is starting, once it is not any more.
func (r *run) unrouteFailed() {
	if r.hasNeverServed() {
		r.executor.Routes.Forget(r.service)
	}
}

// end sets a terminal status and tells it, with the one that the service gets. Progress stays for people to see.
func (r *run) end(outcome platform.OperationStatus, status platform.ServiceStatus) {
	now := time.Now().UTC()
	r.operation.Status, r.operation.EndedAt = outcome, &now
	r.report(status)
	failpoint.Pass(r.operation.Type, failpoint.End, failpoint.Before)
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
	failpoint.Pass(r.operation.Type, failpoint.End, failpoint.AfterRecord)
	errs := []error{r.executor.Cleanup(r.operation.ID), r.store.PruneOperations(ctx, r.service.ID, keepOperations)}
	if service, err := r.store.ServiceByID(ctx, r.service.ID); err == nil {
		errs = append(errs, r.executor.PruneRevisions(ctx, service))
	}
	if r.operation.Type == platform.OperationDeleteService {
		errs = append(errs, r.store.PruneServices(ctx, time.Now().Add(-deletedFor)))
	}
	if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
		r.log.Error("tidy up after the operation", "error", err)
	}
	failpoint.Pass(r.operation.Type, failpoint.Tidy, failpoint.AfterEffect)
	r.supervisor.Wake(r.service.ID)
}
