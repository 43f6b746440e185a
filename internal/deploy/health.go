package deploy

import (
	"context"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// healthRecord is how one answering instance has done in its probes.
type healthRecord struct {
	next     time.Time
	failures int
}

// dueProbes returns the answering instances of the service that are to be probed now, and forgets the others' records.
func (s *Supervisor) dueProbes(now time.Time, state *supervision, service platform.Service, revision platform.Revision, seen Observation) []platform.Instance {
	if !service.IsServing {
		return nil
	}
	interval := time.Duration(revision.Configuration.HealthCheck.IntervalSeconds) * time.Second
	s.mu.Lock()
	defer s.mu.Unlock()
	records := make(map[platform.InstanceID]*healthRecord, len(seen.Routed))
	var due []platform.Instance
	for _, instance := range seen.Instances {
		if !seen.Routed[instance.ID] || instance.State != platform.InstanceStateRunning {
			continue
		}
		record := state.health[instance.ID]
		if record == nil {
			record = &healthRecord{next: now.Add(interval)}
		}
		records[instance.ID] = record
		if !now.Before(record.next) {
			record.next = now.Add(interval)
			due = append(due, instance)
		}
	}
	state.health = records
	return due
}

// probe asks each instance once, and takes away those that have failed UnhealthyThreshold times in a row. The next pass
// replaces them.
func (s *Supervisor) probe(ctx context.Context, state *supervision, service platform.Service, revision platform.Revision, due []platform.Instance) {
	check := revision.Configuration.HealthCheck
	var (
		probes sync.WaitGroup
		mu     sync.Mutex // guards sick
		sick   []platform.Instance
	)
	for _, instance := range due {
		probes.Go(func() {
			asking, cancel := context.WithTimeout(ctx, time.Duration(check.TimeoutSeconds)*time.Second)
			defer cancel()
			if isFrozen(instance) {
				return
			}
			err := s.executor.Prober.Probe(asking, instance.Address, check)
			if err != nil && isFrozen(instance) { // since
				return
			}
			if ctx.Err() != nil || !s.recordProbe(state, instance.ID, err, check.UnhealthyThreshold) {
				return
			}
			s.executor.Logs.Event(service.ID, "Instance %s failed its health check %d times in a row (%v). A new one takes its place.",
				instance.ID, check.UnhealthyThreshold, err)
			mu.Lock()
			defer mu.Unlock()
			sick = append(sick, instance)
		})
	}
	probes.Wait()
	if len(sick) == 0 {
		return
	}
	for range sick {
		s.countFailure(service.ID)
	}
	s.retire(ctx, state, service, sick, sickDrainTimeout)
	s.Wake()
}

// sickDrainTimeout is how long requests on a sick instance may take to finish: it may be busy rather than dead.
const sickDrainTimeout = 10 * time.Second

// recordProbe counts a probe's outcome and says whether the instance has failed too often.
func (s *Supervisor) recordProbe(state *supervision, id platform.InstanceID, err error, threshold int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	record := state.health[id]
	if record == nil {
		return false
	}
	if err == nil {
		record.failures = 0
		return false
	}
	record.failures++
	return record.failures >= threshold
}
