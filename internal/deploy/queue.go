package deploy

import (
	"context"
	"slices"
	"sync"
)

// Queue lets so many work at a time, in the order in which they came.
type Queue struct {
	mu      sync.Mutex // guards free and waiting
	free    int
	waiting []*waiter
}

// waiter is one that waits for its turn.
type waiter struct {
	// turn is closed when it has come.
	turn chan struct{}
	// moved holds a value when the place in the queue has changed.
	moved chan struct{}
}

// NewQueue returns a Queue that lets n work at a time.
func NewQueue(n int) *Queue { return &Queue{free: n} }

// Enter returns when the caller's turn has come; leave must then be called. Until then it calls waits with each place
// that the caller has in the queue, counted from 1. When ctx ends first, it returns ctx's cause.
func (q *Queue) Enter(ctx context.Context, waits func(place int)) (leave func(), err error) {
	q.mu.Lock()
	if q.free > 0 {
		q.free--
		q.mu.Unlock()
		return q.leave, nil
	}
	w := &waiter{make(chan struct{}), make(chan struct{}, 1)}
	q.waiting = append(q.waiting, w)
	place := len(q.waiting)
	q.mu.Unlock()
	for {
		if place > 0 {
			waits(place)
		}
		select {
		case <-w.turn:
			return q.leave, nil
		case <-ctx.Done():
			q.giveUp(w)
			return nil, context.Cause(ctx)
		case <-w.moved:
			place = q.placeOf(w)
		}
	}
}

// leave gives the place to the first that waits.
func (q *Queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.free++
		return
	}
	close(q.waiting[0].turn)
	q.remove(0)
}

// giveUp takes w out of the queue. A turn that came at the same moment goes to the next.
func (q *Queue) giveUp(w *waiter) {
	q.mu.Lock()
	i := slices.Index(q.waiting, w)
	if i >= 0 {
		q.remove(i)
	}
	q.mu.Unlock()
	if i < 0 {
		q.leave()
	}
}

// remove takes one out and tells those behind it. q.mu is held.
func (q *Queue) remove(i int) {
	q.waiting = slices.Delete(q.waiting, i, i+1)
	for _, behind := range q.waiting[i:] {
		select {
		case behind.moved <- struct{}{}:
		default:
		}
	}
}

// placeOf returns w's place, or 0 when it waits no more.
func (q *Queue) placeOf(w *waiter) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Index(q.waiting, w) + 1
}
