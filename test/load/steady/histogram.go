package steady

import (
	"math/bits"
	"time"
)

// subBits is how finely each power of two is divided: a value is known to 1/64 of itself.
const subBits = 6

// Histogram counts durations in buckets whose width grows with the value, so that it is small and tells every quantile of
// microseconds and of seconds to within 2 %.
type Histogram struct {
	counts [64 << subBits]uint64
	total  uint64
	max    time.Duration
}

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// Merge counts what the other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Count is how many there are.
func (h *Histogram) Count() int { return int(h.total) }

// Max is the largest, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile is the duration that the share q of all does not exceed; 0 when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen > rank {
			return min(time.Duration(upper(i)), h.max)
		}
	}
	return h.max
}

// bucket is the place of a value: below 1<<subBits each has its own, above that the leading bits decide.
func bucket(value uint64) int {
	shift := max(bits.Len64(value)-subBits-1, 0)
	return shift<<subBits + int(value>>shift)
}

// upper is the largest value in a bucket.
func upper(bucket int) uint64 {
	shift := max(bucket>>subBits-1, 0)
	return (uint64(bucket-shift<<subBits)+1)<<shift - 1
}
