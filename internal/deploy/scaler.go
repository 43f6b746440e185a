package deploy

import (
	"slices"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/autoscale"
	"github.com/apron-run/apron/internal/platform"
)

// Scaler knows how many instances each service should have. It takes what the data plane tells of their load, has autoscale decide
// in that moment, and remembers the size: the Supervisor follows it, and deployments begin with it. What it does not know yet it takes
// from what runs, so that a restart of apron changes no size, and takes nothing away before it has seen a quiet time itself.
type Scaler struct {
	logs Logs
	// began is what steady counts from.
	began time.Time

	mu       sync.Mutex // guards what follows
	services map[platform.ServiceID]*scaled
	// isFed says that somebody tells the load; nothing is decided without that.
	isFed bool
}

// scaled is what is remembered of one service that serves.
type scaled struct {
	platform.Scale
	memory   autoscale.Scaler
	policy   autoscale.Policy
	revision platform.RevisionID
	// ready instances answer; startTime is how long one took to.
	ready     int
	startTime time.Duration
	// usage is what those that were measured used in percent, below zero when it is not known.
	usage    float64
	measured int
	// next is when to decide again though nothing is told; zero when that would change nothing.
	next   time.Time
	events scaleEvents
}

// NewScaler returns a Scaler that knows no service, and tells its decisions to logs.
func NewScaler(logs Logs) *Scaler {
	return &Scaler{logs: logs, began: time.Now(), services: map[platform.ServiceID]*scaled{}}
}

// maxReportAge is how old a report is taken to be at most when it comes: what it says of its age beyond that is of a clock that was set.
const maxReportAge = 5 * time.Second

// steady is a time by a clock that nobody sets. What is remembered of loads is compared by it: with a clock that was set back by an hour
// nothing would be scaled in for an hour.
func (s *Scaler) steady(now time.Time) time.Time { return s.began.Add(now.Sub(s.began)) }

// population is what runs of a service's active revision.
type population struct {
	// all counts those that have ended, too; ready those that answer requests.
	all, ready int
}

// Follow takes what a service is like now, and returns how many instances of its active revision should run. A service, or a
// revision of it, that is new to the Scaler has at least the size that it runs with. What told says is for the event log.
func (s *Scaler) Follow(now time.Time, service platform.Service, revision platform.Revision, runs population) (size int, told string) {
	policy := policyOf(service, revision)
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.services[service.ID]
	if one == nil {
		one = &scaled{usage: -1}
		s.services[service.ID] = one
	}
	if one.policy.On != policy.On || one.revision != revision.ID {
		one.usage = -1 // it was of something else
	}
	one.policy = policy
	one.Min, one.Max = boundsOf(policy)
	if one.revision != revision.ID {
		one.revision = revision.ID
		one.Size = min(max(one.Size, runs.all, one.Min), one.Max)
		s.begin(now, one)
	}
	one.ready = runs.ready
	told = s.decide(now, one)
	return one.Size, told
}

// SizeFor is how many instances a deployment of revision begins with: as many as the service has. One that sleeps, or has none yet,
// begins with the fewest, but with one at least, which proves that the revision is well.
func (s *Scaler) SizeFor(service platform.Service, revision platform.Revision) int {
	least, most := boundsOf(policyOf(service, revision))
	size := 0
	s.mu.Lock()
	if one := s.services[service.ID]; one != nil && service.IsServing {
		size = one.Size
	}
	s.mu.Unlock()
	return min(max(size, least, 1), most)
}

// Forget drops what is remembered of a service that does not serve any more.
func (s *Scaler) Forget(service platform.ServiceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.services, service)
}

// Of returns the size of a service and how it came about. One that does not serve, or that nobody has looked at yet, has the size 0
// and the bounds of its own configuration.
func (s *Scaler) Of(service platform.Service) (scale platform.Scale) {
	scale.Min, scale.Max = boundsOf(policyOf(service, platform.Revision{Configuration: service.Configuration}))
	s.edit(service.ID, func(one *scaled) {
		scale = one.Scale
		scale.Load.Frozen = slices.Clone(scale.Load.Frozen)
	})
	return scale
}

// Report takes what the data plane tells. It returns which sizes have changed by that, which instances were thawed, and when one of
// these services is Due; zero when none is.
func (s *Scaler) Report(now time.Time, report platform.LoadReport) (resized []platform.ServiceID, thawed map[platform.ServiceID][]platform.InstanceID, next time.Time) {
	thawed, told := map[platform.ServiceID][]platform.InstanceID{}, map[platform.ServiceID]string{}
	at := now.Add(-min(max(now.Sub(report.At), 0), maxReportAge))
	s.mu.Lock()
	if !s.isFed { // what is told afterwards is only what changes
		s.isFed = true
		for id, one := range s.services {
			s.begin(now, one)
			told[id] = s.decide(now, one)
			next = sooner(next, one.next)
		}
	}
	for _, load := range report.Services {
		one := s.services[load.ServiceID]
		if one == nil {
			continue // nothing of it is to run
		}
		for _, id := range one.Load.Frozen {
			if !slices.Contains(load.Frozen, id) {
				thawed[load.ServiceID] = append(thawed[load.ServiceID], id)
			}
		}
		if !load.LastRequestAt.IsZero() {
			load.LastRequestAt = at.Add(-max(report.At.Sub(load.LastRequestAt), 0))
		}
		if load.LastRequestAt.Before(one.Load.LastRequestAt) { // a data plane that was started anew
			load.LastRequestAt = one.Load.LastRequestAt
		}
		one.Load = load
		s.observe(at, one)
		before := one.Size
		told[load.ServiceID] = s.decide(now, one)
		next = sooner(next, one.next)
		if one.Size != before {
			resized = append(resized, load.ServiceID)
		}
	}
	s.mu.Unlock()
	for service, line := range told {
		s.tell(service, line)
	}
	return resized, thawed, next
}

