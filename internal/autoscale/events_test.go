package autoscale

import "time"

// held is a request that waits or is served.
type held struct{ at, service time.Duration }

// fifo is what waits.
type fifo struct {
	items []held
	first int
}

func (f *fifo) len() int    { return len(f.items) - f.first }
func (f *fifo) head() *held { return &f.items[f.first] }

func (f *fifo) push(one held) {
	if f.first > 1024 && f.first > len(f.items)/2 {
		f.items = f.items[:copy(f.items, f.items[f.first:])]
		f.first = 0
	}
	f.items = append(f.items, one)
}

func (f *fifo) pop() held {
	f.first++
	return f.items[f.first-1]
}

type eventKind uint8

const (
	onArrival eventKind = iota
	onDone
	onReady
	onTell
)

type event struct {
	at              time.Duration
	serial          uint64
	who, generation int32
	kind            eventKind
}

func (e *event) isBefore(other *event) bool {
	return e.at < other.at || e.at == other.at && e.serial < other.serial
}

// eventQueue is a heap by time, and by the order in which events were added.
type eventQueue struct {
	heap   []event
	serial uint64
}

func (q *eventQueue) add(e event) {
	q.serial++
	e.serial = q.serial
	q.heap = append(q.heap, e)
	h := q.heap
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if h[up].isBefore(&e) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = e
}

func (q *eventQueue) take() event {
	h := q.heap
	first, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	q.heap = h
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].isBefore(&h[child]) {
			child++
		}
		if last.isBefore(&h[child]) {
			break
		}
		h[i] = h[child]
		i = child
	}
	if len(h) > 0 {
		h[i] = last
	}
	return first
}
