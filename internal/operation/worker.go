package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

const (
	// leaseFor is how long a claim holds without renewal.
	leaseFor = 30 * time.Second
	// renewEvery leaves two more tries before a lease ends.
	renewEvery = 10 * time.Second
	// claimEvery bounds how long an operation waits when no wake-up came, as after a lease whose holder is gone.
	claimEvery = time.Second
	// maxRunning bounds the operations that run at a time; the others wait as PENDING. Those that wait for their build
	// are not among them: there is one for each service at most.
	maxRunning = 32
	// deletedFor is how long a deleted service can still be described.
	deletedFor = 24 * time.Hour
	// keepOperations is how many ended operations of a service are remembered.
	keepOperations = 1000
)

var (
	// errLeaseLost is why an operation is left alone: somebody else runs it now.
	errLeaseLost = errors.New("the lease was lost")
	// errStopping is why an operation is left as it is: apron stops, and the next start goes on.
	errStopping = errors.New("apron is stopping")
)

// Worker claims operations and runs them.
type Worker struct {
	store      store.Store
	executor   *deploy.Executor
	supervisor *deploy.Supervisor
	logs       deploy.Logs
	log        *slog.Logger
	owner      string
	deadlines  Deadlines
	wake       chan struct{}
	running    chan struct{}
	builds     *queue
	group      sync.WaitGroup
	watch      watch // of the goroutine that claims

	mu sync.Mutex // guards giveUp
	// giveUp ends the steps of an operation that runs here.
	giveUp map[platform.OperationID]context.CancelFunc
}

// NewWorker returns a Worker that claims in the name of owner and lets so many builds run at a time. No two live workers
// may have the same owner.
func NewWorker(db store.Store, executor *deploy.Executor, supervisor *deploy.Supervisor, logs deploy.Logs, log *slog.Logger, owner string,
	deadlines Deadlines, builds int) *Worker {
	return &Worker{
		store: db, executor: executor, supervisor: supervisor, logs: logs, log: log, owner: owner, deadlines: deadlines,
		wake: make(chan struct{}, 1), running: make(chan struct{}, maxRunning), builds: newQueue(builds),
		giveUp: map[platform.OperationID]context.CancelFunc{},
	}
}

// Wake makes the worker look now for operations that wait or are to be given up.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run claims and runs operations until ctx ends, and returns after all of them have stopped. What this owner had claimed
// before a crash is taken up at once.
func (w *Worker) Run(ctx context.Context) error {
	defer w.group.Wait()
	ticker := time.NewTicker(claimEvery)
	defer ticker.Stop()
	for isReleased := false; ; {
		if !isReleased { // before the first claim, or what this process has claimed itself would be released
			isReleased = w.releaseLeases(ctx)
		}
		if isReleased {
			w.startWaiting(ctx)
			w.endLeases(ctx)
			w.runOnce(ctx)
			w.cancelAsked(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-w.wake:
		}
	}
}

// releaseLeases ends the leases of before. A store that does not answer is asked again.
func (w *Worker) releaseLeases(ctx context.Context) (isReleased bool) {
	err := w.store.ReleaseLeases(ctx, w.owner)
	if err != nil && ctx.Err() == nil {
		w.log.Error("release the leases of before", "error", err)
	}
	return err == nil
}

// startWaiting begins the deployments that services wait for and allow now.
func (w *Worker) startWaiting(ctx context.Context) {
	services, err := w.store.ListServices(ctx, store.ServicePage{WaitingOnly: true})
	if err != nil && ctx.Err() == nil {
		w.log.Error("look for deployments that wait", "error", err)
	}
	const kind = platform.OperationStartDeployment
	for _, service := range services {
		if !slices.Contains(allowedStatuses[kind], service.Status) {
			continue
		}
		_, _, err := w.store.StartOperation(ctx, newOperation(service.ID, kind, time.Now()), allowedStatuses[kind], stillWaits)
		if err != nil && !errors.Is(err, store.ErrConflict) && ctx.Err() == nil {
			w.log.Error("start a deployment that waits", "service", service.ID, "error", err)
		}
	}
}

// stillWaits refuses a start that somebody else was faster with.
func stillWaits(service *platform.Service) error {
	if service.WaitingTrigger == "" {
		return store.ErrConflict
	}
	return nil
}

// runOnce claims all operations that wait, as far as there is room, and sets them running. They join the queue of builds
// here, one after the other, so that its order is that of their beginnings.
func (w *Worker) runOnce(ctx context.Context) {
	for {
		select {
		case w.running <- struct{}{}:
		default:
			return // Wake comes when one ends
		}
		operation, err := w.store.ClaimOperation(ctx, w.owner, unleased, time.Now().Add(leaseFor))
		if err != nil {
			<-w.running
			if !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
				w.log.Error("claim an operation", "error", err)
			}
			return
		}
		r := &run{Worker: w, operation: operation, hasSlot: true}
		r.log = w.log.With("service", operation.ServiceID, "operation", operation.ID, "type", operation.Type)
		builds, err := w.hasToBuild(ctx, operation)
		if err != nil { // its lease is ended in a while, and the next claim goes on
			<-w.running
			r.log.Error("look whether an operation has to build", "error", err)
			return
		}
		if builds {
			r.place = w.builds.join()
		}
		forget := w.takeUp(ctx, r)
		w.group.Go(func() {
			defer r.giveSlot()
			defer r.leaveQueue()
			defer forget()
			w.run(ctx, r)
		})
	}
}

