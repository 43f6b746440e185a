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
	// admitting are the instances that are waited for until they are healthy, and leaving those that are drained and
	// stopped. That takes as long as an app needs to start, and as its requests and its end do, and nothing else of the
	// service waits for it.
	admitting map[platform.InstanceID]platform.Instance
	leaving   map[platform.InstanceID]bool
}

func newSupervision() *supervision {
	return &supervision{
		health:    map[platform.InstanceID]*healthRecord{},
		admitting: map[platform.InstanceID]platform.Instance{}, leaving: map[platform.InstanceID]bool{},
	}
}

const (
	// superviseEvery bounds how long a missed event goes unnoticed.
	superviseEvery = time.Second
	// stableAfter is how long without a death makes earlier failures forgotten.
	stableAfter = time.Minute
	// replaceTimeout is how long an instance may take until its process runs.
	replaceTimeout = 2 * time.Minute
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
	s.forget(services, byService)
	return nil
}

// supervise plans for one service and starts a goroutine for what is to be done, unless one is at work on it already.
func (s *Supervisor) supervise(ctx context.Context, now time.Time, service platform.Service, instances []platform.Instance) {
	s.mu.Lock()
	state := s.states[service.ID]
	if state == nil {
		state = newSupervision()
		s.states[service.ID] = state
	}
	isBusy, notBefore := state.isBusy, state.startNotBefore
	instances, admitting := state.staying(instances)
	s.mu.Unlock()
	if isBusy {
		return
	}
	seen := Observation{
		Service: service, Instances: instances, Admitting: admitting,
		Routed: map[platform.InstanceID]bool{}, StartNotBefore: notBefore,
	}
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

// staying returns the instances that are not leaving, with those that were started since they were listed, and which of
// them are being admitted. It forgets those that have left. The caller holds the lock.
func (s *supervision) staying(instances []platform.Instance) (staying []platform.Instance, admitting map[platform.InstanceID]bool) {
	listed, leaving := map[platform.InstanceID]bool{}, map[platform.InstanceID]bool{}
	for _, instance := range instances {
		listed[instance.ID] = true
		if s.leaving[instance.ID] {
			leaving[instance.ID] = true
		} else {
			staying = append(staying, instance)
		}
	}
	s.leaving = leaving
	admitting = make(map[platform.InstanceID]bool, len(s.admitting))
	for id, instance := range s.admitting {
		admitting[id] = true
		if !listed[id] {
			staying = append(staying, instance)
		}
	}
	return staying, admitting
}

// act carries out a plan for one service.
func (s *Supervisor) act(ctx context.Context, state *supervision, service platform.Service, revision platform.Revision, actions Actions) {
	for _, instance := range actions.Bury {
		s.bury(ctx, state, service, revision, instance)
	}
	s.retire(ctx, state, service, actions.Retire, drainTimeout)
	for _, instance := range actions.Admit {
		s.admit(ctx, state, service, revision, instance)
	}
	if len(actions.Bury) > 0 {
		return // the next pass knows the backoff that these deaths lead to
	}
	var starts sync.WaitGroup
	for range actions.Start {
		starts.Go(func() { s.replace(ctx, state, service, revision) })
	}
	starts.Wait()
}

// bury takes an ended instance off the route, says how it ended and removes its remains, for which nobody waits.
func (s *Supervisor) bury(ctx context.Context, state *supervision, service platform.Service, revision platform.Revision, instance platform.Instance) {
	s.executor.Routes.Remove(service, instance.ID)
	s.executor.Logs.Event(service.ID, "Instance %s ended. %s A new one takes its place.",
		instance.ID, ExitCause(instance.Exit, revision.Configuration.Instance.MemoryMiB))
	s.countFailure(service.ID)
	ids := []platform.InstanceID{instance.ID}
	s.leave(state, ids)
	s.workers.Go(func() { s.stopLeaving(ctx, state, service, ids, 0) })
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
	s.leave(state, ids)
	s.workers.Go(func() {
		draining, cancel := context.WithTimeout(ctx, drain)
		defer cancel()
		s.executor.Router.Drain(draining, ids)
		if ctx.Err() != nil {
			return // apron stops; the next start finds them again
		}
		s.stopLeaving(ctx, state, service, ids, StopGrace)
	})
}

// leave makes the passes to come count the instances no more.
func (s *Supervisor) leave(state *supervision, ids []platform.InstanceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		state.leaving[id] = true
	}
}

// stopLeaving stops instances that are leaving. Those that do not stop are left to the next pass.
func (s *Supervisor) stopLeaving(ctx context.Context, state *supervision, service platform.Service, ids []platform.InstanceID, grace time.Duration) {
	err := s.executor.StopInstances(ctx, ids, grace)
	if err == nil || ctx.Err() != nil {
		return
	}
	s.log.Error("stop instances", "service", service.ID, "error", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(state.leaving, id)
	}
}

// replace starts one more instance of the active revision and lets it answer once it is healthy.
func (s *Supervisor) replace(ctx context.Context, state *supervision, service platform.Service, revision platform.Revision) {
	starting, cancel := context.WithTimeout(ctx, replaceTimeout)
	defer cancel()
	instance, err := s.executor.start(starting, platform.NewInstanceID(), service, revision)
	if err != nil {
		if ctx.Err() == nil {
			s.executor.Logs.Event(service.ID, "A new instance could not be started: %v", err)
			s.log.Error("start a replacement", "service", service.ID, "error", err)
			s.countFailure(service.ID)
		}
		return
	}
	s.admit(ctx, state, service, revision, instance)
}

// admit lets a running instance answer once it is healthy, and stops one that does not become healthy. It does not wait
// for that.
func (s *Supervisor) admit(ctx context.Context, state *supervision, service platform.Service, revision platform.Revision, instance platform.Instance) {
	s.mu.Lock()
	state.admitting[instance.ID] = instance
	s.mu.Unlock()
	s.workers.Go(func() {
		isAdmitted := s.awaitAdmission(ctx, service, revision, instance)
		s.mu.Lock()
		delete(state.admitting, instance.ID)
		if !isAdmitted {
			state.leaving[instance.ID] = true
		}
		s.mu.Unlock()
		if isAdmitted || ctx.Err() != nil {
			return
		}
		s.stopLeaving(ctx, state, service, []platform.InstanceID{instance.ID}, 0)
		s.Wake()
	})
}

// awaitAdmission waits until the instance is healthy and routes to it; false when it did not become healthy, or ctx ended.
func (s *Supervisor) awaitAdmission(ctx context.Context, service platform.Service, revision platform.Revision, instance platform.Instance) bool {
	err := s.executor.awaitHealthy(ctx, service, revision, instance)
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		s.executor.Logs.Event(service.ID, "Instance %s did not become healthy. %v A new one takes its place.", instance.ID, err)
		s.countFailure(service.ID)
		return false
	}
	if s.executor.Routes.Add(service, endpointOf(instance)) {
		s.executor.Logs.Event(service.ID, "Instance %s is healthy and receives traffic.", instance.ID)
	}
	return true
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

// forget drops what is remembered about services that neither serve nor have instances.
func (s *Supervisor) forget(serving []platform.Service, leftovers map[platform.ServiceID][]platform.Instance) {
	known := make(map[platform.ServiceID]bool, len(serving)+len(leftovers))
	for _, service := range serving {
		known[service.ID] = true
	}
	for id := range leftovers {
		known[id] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, state := range s.states {
		if !known[id] && !state.isBusy && len(state.admitting) == 0 {
			delete(s.states, id)
		}
	}
}