// Lost says that nobody tells the load any more: sizes stay as they are until somebody does, and no instance is known to be frozen.
func (s *Scaler) Lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isFed = false
	for _, one := range s.services {
		one.Load, one.next = platform.Load{}, time.Time{}
	}
}

// Due decides again about each service for which it is time, and returns those whose sizes have changed, and when the next is due;
// zero when none is.
func (s *Scaler) Due(now time.Time) (resized []platform.ServiceID, next time.Time) {
	told := map[platform.ServiceID]string{}
	s.mu.Lock()
	for id, one := range s.services {
		if !one.next.IsZero() && !now.Before(one.next) {
			before := one.Size
			told[id] = s.decide(now, one)
			if one.Size != before {
				resized = append(resized, id)
			}
		}
		next = sooner(next, one.next)
	}
	s.mu.Unlock()
	for service, line := range told {
		s.tell(service, line)
	}
	return resized, next
}

// Frozen returns which instances of a service the data plane has frozen, as far as it has told.
func (s *Scaler) Frozen(service platform.ServiceID) map[platform.InstanceID]bool {
	frozen := map[platform.InstanceID]bool{}
	s.edit(service, func(one *scaled) {
		for _, id := range one.Load.Frozen {
			frozen[id] = true
		}
	})
	return frozen
}

// HasStarted notes how long an instance took from its start until it was healthy.
func (s *Scaler) HasStarted(service platform.ServiceID, took time.Duration) {
	s.edit(service, func(one *scaled) { one.startTime = took })
}

// Uses notes how much of their processors or memory a service's instances use on average, and says whether its size has changed by that.
func (s *Scaler) Uses(now time.Time, service platform.ServiceID, percent float64) (isResized bool) {
	var told string
	s.edit(service, func(one *scaled) {
		before := one.Size
		one.usage, one.measured = percent, one.ready
		told = s.decide(now, one)
		isResized = one.Size != before
	})
	s.tell(service, told)
	return isResized
}

func (s *Scaler) edit(service platform.ServiceID, edit func(*scaled)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.services[service]; one != nil {
		edit(one)
	}
}

// decide brings a size up to date, and returns the line that tells of a change, or "". Callers hold mu.
func (s *Scaler) decide(now time.Time, one *scaled) string {
	if !s.isFed { // the load is not known: only the bounds hold
		one.Size, one.next = min(max(one.Size, one.Min), one.Max), time.Time{}
		return ""
	}
	decision := one.memory.Decide(s.steady(now), one.policy, autoscale.State{
		Size: one.Size, Ready: one.ready, Starting: max(0, one.Size-one.ready), StartTime: one.startTime, UsagePercent: one.usageNow(),
	})
	before := one.Size
	one.Size, one.next = decision.Size, decision.Next
	if one.Size == before {
		return ""
	}
	one.Reason, one.ChangedAt = decision.Reason, now
	return one.events.line(now, before, one.Size, decision.Reason)
}

// usageNow is what the ready instances use: what others used that were measured, they have in common.
func (one *scaled) usageNow() float64 {
	if one.ready == 0 || one.measured == 0 {
		return one.usage
	}
	return one.usage * float64(one.measured) / float64(one.ready)
}

// begin makes that nothing is taken away because of what was before now.
func (s *Scaler) begin(now time.Time, one *scaled) {
	one.memory = autoscale.Scaler{}
	s.observe(now, one)
}

// observe takes a service's load into its memory.
func (s *Scaler) observe(at time.Time, one *scaled) {
	load := one.Load
	if !load.LastRequestAt.IsZero() {
		load.LastRequestAt = s.steady(load.LastRequestAt)
	}
	one.memory.Observe(s.steady(at), load)
}

func (s *Scaler) tell(service platform.ServiceID, line string) {
	if line != "" {
		s.logs.Event(service, "%s", line)
	}
}

// policyOf is what the size of a service follows, and its bounds. A tag that cannot be read has no effect.
func policyOf(service platform.Service, revision platform.Revision) autoscale.Policy {
	scaling, _ := platform.ParseScaling(service.Tags)
	return autoscale.PolicyOf(revision.Configuration.AutoScaling, scaling)
}

// boundsOf are the smallest and the largest size: there is always room for one instance.
func boundsOf(policy autoscale.Policy) (least, most int) {
	most = max(policy.MaxSize, 1)
	return min(max(policy.MinSize, 0), most), most
}

// sooner returns the earlier of two times; zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
