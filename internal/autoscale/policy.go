package autoscale

import (
	"math"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// tolerance is how far CPU or memory may be from their target without a change.
const tolerance = .1

// Policy is between what, and by what, a service scales.
type Policy struct {
	// MaxConcurrency is how many requests an instance gets at a time; 0 means no limit, and one instance is enough for all.
	MaxConcurrency int
	// MinSize may be 0: then the service scales to zero.
	MinSize, MaxSize int
	// ToZeroAfter is how long without a request the last instance stays when MinSize is 0.
	ToZeroAfter time.Duration
	// On is what the size follows; empty means concurrency. With CPU and memory it follows concurrency too, as MaxConcurrency
	// bounds an instance whatever the size follows.
	On platform.ScaleMetric
	// TargetPercent is how much of an instance's CPU or memory may be used, on average.
	TargetPercent int
}

// PolicyOf joins the limits of an auto scaling configuration with what a service's tags say.
func PolicyOf(limits platform.AutoScaling, scaling platform.Scaling) Policy {
	policy := Policy{
		MaxConcurrency: limits.MaxConcurrency, MinSize: limits.MinSize, MaxSize: limits.MaxSize,
		ToZeroAfter: scaling.ToZeroAfter, On: scaling.On, TargetPercent: scaling.TargetPercent,
	}
	if scaling.MinSize != nil {
		policy.MinSize = *scaling.MinSize
	}
	return policy
}

// bounds returns the smallest and the largest size, whatever the tags say: MaxSize wins over MinSize, and a service that may have no
// instance at all would never answer.
func (p Policy) bounds() (least, most int) {
	most = max(p.MaxSize, 1)
	return min(max(p.MinSize, 0), most), most
}

// places is how many requests so many instances take at a time.
func (p Policy) places(instances int) float64 {
	if p.MaxConcurrency <= 0 && instances > 0 {
		return math.Inf(1)
	}
	return float64(instances * p.MaxConcurrency)
}

// instances is how many are needed for so many requests at a time.
func (p Policy) instances(requests float64) int {
	if p.MaxConcurrency <= 0 {
		return min(int(math.Ceil(requests)), 1)
	}
	return int(math.Ceil(requests / float64(p.MaxConcurrency)))
}

// used is how many instances bring CPU or memory to their target.
func (p Policy) used(state State) int {
	if p.TargetPercent <= 0 || state.UsagePercent < 0 || p.On != platform.ScaleOnCPU && p.On != platform.ScaleOnMemory {
		return 0
	}
	ratio := state.UsagePercent / float64(p.TargetPercent)
	if math.Abs(ratio-1) <= tolerance {
		return state.Ready
	}
	return int(math.Ceil(float64(state.Ready) * ratio))
}
