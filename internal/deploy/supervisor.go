package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// Supervisor keeps what runs equal to what should run: it replaces instances that died or stopped answering, routes to
// new ones once they are healthy, adopts the running ones when apron starts, stops those that nobody wants, and removes
// what nobody owns.
type Supervisor struct {
	executor *Executor
	services Records
	log      *slog.Logger
	wake     chan struct{}
	workers  sync.WaitGroup

	mu     sync.Mutex // guards states
	states map[platform.ServiceID]*supervision
}

// Records is what the Supervisor reads of the store.
type Records interface {
	store.Services
	OperationByID(ctx context.Context, id platform.OperationID) (platform.Operation, error)
}

// supervision is what the Supervisor remembers about one service. mu of the Supervisor guards it.
type supervision struct {
	// isBusy says that a goroutine is at work on the service.
	isBusy bool
	// failures counts replacements in a row that did not stay up.
	failures int
	// startNotBefore is when the next replacement may start.
	startNotBefore time.Time
	// lastDeath is when an instance ended last.
	lastDeath time.Time
	health    map[platform.InstanceID]*healthRecord
	// leaving are the instances that are drained and stopped now. That takes as long as their requests and their ends do,
	// and nothing else of the service waits for it.
	leaving map[platform.InstanceID]bool
}

const (
	// superviseEvery bounds how long a missed event goes unnoticed.
	superviseEvery = time.Second
	// stableAfter is how long without a death makes earlier failures forgotten.
	stableAfter = time.Minute
	// drainTimeout is how long running requests may take to finish on an instance that leaves.
	drainTimeout = 120 * time.Second
)

// NewSupervisor returns a Supervisor that works through executor.
func NewSupervisor(executor *Executor, services Records, log *slog.Logger) *Supervisor {
	return &Supervisor{
		executor: executor, services: services, log: log, wake: make(chan struct{}, 1),
		states: map[platform.ServiceID]*supervision{},
	}
}

