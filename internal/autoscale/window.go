package autoscale

import "time"

const (
	// bucketWidth is how exactly the window is remembered.
	bucketWidth = 5 * time.Second
	// quietWindow is how long what was needed stays provided.
	quietWindow = time.Minute
	// stepEvery is how long one step of scale-in waits for the next.
	stepEvery = 15 * time.Second

	buckets = int(quietWindow/bucketWidth) + 1
)

// window is the largest demand of each of the last buckets.
type window struct {
	peaks [buckets]float32
	// now is the number of the bucket that is being filled.
	now int64
}

// advance begins the buckets up to now, in which the demand was level, or more.
func (w *window) advance(now time.Time, level float64) {
	bucket := now.UnixNano() / int64(bucketWidth)
	for next := max(w.now+1, bucket-int64(buckets)+1); next <= bucket; next++ {
		w.peaks[next%int64(buckets)] = float32(level)
	}
	w.now = max(w.now, bucket)
}

func (w *window) add(demand float64) {
	here := &w.peaks[w.now%int64(buckets)]
	*here = max(*here, float32(demand))
}

func (w *window) peak() float64 {
	most := float32(0)
	for _, each := range w.peaks {
		most = max(most, each)
	}
	return float64(most)
}
