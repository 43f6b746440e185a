package autoscale

import "time"

const (
	// quietWindow is how long what was needed stays provided.
	quietWindow = time.Minute
	// bucketWidth is how exactly that is remembered.
	bucketWidth = 5 * time.Second

	// One bucket more, as the one that is being filled is not whole.
	buckets = int(quietWindow/bucketWidth) + 1
)

// window is the most instances that each of the last buckets of time needed.
type window struct {
	most [buckets]int32
	// current is the number of the bucket that is being filled.
	current int64
}

// add says that so many are needed now, and have been since the last call.
func (w *window) add(now time.Time, needed int) {
	bucket := now.UnixNano() / int64(bucketWidth)
	for next := max(w.current+1, bucket-int64(buckets)+1); next <= bucket; next++ {
		w.most[next%int64(buckets)] = int32(needed)
	}
	w.current = max(w.current, bucket)
	here := &w.most[w.current%int64(buckets)]
	*here = max(*here, int32(needed))
}

func (w *window) peak() int {
	peak := int32(0)
	for _, each := range w.most {
		peak = max(peak, each)
	}
	return int(peak)
}
