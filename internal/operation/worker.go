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
	// leaseFor is how long a claim holds without renewal. It is renewed, and no longer trusted before it ends, each by a
	// third of that.
	leaseFor = 30 * time.Second
	// claimEvery bounds how long an operation waits when no wake-up came, as after a lease whose holder is gone.
	claimEvery = time.Second
	// restEvery is claimEvery while no operation runs here: what is asked for of this apron wakes the worker.
	restEvery = 5 * time.Second
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
	// LeaseFor is how long a claim holds without renewal; it is set before Run, or left as it is.
	LeaseFor time.Duration

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

	mu sync.Mutex // guards visits
	// visits are those of the operations that run here, the last one of each service.
	visits map[platform.ServiceID]*visit
}

// visit is one operation that runs. Those of a service come one after the other in a process, whatever the leases say.
type visit struct {
	operation platform.OperationID
	// giveUp ends the steps, lose the whole run, because somebody else has the lease.
	giveUp, lose func()
	// ended is closed when the run has returned.
	ended chan struct{}
	// before is the visit to the same service that may not have ended yet; nil when there is none.
	before *visit
}

// NewWorker returns a Worker that claims in the name of owner and lets so many builds run at a time. No two live workers
// may have the same owner.
func NewWorker(db store.Store, executor *deploy.Executor, supervisor *deploy.Supervisor, logs deploy.Logs, log *slog.Logger, owner string,
	deadlines Deadlines, builds int) *Worker {
	return &Worker{
		LeaseFor: leaseFor,
		store:    db, executor: executor, supervisor: supervisor, logs: logs, log: log, owner: owner, deadlines: deadlines,
		wake: make(chan struct{}, 1), running: make(chan struct{}, maxRunning), builds: newQueue(builds),
		visits: map[platform.ServiceID]*visit{},
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
		wait := restEvery
		if !isReleased || w.isAtWork() {
			wait = claimEvery
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-w.wake:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// isAtWork says whether an operation runs here.
func (w *Worker) isAtWork() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.visits) > 0
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
		until := time.Now().Add(w.LeaseFor)
		operation, err := w.store.ClaimOperation(ctx, w.owner, unleased, until)
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
		running, leave := w.enter(ctx, r)
		w.group.Go(func() {
			defer r.giveSlot()
			defer r.leaveQueue()
			defer leave()
			w.run(running, r, until)
		})
	}
}

// enter makes an operation the one that runs for its service in this process, until leave is called. Its context ends when
// somebody else has the lease.
func (w *Worker) enter(ctx context.Context, r *run) (running context.Context, leave func()) {
	running, cancel := context.WithCancelCause(ctx)
	givenUp, giveUp := context.WithCancel(context.WithoutCancel(ctx)) // stopping is no wish to cancel
	if r.operation.CancelAskedAt != nil {
		giveUp()
	}
	mine := &visit{operation: r.operation.ID, giveUp: giveUp, lose: func() { cancel(errLeaseLost) }, ended: make(chan struct{})}
	r.givenUp, r.visit = givenUp, mine
	w.mu.Lock()
	defer w.mu.Unlock()
	mine.before = w.visits[r.operation.ServiceID]
	w.visits[r.operation.ServiceID] = mine
	return running, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.visits[r.operation.ServiceID] == mine {
			delete(w.visits, r.operation.ServiceID)
		}
		cancel(nil)
		giveUp()
		close(mine.ended)
	}
}

// awaitBefore waits until nothing else runs for the operation's service in this process. One that was paused for long may be
// at an operation still of which another process has ended the lease.
func (v *visit) awaitBefore() {
	if v.before == nil {
		return
	}
	if v.before.operation == v.operation {
		v.before.lose()
	}
	<-v.before.ended // another operation has ended, and tidies up
	v.before = nil
}

// runsHere says whether this process is at work on an operation.
func (w *Worker) runsHere(id platform.OperationID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, each := range w.visits {
		if each.operation == id {
			return true
		}
	}
	return false
}

// cancelAsked gives up the operations of which somebody asked for the end. Their own goroutines do the rest.
func (w *Worker) cancelAsked(ctx context.Context) {
	ids, err := w.store.CancelsAsked(ctx, w.owner)
	if err != nil && ctx.Err() == nil {
		w.log.Error("look for operations to give up", "error", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, each := range w.visits {
		if slices.Contains(ids, each.operation) {
			each.giveUp()
		}
	}
}

// run runs one claimed operation to its end, or until ctx ends or the lease, which holds until then, is lost.
func (w *Worker) run(ctx context.Context, r *run, until time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	claimed := r.operation // as it is before anything of it changes
	var renewal sync.WaitGroup
	renewal.Go(func() { w.renew(ctx, r.visit.lose, claimed, until) })
	defer renewal.Wait()
	defer cancel()

	r.visit.awaitBefore()
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

// guard turns a panic into the end of its operation, so that one broken operation cannot stop the others, nor apron at each
// of its starts.
func (w *Worker) guard(ctx context.Context, r *run) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			r.log.Error("operation panicked", "reason", reason, "stack", string(debug.Stack()))
			err = r.giveWay(ctx, fmt.Errorf("panic: %v", reason))
		}
	}()
	return r.drive(ctx)
}

// renew prolongs the lease until ctx ends. It calls lose when the lease is lost, or may be before the store has answered.
func (w *Worker) renew(ctx context.Context, lose func(), operation platform.Operation, until time.Time) {
	ticker := time.NewTicker(w.LeaseFor / 3)
	defer ticker.Stop()
	trusted := func(until time.Time) time.Duration { return time.Until(until) - w.LeaseFor/3 }
	late := time.AfterFunc(trusted(until), lose)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		next := time.Now().Add(w.LeaseFor)
		err := w.store.RenewLease(ctx, operation.ID, operation.LeaseTerm, next)
		switch {
		case err == nil:
			late.Reset(trusted(next))
		case errors.Is(err, store.ErrConflict):
			lose()
			return
		}
	}
}
