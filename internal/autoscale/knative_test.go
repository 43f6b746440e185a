package autoscale

import (
	"math"
	"time"
)

// knative is Knative's autoscaler (KPA), from its public documentation: the pages "Additional autoscaling configuration for Knative Pod
// Autoscaler", "Configuring concurrency" and "Configuring scale to zero" of Knative's documentation, "Knative Serving Autoscaling System"
// of its repository, and the defaults of the ConfigMap config-autoscaler.
//
// Where the documentation leaves a choice it is made in Knative's favour: what it measures is exact and without delay, its activator
// holds requests as long as apron's data plane and gives them to pods without a hop, and the last pod goes as soon as the stable
// window is empty.
type knative struct {
	seconds [60]float64 // average concurrency of each of the last seconds
	counted int         // seconds since the begin
	meter   meter       // at the last second's end
	nextAt  time.Duration
	panicAt time.Duration // when panic was renewed last, or below zero
	most    int           // pods of this panic
}

const (
	knativeTick        = 2 * time.Second
	knativeStable      = 60 // seconds
	knativePanic       = 6  // seconds: 10 % of it
	knativeThreshold   = 2.
	knativeUtilization = .7
	knativeUpRate      = 1000.
	knativeDownRate    = 2.
)

func newKnative() *knative { return &knative{panicAt: -1} }

func (k *knative) tell(now time.Duration, isShort bool, s *simulation) (int, time.Duration) {
	if isShort {
		if s.size > 0 {
			return s.size, 0 // heard of at the next tick
		}
		return k.decide(now, s, 1), 0 // the activator pokes the autoscaler
	}
	k.seconds[k.counted%knativeStable] = (s.meter.integral - k.meter.integral) / max((now-k.meter.at).Seconds(), 1e-9)
	if now > 0 {
		k.counted++
	}
	k.meter = s.meter
	if now < k.nextAt {
		return s.size, now + time.Second
	}
	k.nextAt = now + knativeTick
	return k.decide(now, s, 0), now + time.Second
}

// decide returns the number of pods; poked is concurrency that no window has yet.
func (k *knative) decide(now time.Duration, s *simulation, poked float64) int {
	stable, burst := max(k.average(knativeStable), poked), max(k.average(knativePanic), poked)
	target := knativeUtilization * float64(s.policy.MaxConcurrency)
	ready := max(1, float64(len(s.ready)))
	up, down := math.Ceil(ready*knativeUpRate), math.Floor(ready/knativeDownRate)
	pods := func(concurrency float64) float64 { return min(max(math.Ceil(concurrency/target), down), up) }
	desired := int(pods(stable))
	if math.Ceil(burst/target)/ready >= knativeThreshold {
		k.panicAt = now
	} else if k.panicAt >= 0 && now-k.panicAt > knativeStable*time.Second {
		k.panicAt, k.most = -1, 0
	}
	if k.panicAt >= 0 {
		k.most = max(k.most, desired, int(pods(burst)))
		desired = k.most
	}
	least, most := s.policy.bounds()
	if stable > 0 {
		least = max(least, 1)
	}
	return min(max(desired, least), most)
}

// average is over the last seconds, or over those that there were.
func (k *knative) average(seconds int) float64 {
	seconds = min(seconds, k.counted)
	sum := 0.
	for i := range seconds {
		sum += k.seconds[(k.counted-1-i)%knativeStable]
	}
	return sum / float64(max(seconds, 1))
}
