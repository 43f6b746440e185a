package deploy

import (
	"context"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// healthRecord is how one answering instance has done in its probes.
type healthRecord struct {
	next     time.Time
	failures int
	// isProbing says that it is being asked. isFrozen spares it until it is thawed: it could not answer.
	isProbing, isFrozen bool
}

// sickDrainTimeout is how long requests on a sick instance may take to finish: it may be busy rather than dead.
const sickDrainTimeout = 10 * time.Second

// expectProbes makes the instances that answer be probed, and forgets the others' records.
func (s *supervision) expectProbes(now time.Time) {
	records := map[platform.InstanceID]*healthRecord{}
	for _, instance := range s.seen.Instances {
		if !s.seen.Service.IsServing || !s.seen.Routed[instance.ID] || instance.State == platform.InstanceStateExited || s.isLeaving(instance.ID) {
			continue
		}
		record := s.health[instance.ID]
		if record == nil {
			record = &healthRecord{next: now.Add(s.interval())}
		}
		records[instance.ID] = record
	}
	s.health = records
}

func (s *supervision) interval() time.Duration {
	return time.Duration(s.revision.Configuration.HealthCheck.IntervalSeconds) * time.Second
}

// nextProbe is when the next instance is to be probed; zero when none is.
func (s *supervision) nextProbe() (next time.Time) {
	for _, record := range s.health {
		if !record.isProbing && !record.isFrozen {
			next = sooner(next, record.next)
		}
	}
	return next
}

// thaw has instances probed again that are not frozen any more; all without any.
func (s *supervision) thaw(now time.Time, instances ...platform.InstanceID) {
	for _, id := range instances {
		if record := s.health[id]; record != nil {
			record.isFrozen, record.next = false, now
		}
	}
	if len(instances) == 0 {
		for _, record := range s.health {
			record.isFrozen = false
		}
	}
}

// probe asks the instances of a service that are due, and does not wait for their answers. The caller holds the lock.
func (s *Supervisor) probe(ctx context.Context, now time.Time, service platform.ServiceID, state *supervision) {
	var frozen map[platform.InstanceID]bool
	of, revision := state.seen.Service, state.revision
	for _, instance := range state.seen.Instances {
		record := state.health[instance.ID]
		if record == nil || record.isProbing || record.isFrozen || now.Before(record.next) {
			continue
		}
		if frozen == nil {
			frozen = s.executor.Scaler.Frozen(service)
		}
		if record.isFrozen = frozen[instance.ID]; record.isFrozen {
			continue
		}
		record.isProbing, record.next = true, now.Add(state.interval())
		s.workers.Go(func() { s.probeOne(ctx, state, record, instance, of, revision) })
	}
}

// probeOne asks one instance once, and takes it away when it has failed UnhealthyThreshold times in a row.
func (s *Supervisor) probeOne(ctx context.Context, state *supervision, record *healthRecord, instance platform.Instance, service platform.Service, revision platform.Revision) {
	check := revision.Configuration.HealthCheck
	asking, cancel := context.WithTimeout(ctx, time.Duration(check.TimeoutSeconds)*time.Second)
	defer cancel()
	var err error
	isSpared := isFrozen(instance)
	if !isSpared {
		err = s.executor.Prober.Probe(asking, instance.Address, check)
		isSpared = err != nil && isFrozen(instance) // since
	}
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	record.isProbing = false
	switch {
	case isSpared:
	case err == nil:
		record.failures = 0
	default:
		record.failures++
	}
	isSick := err != nil && !isSpared && record.failures >= check.UnhealthyThreshold && state.health[instance.ID] == record
	if isSick {
		delete(state.health, instance.ID)
		state.told[instance.ID] = true
		s.retire(ctx, state, service, []platform.Instance{instance}, sickDrainTimeout)
	}
	s.mu.Unlock()
	if !isSick {
		s.poke()
		return
	}
	s.executor.Logs.Event(service.ID, "Instance %s failed its health check %d times in a row (%v). A new one takes its place.",
		instance.ID, check.UnhealthyThreshold, err)
	s.countFailure(service.ID)
	s.Wake(service.ID)
}
