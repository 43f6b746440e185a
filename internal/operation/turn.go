package operation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// hasToBuild says whether the operation's road has a build that is not done yet.
func (w *Worker) hasToBuild(ctx context.Context, operation platform.Operation) (bool, error) {
	if operation.Failure != nil || operation.Progress.HasSwitched || operation.CancelAskedAt != nil {
		return false, nil
	}
	service, err := w.store.ServiceByID(ctx, operation.ServiceID)
	if err != nil {
		return false, fmt.Errorf("read the service: %w", err)
	}
	if !slices.ContainsFunc(roadFor(operation, service).before, func(s step) bool { return s.name == stepBuild }) {
		return false, nil
	}
	isBuilt, err := w.executor.HasRevision(ctx, operation)
	return !isBuilt, err
}

// awaitTurn returns when the operation may build, or is to be given up. Until then it does not count among those that run,
// so that others pass it, and none of its deadlines has begun. One that nobody has begun stays PENDING.
func (r *run) awaitTurn(ctx context.Context) error {
	if r.place == nil || r.place.hasTurn() {
		return nil
	}
	r.giveSlot()
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(r.givenUp, stop)()
	r.begin(stepQueue)
	record := &r.operation.Steps[len(r.operation.Steps)-1]
	var failure error
	isTurn := r.place.wait(waiting, func(number int) {
		r.logs.Event(r.service.ID, "Waiting for other builds; place %d in the queue.", number)
		record.Detail = fmt.Sprintf("place %d in the queue of builds", number)
		if failure = r.save(ctx, nil); failure != nil {
			stop()
		}
	})
	switch {
	case failure != nil:
		return failure
	case ctx.Err() != nil:
		return interruption(ctx)
	}
	ended := time.Now().UTC()
	record.EndedAt, record.State, record.Detail = &ended, platform.StepStateSucceeded, ""
	if !isTurn {
		record.State = platform.StepStateFailed
		return nil
	}
	return r.takeSlot(ctx)
}

// takeSlot counts the operation among those that run, and reads its service anew: its tags may have changed.
func (r *run) takeSlot(ctx context.Context) (err error) {
	select {
	case r.running <- struct{}{}:
		r.hasSlot = true
	case <-ctx.Done():
		return interruption(ctx)
	}
	if r.service, err = r.store.ServiceByID(ctx, r.operation.ServiceID); err != nil {
		return fmt.Errorf("read the service: %w", err)
	}
	return nil
}

// giveSlot lets another operation run.
func (r *run) giveSlot() {
	if r.hasSlot {
		r.hasSlot = false
		<-r.running
		r.Wake()
	}
}

// leaveQueue lets the next build begin. Twice is safe.
func (r *run) leaveQueue() {
	if r.place != nil {
		r.place.leave()
	}
}