// Wake makes the Supervisor look now.
func (s *Supervisor) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run supervises until ctx ends, and returns after all its work has ended.
func (s *Supervisor) Run(ctx context.Context) error {
	defer s.workers.Wait()
	exits, err := s.executor.Backend.Exits(ctx)
	if err != nil {
		return fmt.Errorf("watch instances: %w", err)
	}
	s.workers.Go(func() { s.sweep(ctx) })
	ticker := time.NewTicker(superviseEvery)
	defer ticker.Stop()
	for {
		if err := s.runOnce(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Error("supervise", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.wake:
		case _, ok := <-exits:
			if !ok {
				exits = nil
			}
		}
	}
}

// runOnce looks once at every service that is serving or has instances, and sets to work on those that need something.
func (s *Supervisor) runOnce(ctx context.Context, now time.Time) error {
	// Instances first, services second: see Observation.Instances.
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
	for _, service := range services {
		s.supervise(ctx, now, service, byService[service.ID])
		delete(byService, service.ID)
	}
	for id, leftovers := range byService {
		service, err := s.services.ServiceByID(ctx, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("read service: %w", err)
		}
		service.ID = id
		s.supervise(ctx, now, service, leftovers)
	}
	s.forgetExcept(services)
	return nil
}

// supervise plans for one service and starts a goroutine for what is to be done, unless one is at work on it already.
func (s *Supervisor) supervise(ctx context.Context, now time.Time, service platform.Service, instances []platform.Instance) {
	s.mu.Lock()
	state := s.states[service.ID]
	if state == nil {
		state = &supervision{health: map[platform.InstanceID]*healthRecord{}, leaving: map[platform.InstanceID]bool{}}
		s.states[service.ID] = state
	}
	isBusy, notBefore := state.isBusy, state.startNotBefore
	instances = state.staying(instances)
	s.mu.Unlock()
	if isBusy {
		return
	}
	seen := Observation{Service: service, Instances: instances, Routed: map[platform.InstanceID]bool{}, StartNotBefore: notBefore}
	if route, ok := s.executor.Routes.Current(service.ID); ok && route.RevisionID == service.ActiveRevisionID {
		for _, endpoint := range route.Endpoints {
			seen.Routed[endpoint.InstanceID] = true
		}
	}
	var revision platform.Revision
	if service.IsServing {
		var err error
		if revision, err = s.executor.Store.RevisionByID(ctx, service.ActiveRevisionID); err != nil {
			s.log.Error("read the active revision", "service", service.ID, "error", err)
			return
		}
		seen.Size = max(revision.Configuration.AutoScaling.MinSize, 1)
	}
	actions := Plan(now, seen)
	due := s.dueProbes(now, state, service, revision, seen)
	if len(actions.Bury)+len(actions.Retire)+len(actions.Admit)+actions.Start+len(due) == 0 {
		return
	}
	s.mu.Lock()
	state.isBusy = true
	s.mu.Unlock()
	s.workers.Go(func() {
		s.act(ctx, state, service, revision, actions)
		s.probe(ctx, state, service, revision, due)
		s.mu.Lock()
		state.isBusy = false
		s.mu.Unlock()
		if actions.Start > 0 || len(actions.Bury) > 0 {
			s.Wake()
		}
	})
}

// staying returns the instances that are not leaving, and forgets those that have left. The caller holds the lock.
func (s *supervision) staying(instances []platform.Instance) []platform.Instance {
	var staying []platform.Instance
	leaving := map[platform.InstanceID]bool{}
	for _, instance := range instances {
		if s.leaving[instance.ID] {
			leaving[instance.ID] = true
		} else {
			staying = append(staying, instance)
		}
	}
	s.leaving = leaving
	return staying
}

// act carries out a plan for one service.
func (s *Supervisor) act(ctx context.Context, state *supervision, service platform.Service, revision platform.Revision, actions Actions) {
	for _, instance := range actions.Bury {
		s.bury(ctx, service, revision, instance)
	}
	s.retire(ctx, state, service, actions.Retire, drainTimeout)
	var admissions sync.WaitGroup
	for _, instance := range actions.Admit {
		admissions.Go(func() { s.admit(ctx, service, revision, instance) })
	}
	if len(actions.Bury) == 0 { // the next pass knows the backoff that these deaths lead to
		for range actions.Start {
			admissions.Go(func() { s.replace(ctx, service, revision) })
		}
	}
	admissions.Wait()
}

// bury takes an ended instance off the route, says how it ended and removes its remains.
func (s *Supervisor) bury(ctx context.Context, service platform.Service, revision platform.Revision, instance platform.Instance) {
	s.executor.Routes.Remove(service, instance.ID)
	s.executor.Logs.Event(service.ID, "Instance %s ended. %s A new one takes its place.",
		instance.ID, ExitCause(instance.Exit, revision.Configuration.Instance.MemoryMiB))
	s.countFailure(service.ID)
	if err := s.executor.Backend.Stop(ctx, instance.ID, 0); err != nil {
		s.log.Error("remove an ended instance", "service", service.ID, "instance", instance.ID, "error", err)
	}
}

// retire takes instances off the route and lets them leave: it drains them for as long as that may take and stops them,
// and does not wait for it.
func (s *Supervisor) retire(ctx context.Context, state *supervision, service platform.Service, instances []platform.Instance, drain time.Duration) {
	if len(instances) == 0 {
		return
	}
	ids := make([]platform.InstanceID, len(instances))
	for i, instance := range instances {
		ids[i] = instance.ID
		s.executor.Routes.Remove(service, instance.ID)
	}
	s.mu.Lock()
	for _, id := range ids {
		state.leaving[id] = true
	}
	s.mu.Unlock()
	s.workers.Go(func() {
		draining, cancel := context.WithTimeout(ctx, drain)
		defer cancel()
		s.executor.Router.Drain(draining, ids)
		if ctx.Err() != nil {
			return // apron stops; the next start finds them again
		}
		if err := s.executor.StopInstances(ctx, ids, StopGrace); err != nil && ctx.Err() == nil {
			s.log.Error("stop instances", "service", service.ID, "error", err)
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, id := range ids {
				delete(state.leaving, id) // the next pass tries again
			}
		}
	})
}

// replace starts one more instance of the active revision and lets it answer once it is healthy.
func (s *Supervisor) replace(ctx context.Context, service platform.Service, revision platform.Revision) {
	instance, err := s.executor.start(ctx, platform.NewInstanceID(), service, revision)
	if err != nil {
		if ctx.Err() == nil {
			s.executor.Logs.Event(service.ID, "A new instance could not be started: %v", err)
			s.log.Error("start a replacement", "service", service.ID, "error", err)
			s.countFailure(service.ID)
		}
		return
	}
	s.admit(ctx, service, revision, instance)
}

// admit waits until a running instance is healthy and lets it answer; one that does not become healthy is stopped.
func (s *Supervisor) admit(ctx context.Context, service platform.Service, revision platform.Revision, instance platform.Instance) {
	err := s.executor.awaitHealthy(ctx, service, revision, instance)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		endpoint := platform.Endpoint{InstanceID: instance.ID, Address: instance.Address}
		if s.executor.Routes.Add(service, endpoint) {
			s.executor.Logs.Event(service.ID, "Instance %s is healthy and receives traffic.", instance.ID)
		}
		return
	}
	s.executor.Logs.Event(service.ID, "Instance %s did not become healthy. %v A new one takes its place.", instance.ID, err)
	s.countFailure(service.ID)
	if err := s.executor.Backend.Stop(ctx, instance.ID, 0); err != nil {
		s.log.Error("stop an unhealthy instance", "service", service.ID, "instance", instance.ID, "error", err)
	}
}

// countFailure lengthens the wait before the service's next replacement.
func (s *Supervisor) countFailure(service platform.ServiceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, now := s.states[service], time.Now()
	if state == nil {
		return
	}
	if now.Sub(state.lastDeath) > stableAfter {
		state.failures = 0
	}
	state.failures++
	state.lastDeath = now
	state.startNotBefore = now.Add(Backoff(state.failures, rand.Float64()))
}

// forgetExcept drops what is remembered about services that are gone.
func (s *Supervisor) forgetExcept(services []platform.Service) {
	known := make(map[platform.ServiceID]bool, len(services))
	for _, service := range services {
		known[service.ID] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, state := range s.states {
		if !known[id] && !state.isBusy && len(state.leaving) == 0 {
			delete(s.states, id)
		}
	}
}
