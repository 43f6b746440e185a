package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// Supervisor keeps what runs equal to what should run: it replaces instances that died or stopped answering, follows the sizes that
// the Scaler decides, routes to new instances once they are healthy, adopts the running ones when apron starts, stops those that
// nobody wants, and removes what nobody owns.
//
// It looks at a service when something has happened to it: an instance ended, the size changed, an operation has ended. Services at
// rest cost nothing but a look at all of them, now and then, for what nobody has told.
type Supervisor struct {
	executor *Executor
	services Records
	log      *slog.Logger
	wake     chan struct{}
	workers  sync.WaitGroup
	// isStirred says that something has happened to a service since the last sweep.
	isStirred atomic.Bool
	// looks and starts bound what is done at a time.
	looks, starts chan struct{}

	mu     sync.Mutex // guards what follows
	states map[platform.ServiceID]*supervision
	// allAt is when all services are looked at next, and isPassing says that this is being done.
	allAt     time.Time
	isPassing bool
	// due is until when Run waits.
	due time.Time
}

// Records is what the Supervisor reads of the store.
type Records interface {
	store.Services
	OperationByID(ctx context.Context, id platform.OperationID) (platform.Operation, error)
}

const (
	// superviseEvery bounds how long goes unnoticed what no event told.
	superviseEvery = 10 * time.Minute
	// lookAgain is when a service is looked at again at which something could not be read or done.
	lookAgain = time.Second
	// stableAfter is how long without a death makes earlier failures forgotten.
	stableAfter = time.Minute
	// replaceTimeout is how long an instance may take until its process runs.
	replaceTimeout = 2 * time.Minute
	// drainTimeout is how long running requests may take to finish on an instance that leaves.
	drainTimeout = 120 * time.Second
	// maxLooks bounds the services that are looked at at a time.
	maxLooks = 16
)

// maxStarts bounds the instances that are started at a time. A start is work for a processor: of many that share one, none is ready before
// nearly all are, and the instances that answer meanwhile share it too.
var maxStarts = min(max(2*runtime.NumCPU(), 4), 16)

// NewSupervisor returns a Supervisor that works through executor.
func NewSupervisor(executor *Executor, services Records, log *slog.Logger) *Supervisor {
	return &Supervisor{
		executor: executor, services: services, log: log, wake: make(chan struct{}, 1),
		looks: make(chan struct{}, maxLooks), starts: make(chan struct{}, maxStarts), states: map[platform.ServiceID]*supervision{},
	}
}

// Wake makes the Supervisor look at services now; without any, at all of them.
func (s *Supervisor) Wake(services ...platform.ServiceID) {
	s.mu.Lock()
	if len(services) == 0 {
		s.allAt = time.Time{}
	}
	for _, id := range services {
		s.state(id).lookAt(time.Now())
	}
	s.mu.Unlock()
	s.poke()
}

// poke makes Run see what has changed.
func (s *Supervisor) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// state returns what is remembered of a service. The caller holds the lock.
func (s *Supervisor) state(id platform.ServiceID) *supervision {
	if s.states[id] == nil {
		s.states[id] = newSupervision()
	}
	return s.states[id]
}

