package deploy

import (
	"maps"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// supervision is what the Supervisor remembers about one service. mu of the Supervisor guards it.
type supervision struct {
	// look is when the service is looked at next though nothing may happen; zero when that is not needed.
	look time.Time
	// isLooking says that it is being looked at.
	isLooking bool
	// listed is when the instances were listed that the last look went by. An older list tells of what is not any more.
	listed time.Time
	// seen is what the last look saw, by which instances are probed and sampled, and revision what serves.
	seen     Observation
	revision platform.Revision
	// ended are instances that were told to have ended and that a list still has as running, with how often it did.
	ended map[platform.InstanceID]int

	// failures counts replacements in a row that did not stay up.
	failures int
	// startNotBefore is when the next replacement may start.
	startNotBefore time.Time
	// lastDeath is when an instance ended last.
	lastDeath time.Time

	health map[platform.InstanceID]*healthRecord
	// metric is what the size follows, and sampleAt when what the instances use is measured next; zero when nobody asks for that.
	metric   platform.ScaleMetric
	sampleAt time.Time
	used     usage

	// starting are the instances whose processes are being started, admitting those that are waited for until they are healthy, and
	// leaving those that are drained and stopped. That takes as long as an app needs to start, and as its requests and its end do, and
	// nothing else of the service waits for it.
	starting  map[platform.InstanceID]bool
	admitting map[platform.InstanceID]platform.Instance
	leaving   map[platform.InstanceID]time.Time
	// admitted are those that were admitted since the newest list began, which may not have them.
	admitted map[platform.InstanceID]admission
	// told are those of which the event log says already why they are replaced.
	told map[platform.InstanceID]bool
}

// admission is an instance that was admitted at a time.
type admission struct {
	platform.Instance
	at time.Time
}

func newSupervision() *supervision {
	return &supervision{
		ended: map[platform.InstanceID]int{}, health: map[platform.InstanceID]*healthRecord{},
		starting: map[platform.InstanceID]bool{}, admitting: map[platform.InstanceID]platform.Instance{},
		leaving: map[platform.InstanceID]time.Time{}, admitted: map[platform.InstanceID]admission{}, told: map[platform.InstanceID]bool{},
	}
}

// lookAt has the service looked at by that time.
func (s *supervision) lookAt(at time.Time) { s.look = sooner(s.look, at) }

// knows says whether an instance is of this service.
func (s *supervision) knows(id platform.InstanceID) bool {
	if _, isAdmitting := s.admitting[id]; isAdmitting || s.starting[id] {
		return true
	}
	for _, instance := range s.seen.Instances {
		if instance.ID == id {
			return true
		}
	}
	return false
}

// leaves notes that an instance is leaving.
func (s *supervision) leaves(id platform.InstanceID) { s.leaving[id] = time.Now() }

func (s *supervision) isLeaving(id platform.InstanceID) bool { return !s.leaving[id].IsZero() }

// staying returns the instances that are neither leaving nor being started, with those that were started since the list began, and
// which of them are being admitted. It forgets those that have left.
func (s *supervision) staying(began time.Time, instances []platform.Instance) (staying []platform.Instance, admitting map[platform.InstanceID]bool) {
	isListed := map[platform.InstanceID]bool{}
	add := func(instance platform.Instance) {
		if !isListed[instance.ID] && !s.isLeaving(instance.ID) && !s.starting[instance.ID] {
			staying = append(staying, instance)
		}
		isListed[instance.ID] = true
	}
	for _, instance := range instances {
		add(instance)
	}
	maps.DeleteFunc(s.leaving, func(id platform.InstanceID, since time.Time) bool { return !isListed[id] && since.Before(began) })
	maps.DeleteFunc(s.told, func(id platform.InstanceID, _ bool) bool { return !isListed[id] && !s.isLeaving(id) })
	maps.DeleteFunc(s.admitted, func(_ platform.InstanceID, one admission) bool { return one.at.Before(began) })
	for _, one := range s.admitted {
		add(one.Instance)
	}
	admitting = make(map[platform.InstanceID]bool, len(s.admitting))
	for id, instance := range s.admitting {
		admitting[id] = true
		add(instance)
	}
	return staying, admitting
}

const (
	// endedAgain is how soon an instance is looked at again that was told to have ended and whose list does not say so yet: why it
	// was killed comes a moment later.
	endedAgain = 100 * time.Millisecond
	// endedLooks is how often.
	endedLooks = 50
)

// awaitEnds has the service looked at again as long as instances that have ended are listed as running.
func (s *supervision) awaitEnds(now time.Time, instances []platform.Instance) {
	ended := map[platform.InstanceID]int{}
	for _, instance := range instances {
		if looks, isTold := s.ended[instance.ID]; isTold && instance.Exit == nil && looks < endedLooks {
			ended[instance.ID] = looks + 1
			s.lookAt(now.Add(endedAgain))
		}
	}
	s.ended = ended
}
