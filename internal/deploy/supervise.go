package deploy

import (
	"context"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// supervise plans for one service, by the instances that were listed at a time, and sets to work on what is to be done.
func (s *Supervisor) supervise(ctx context.Context, listed time.Time, service platform.Service, instances []platform.Instance) {
	var revision platform.Revision
	if service.IsServing {
		var err error
		if revision, err = s.executor.Store.RevisionByID(ctx, service.ActiveRevisionID); err != nil {
			s.fail(ctx, service.ID, "read the active revision", err)
			return
		}
	}
	var told string
	defer func() { s.executor.Scaler.tell(service.ID, told) }()
	s.mu.Lock()
	defer s.mu.Unlock()
	now, state := time.Now(), s.state(service.ID)
	if listed.Before(state.listed) {
		return
	}
	state.listed = listed
	seen := Observation{Service: service, Routed: map[platform.InstanceID]bool{}, StartNotBefore: state.startNotBefore, Starting: len(state.starting)}
	seen.Instances, seen.Admitting = state.staying(listed, instances)
	if route, ok := s.executor.Routes.Current(service.ID); ok && route.RevisionID == service.ActiveRevisionID {
		for _, endpoint := range route.Endpoints {
			seen.Routed[endpoint.InstanceID] = true
		}
	}
	if service.IsServing {
		seen.Size, told = s.executor.Scaler.Follow(now, service, revision, seen.population())
		seen.Frozen = s.executor.Scaler.Frozen(service.ID)
		s.executor.Routes.SetWakeable(service)
	} else {
		s.executor.Scaler.Forget(service.ID)
	}
	state.seen, state.revision, state.metric = seen, revision, ""
	if service.IsServing {
		state.metric = policyOf(service, revision).On
	}
	state.awaitEnds(now, seen.Instances)
	actions := Plan(now, seen)
	if actions.IsWaiting {
		state.lookAt(state.startNotBefore)
	}
	state.expectProbes(now)
	s.act(ctx, state, actions)
}

// act sets to work on a plan for one service. The caller holds the lock; nothing here waits.
func (s *Supervisor) act(ctx context.Context, state *supervision, actions Actions) {
	service, revision, hasNews := state.seen.Service, state.revision, false
	for _, instance := range actions.Bury {
		isNews := !state.told[instance.ID] // or its remains could not be removed
		hasNews = hasNews || isNews
		state.leaves(instance.ID)
		state.told[instance.ID] = true
		s.workers.Go(func() { s.bury(ctx, state, service, revision, instance, isNews) })
	}
	s.retire(ctx, state, service, actions.Retire, drainTimeout)
	if len(actions.Retire) > 0 {
		state.lookAt(time.Now()) // the Scaler goes by those that are left
	}
	for _, instance := range actions.Admit {
		state.admitting[instance.ID] = instance
		s.workers.Go(func() { s.admit(ctx, state, service, revision, instance) })
	}
	if hasNews {
		return // the look after that knows the backoff that these deaths lead to
	}
	for range actions.Start {
		id := platform.NewInstanceID()
		state.starting[id] = true
		s.workers.Go(func() { s.start(ctx, state, service, revision, id) })
	}
}

// bury takes an ended instance off the route, says how it ended, if that is news, and removes its remains.
func (s *Supervisor) bury(ctx context.Context, state *supervision, service platform.Service, revision platform.Revision, instance platform.Instance, isNews bool) {
	s.executor.Routes.Remove(service, instance.ID)
	if isNews {
		s.executor.Logs.Event(service.ID, "Instance %s ended. %s A new one takes its place.",
			instance.ID, ExitCause(instance.Exit, revision.Configuration.Instance.MemoryMiB))
		s.countFailure(service.ID)
		s.Wake(service.ID)
	}
	s.stopLeaving(ctx, state, service, []platform.InstanceID{instance.ID}, 0)
}

// retire takes instances off the route and lets them leave: it drains them for as long as that may take and stops them,
// and does not wait for it. The caller holds the lock.
func (s *Supervisor) retire(ctx context.Context, state *supervision, service platform.Service, instances []platform.Instance, drain time.Duration) {
	if len(instances) == 0 {
		return
	}
	ids := make([]platform.InstanceID, len(instances))
	for i, instance := range instances {
		ids[i] = instance.ID
		state.leaves(instance.ID)
		delete(state.health, instance.ID) // what leaves need not be well
	}
	s.executor.Routes.Remove(service, ids...)
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

// stopLeaving stops instances that are leaving. Those that do not stop are left to another look.
func (s *Supervisor) stopLeaving(ctx context.Context, state *supervision, service platform.Service, ids []platform.InstanceID, grace time.Duration) {
	err := s.executor.StopInstances(ctx, ids, grace)
	if err == nil || ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	for _, id := range ids {
		delete(state.leaving, id)
	}
	s.mu.Unlock()
	s.fail(ctx, service.ID, "stop instances", err)
}

// start starts one more instance of the active revision and lets it answer once it is healthy.
func (s *Supervisor) start(ctx context.Context, state *supervision, service platform.Service, revision platform.Revision, id platform.InstanceID) {
	instance, begun, err := s.startOne(ctx, service, revision, id)
	if err != nil && ctx.Err() == nil {
		s.executor.Logs.Event(service.ID, "A new instance could not be started: %v", err)
		s.countFailure(service.ID)
	}
	s.mu.Lock()
	delete(state.starting, id)
	if err == nil {
		state.admitting[id] = instance
	}
	s.mu.Unlock()
	if err != nil {
		s.fail(ctx, service.ID, "start an instance", err)
		return
	}
	if s.admit(ctx, state, service, revision, instance) {
		s.executor.Scaler.HasStarted(service.ID, time.Since(begun))
	}
}

// startOne starts an instance when it is its turn, and returns when that was.
func (s *Supervisor) startOne(ctx context.Context, service platform.Service, revision platform.Revision, id platform.InstanceID) (instance platform.Instance, begun time.Time, err error) {
	select {
	case s.starts <- struct{}{}:
		defer func() { <-s.starts }()
	case <-ctx.Done():
		return instance, begun, ctx.Err()
	}
	begun = time.Now()
	starting, cancel := context.WithTimeout(ctx, replaceTimeout)
	defer cancel()
	instance, err = s.executor.start(starting, id, service, revision)
	return instance, begun, err
}

// admit lets an instance that is being admitted answer once it is healthy, and stops one that does not become healthy.
func (s *Supervisor) admit(ctx context.Context, state *supervision, service platform.Service, revision platform.Revision, instance platform.Instance) (isAdmitted bool) {
	isAdmitted = s.awaitAdmission(ctx, service, revision, instance)
	s.mu.Lock()
	delete(state.admitting, instance.ID)
	if isAdmitted {
		state.admitted[instance.ID] = admission{instance, time.Now()}
		delete(state.told, instance.ID)
	} else {
		state.leaves(instance.ID)
		state.told[instance.ID] = true
	}
	s.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	s.Wake(service.ID)
	if !isAdmitted {
		s.stopLeaving(ctx, state, service, []platform.InstanceID{instance.ID}, 0)
	}
	return isAdmitted
}

// isWanted says whether the revision that a service had is still the one that answers for it: since then it may have been paused,
// deployed or deleted.
func (s *Supervisor) isWanted(service platform.Service) bool {
	route, ok := s.executor.Routes.Current(service.ID)
	return ok && route.State == platform.RouteStateServing && route.RevisionID == service.ActiveRevisionID
}

// awaitAdmission waits until the instance is healthy and routes to it; false when it did not become healthy, or ctx ended.
func (s *Supervisor) awaitAdmission(ctx context.Context, service platform.Service, revision platform.Revision, instance platform.Instance) bool {
	err := s.executor.awaitHealthy(ctx, service, revision, instance)
	if ctx.Err() != nil {
		return false
	}
	if err != nil && !s.isWanted(service) {
		return false // it was stopped with all others
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
