package operation

import (
	"context"
	"slices"
	"sync"
)

// queue lets so many work at a time, in the order in which they joined.
type queue struct {
	mu      sync.Mutex // guards free and waiting
	free    int
	waiting []*place
}

// place is one that works or waits.
type place struct {
	queue *queue
	// turn is closed when it may work.
	turn chan struct{}
	// moved holds a value when the place in the queue has changed.
	moved chan struct{}
	leave func()
}

func newQueue(n int) *queue { return &queue{free: n} }

// join takes the last place at once. Whoever joins must call leave in the end, whether the turn has come or not; twice is safe.
func (q *queue) join() *place {
	p := &place{queue: q, turn: make(chan struct{}), moved: make(chan struct{}, 1)}
	p.leave = sync.OnceFunc(func() { q.leave(p) })
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.free > 0 {
		q.free--
		close(p.turn)
	} else {
		q.waiting = append(q.waiting, p)
	}
	return p
}

// hasTurn says whether the turn has come.
func (p *place) hasTurn() bool {
	select {
	case <-p.turn:
		return true
	default:
		return false
	}
}

// wait returns when the turn has come, and false when ctx ends first. Until then it calls waits with each number that the
// place has, counted from 1.
func (p *place) wait(ctx context.Context, waits func(number int)) (isTurn bool) {
	for !p.hasTurn() {
		if number := p.queue.numberOf(p); number > 0 {
			waits(number)
		}
		select {
		case <-p.turn:
		case <-ctx.Done():
			return false
		case <-p.moved:
		}
	}
	return true
}

// leave takes p out of the queue. If it had its turn, that goes to the first that waits.
func (q *queue) leave(p *place) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch i := slices.Index(q.waiting, p); {
	case i >= 0:
		q.remove(i)
	case len(q.waiting) == 0:
		q.free++
	default:
		close(q.waiting[0].turn)
		q.remove(0)
	}
}

// remove takes one out and tells those behind it. q.mu is held.
func (q *queue) remove(i int) {
	q.waiting = slices.Delete(q.waiting, i, i+1)
	for _, behind := range q.waiting[i:] {
		select {
		case behind.moved <- struct{}{}:
		default:
		}
	}
}

// numberOf is how many wait up to p, or 0 when it waits no more.
func (q *queue) numberOf(p *place) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Index(q.waiting, p) + 1
}