// takeUp notes that an operation runs here, until forget is called.
func (w *Worker) takeUp(ctx context.Context, r *run) (forget func()) {
	givenUp, giveUp := context.WithCancel(context.WithoutCancel(ctx)) // stopping is no wish to cancel
	if r.operation.CancelAskedAt != nil {
		giveUp()
	}
	r.givenUp = givenUp
	w.mu.Lock()
	defer w.mu.Unlock()
	w.giveUp[r.operation.ID] = giveUp
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.giveUp, r.operation.ID)
		giveUp()
	}
}

// cancelAsked gives up the operations of which somebody asked for the end. Their own goroutines do the rest.
func (w *Worker) cancelAsked(ctx context.Context) {
	ids, err := w.store.CancelsAsked(ctx, w.owner)
	if err != nil && ctx.Err() == nil {
		w.log.Error("look for operations to give up", "error", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if giveUp, isRunning := w.giveUp[id]; isRunning {
			giveUp()
		}
	}
}

// run runs one claimed operation to its end, or until ctx ends or the lease is lost.
func (w *Worker) run(ctx context.Context, r *run) {
	operation := r.operation
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var renewal sync.WaitGroup
	renewal.Go(func() { w.renew(ctx, cancel, operation) })
	defer renewal.Wait()
	defer cancel(nil)

	err := w.guard(ctx, r)
	switch {
	case err == nil:
	case errors.Is(err, errStopping), errors.Is(err, errLeaseLost), errors.Is(err, store.ErrConflict):
		r.log.Info("operation left for later", "reason", err)
	default:
		// Its record could not be written: its lease is ended in a while, and the next claim goes on.
		r.log.Error("operation interrupted", "error", err)
	}
}

// guard turns a panic into a failed operation, so that one broken operation cannot stop the others, nor apron at each
// of its starts.
func (w *Worker) guard(ctx context.Context, r *run) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			r.log.Error("operation panicked", "reason", reason, "stack", string(debug.Stack()))
			err = r.fail(ctx, fmt.Errorf("panic: %v", reason))
		}
	}()
	return r.drive(ctx)
}

// renew prolongs the lease until ctx ends; when the lease is lost, it ends the operation's context.
func (w *Worker) renew(ctx context.Context, cancel context.CancelCauseFunc, operation platform.Operation) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	until := time.Now().Add(leaseFor)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		next := time.Now().Add(leaseFor)
		err := w.store.RenewLease(ctx, operation.ID, operation.LeaseTerm, next)
		switch {
		case err == nil:
			until = next
		case errors.Is(err, store.ErrConflict), time.Now().After(until.Add(-renewEvery)):
			cancel(errLeaseLost)
			return
		}
	}
}
