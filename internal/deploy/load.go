package deploy

import (
	"context"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
)

const (
	// watchAgain is how soon the load is asked for again after the data plane was lost.
	watchAgain = 100 * time.Millisecond
	// sampleEvery is how often what instances use is measured, of the services that scale on it.
	sampleEvery = 5 * time.Second
)

// followLoad takes what the data plane tells until ctx ends.
func (s *Supervisor) followLoad(ctx context.Context) {
	for isTold := false; ctx.Err() == nil; {
		err := s.executor.Loads.WatchLoad(ctx, func(report platform.LoadReport) { isTold = false; s.takeLoad(report) })
		if ctx.Err() != nil {
			return
		}
		if !isTold { // the loop that watches over the process tells more
			s.log.Warn("the data plane tells no load; sizes stay as they are", "error", err)
			isTold = true
		}
		s.executor.Scaler.Lost()
		s.mu.Lock()
		for _, state := range s.states {
			state.thaw(time.Now())
		}
		s.mu.Unlock()
		s.poke()
		select {
		case <-ctx.Done():
		case <-time.After(watchAgain):
		}
	}
}

// takeLoad has services looked at whose sizes have changed, and instances probed that were thawed.
func (s *Supervisor) takeLoad(report platform.LoadReport) {
	now := time.Now()
	resized, thawed, next := s.executor.Scaler.Report(now, report)
	s.mu.Lock()
	isDue := len(resized)+len(thawed) > 0 || !next.IsZero() && next.Before(s.due)
	for service, instances := range thawed {
		s.state(service).thaw(now, instances...)
	}
	for _, service := range resized {
		s.state(service).lookAt(now)
	}
	s.mu.Unlock()
	if isDue {
		s.poke()
	}
}

// usage is what the instances of a service had used when they were measured last.
type usage struct {
	at  time.Time
	cpu map[platform.InstanceID]time.Duration
}

// sample measures what a service's instances use, if its size follows that and it is time. The caller holds the lock.
func (s *Supervisor) sample(ctx context.Context, now time.Time, service platform.ServiceID, state *supervision) {
	metric := state.metric
	if metric != platform.ScaleOnCPU && metric != platform.ScaleOnMemory {
		state.sampleAt = time.Time{}
		return
	}
	if now.Before(state.sampleAt) {
		return
	}
	state.sampleAt = now.Add(sampleEvery)
	var instances []platform.Instance
	for _, instance := range state.seen.Instances {
		if state.seen.Routed[instance.ID] {
			instances = append(instances, instance)
		}
	}
	size := state.revision.Configuration.Instance
	s.workers.Go(func() {
		uses := s.measure(ctx, instances)
		s.mu.Lock()
		before := state.used
		state.used = usage{now, map[platform.InstanceID]time.Duration{}}
		for id, one := range uses {
			state.used.cpu[id] = one.CPU
		}
		s.mu.Unlock()
		percent := memoryPercent(uses, size)
		if metric == platform.ScaleOnCPU {
			percent = cpuPercent(before, now, uses, size)
		}
		if s.executor.Scaler.Uses(now, service, percent) {
			s.Wake(service)
		}
	})
}

func (s *Supervisor) measure(ctx context.Context, instances []platform.Instance) map[platform.InstanceID]compute.Usage {
	var (
		group sync.WaitGroup
		mu    sync.Mutex // guards uses
		uses  = map[platform.InstanceID]compute.Usage{}
	)
	for _, instance := range instances {
		group.Go(func() {
			one, err := s.executor.Backend.Usage(ctx, instance.ID)
			if err != nil {
				return // it has just ended
			}
			mu.Lock()
			defer mu.Unlock()
			uses[instance.ID] = one
		})
	}
	group.Wait()
	return uses
}

// cpuPercent is how much of their processors the instances have used since they were measured before, on average; below zero when
// none was.
func cpuPercent(before usage, now time.Time, uses map[platform.InstanceID]compute.Usage, size platform.InstanceConfiguration) float64 {
	elapsed := now.Sub(before.at).Seconds() * float64(size.CPUUnits) / 1024
	var used float64
	n := 0
	for id, one := range uses {
		if earlier, ok := before.cpu[id]; ok {
			used += (one.CPU - earlier).Seconds()
			n++
		}
	}
	if n == 0 || elapsed <= 0 {
		return -1
	}
	return 100 * used / elapsed / float64(n)
}

// memoryPercent is how much of their memory the instances use on average; below zero when there is none.
func memoryPercent(uses map[platform.InstanceID]compute.Usage, size platform.InstanceConfiguration) float64 {
	if len(uses) == 0 || size.MemoryMiB == 0 {
		return -1
	}
	var used int64
	for _, one := range uses {
		used += one.MemoryBytes
	}
	return 100 * float64(used) / float64(len(uses)) / float64(int64(size.MemoryMiB)<<20)
}