// Run supervises until ctx ends, and returns after all its work has ended.
func (s *Supervisor) Run(ctx context.Context) error {
	defer s.workers.Wait()
	exits, err := s.executor.Backend.Exits(ctx)
	if err != nil {
		return fmt.Errorf("watch instances: %w", err)
	}
	s.workers.Go(func() { s.sweep(ctx) })
	if s.executor.Loads != nil {
		s.workers.Go(func() { s.followLoad(ctx) })
	}
	for {
		timer := time.NewTimer(time.Until(s.runOnce(ctx, time.Now())))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.wake:
		case id, ok := <-exits:
			if !ok {
				exits = nil
			} else {
				s.hasEnded(ctx, id)
			}
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// hasEnded makes the Supervisor look at the service of an instance that ended, unless it was to end. Without an id it looks at all.
func (s *Supervisor) hasEnded(ctx context.Context, id platform.InstanceID) {
	s.executor.ends.tell(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == "" {
		s.allAt = time.Time{}
		return
	}
	for _, state := range s.states {
		if state.isLeaving(id) {
			return
		}
		if state.knows(id) {
			state.ended[id] = 0
			state.lookAt(time.Now())
			return
		}
	}
	s.workers.Go(func() {
		instance, err := s.executor.Backend.Inspect(ctx, id)
		switch {
		case err == nil:
			s.Wake(instance.ServiceID)
		case !errors.Is(err, compute.ErrNotFound):
			s.Wake() // it may be any service's
		}
	})
}

// runOnce sets to work on everything that is due, and returns when something is due again.
func (s *Supervisor) runOnce(ctx context.Context, now time.Time) (next time.Time) {
	resized, next := s.executor.Scaler.Due(now)
	s.mu.Lock()
	defer func() { s.due = next; s.mu.Unlock() }()
	for _, id := range resized {
		s.state(id).lookAt(now)
	}
	if !s.isPassing && !now.Before(s.allAt) {
		s.isPassing, s.allAt = true, now.Add(superviseEvery)
		s.workers.Go(func() { s.pass(ctx) })
	}
	if !s.isPassing {
		next = sooner(next, s.allAt)
	}
	for id, state := range s.states {
		if !state.isLooking && !state.look.IsZero() && !now.Before(state.look) {
			state.isLooking, state.look = true, time.Time{}
			s.workers.Go(func() { s.lookAt(ctx, id, state) })
		}
		if !state.isLooking {
			next = sooner(next, state.look)
		}
		s.probe(ctx, now, id, state)
		s.sample(ctx, now, id, state)
		next = sooner(sooner(next, state.nextProbe()), state.sampleAt)
	}
	return sooner(next, now.Add(superviseEvery))
}

// pass looks once at every service that is serving or has instances.
func (s *Supervisor) pass(ctx context.Context) {
	err := s.lookAtAll(ctx)
	s.mu.Lock()
	s.isPassing = false
	if err != nil && ctx.Err() == nil {
		s.log.Error("supervise", "error", err)
		s.allAt = time.Now().Add(lookAgain)
	}
	s.mu.Unlock()
	s.poke()
}

func (s *Supervisor) lookAtAll(ctx context.Context) error {
	// Instances first, services second: see Observation.Instances.
	listed := time.Now()
	instances, err := s.executor.Backend.List(ctx)
	if err != nil {
		return fmt.Errorf("list instances: %w", err)
	}
	services, err := s.services.ListServices(ctx, store.ServicePage{ServingOnly: true})
	if err != nil {
		return fmt.Errorf("list services: %w", err)
	}
	byService := map[platform.ServiceID][]platform.Instance{}
	for _, instance := range instances {
		byService[instance.ServiceID] = append(byService[instance.ServiceID], instance)
	}
	known := map[platform.ServiceID]bool{}
	for _, service := range services {
		known[service.ID] = true
		s.supervise(ctx, listed, service, byService[service.ID])
	}
	for id, leftovers := range byService {
		if known[id] {
			continue
		}
		known[id] = true
		service, err := s.serviceByID(ctx, id)
		if err != nil {
			return err
		}
		s.supervise(ctx, listed, service, leftovers)
	}
	s.forget(known)
	return nil
}

// lookAt looks once at one service. What comes while it does is looked at afterwards.
func (s *Supervisor) lookAt(ctx context.Context, id platform.ServiceID, state *supervision) {
	defer func() {
		s.mu.Lock()
		state.isLooking = false
		s.mu.Unlock()
		s.poke()
	}()
	select {
	case s.looks <- struct{}{}:
		defer func() { <-s.looks }()
	case <-ctx.Done():
		return
	}
	s.isStirred.Store(true)
	listed := time.Now()
	instances, err := s.executor.Backend.List(ctx, id)
	var service platform.Service
	if err == nil {
		service, err = s.serviceByID(ctx, id)
	}
	if err != nil {
		s.fail(ctx, id, "look at a service", err)
		return
	}
	s.supervise(ctx, listed, service, instances)
}

// fail logs what could not be done for a service, and has it looked at again.
func (s *Supervisor) fail(ctx context.Context, id platform.ServiceID, what string, err error) {
	if ctx.Err() != nil {
		return
	}
	s.log.Error(what, "service", id, "error", err)
	s.mu.Lock()
	s.state(id).lookAt(time.Now().Add(lookAgain))
	s.mu.Unlock()
	s.poke()
}

// serviceByID reads a service. One that is not there any more is one that does not serve.
func (s *Supervisor) serviceByID(ctx context.Context, id platform.ServiceID) (platform.Service, error) {
	service, err := s.services.ServiceByID(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return service, fmt.Errorf("read service: %w", err)
	}
	service.ID = id
	return service, nil
}

// countFailure lengthens the wait before the service's next replacement.
func (s *Supervisor) countFailure(service platform.ServiceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, now := s.state(service), time.Now()
	if now.Sub(state.lastDeath) > stableAfter {
		state.failures = 0
	}
	state.failures++
	state.lastDeath = now
	state.startNotBefore = now.Add(Backoff(state.failures, rand.Float64()))
}

// forget drops what is remembered about services that neither serve nor have instances.
func (s *Supervisor) forget(known map[platform.ServiceID]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, state := range s.states {
		if !known[id] && !state.isLooking && state.look.IsZero() && len(state.admitting)+len(state.starting) == 0 {
			delete(s.states, id)
		}
	}
}
