package proxy

import (
	"cmp"
	"container/heap"
	"context"
	"sync"
	"time"
)

// Freezer stops and starts all processes of an instance, by the file of its control group. All methods may be called at the same time,
// and again.
type Freezer interface {
	Freeze(file string) error
	Thaw(file string) error
	IsFrozen(file string) (bool, error)
}

// What is known of an instance's processes. A new data plane knows nothing of what the one before has frozen.
const (
	isUnknown int32 = iota
	isFrozen
	isWarm
)

// freezeChecks is how often an instance is looked at in the time after which it is frozen: that may come later by a part of it.
const freezeChecks = 4

// freezeRetry is how long an instance is left alone that could not be frozen or must not be just now.
const freezeRetry = time.Second

// watches are the instances that may be to be frozen, by when each is looked at. Those that are frozen are not among them, so that
// they cost nothing.
type watches struct {
	// gate is held while an instance is frozen. hasStopped, which it guards, says that none will be any more.
	gate       sync.Mutex
	hasStopped bool
	// isAlone is what was said last, when it was asked at the uptime askedAt; both are guarded by gate.
	isAlone bool
	askedAt time.Duration

	mu    sync.Mutex // guards queue
	queue watchQueue
	// changed has a token when another instance is the first.
	changed chan struct{}
}

// watch is what is remembered of an instance between two looks. The first three members are guarded by watches.mu, the others belong
// to the loop.
type watch struct {
	at       time.Duration // uptime of the next look
	isQueued bool
	index    int // in the queue
	// claims were counted at the last look, idleSince is when the instance was seen busy last.
	claims    uint64
	idleSince time.Duration
}

// add has an instance looked at. It does nothing when that is so already, but for an earlier time.
func (w *watches) add(in *instance, at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !in.watch.isQueued:
		in.watch.at, in.watch.isQueued = at, true
		heap.Push(&w.queue, in)
	case at < in.watch.at:
		in.watch.at = at
		heap.Fix(&w.queue, in.watch.index)
	}
	if w.queue[0] == in {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

// next takes an instance that is to be looked at out of the queue; nil with how long there is none, or for ever: -1.
func (w *watches) next() (in *instance, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil, -1
	}
	if wait := w.queue[0].watch.at - uptime(); wait > 0 {
		return nil, wait
	}
	in = heap.Pop(&w.queue).(*instance)
	in.watch.isQueued = false
	return in, 0
}

// canFreeze says whether the instance can be frozen at all.
func (p *Proxy) canFreeze(in *instance) bool { return p.config.Freezer != nil && in.Freezer != "" }

// freezeIdle freezes the instances that have had no request for a while, until ctx ends.
func (p *Proxy) freezeIdle(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		in, wait := p.watches.next()
		if in != nil {
			if again := p.look(in); again > 0 {
				p.watches.add(in, again)
			}
			continue
		}
		if wait >= 0 {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-p.watches.changed:
		}
	}
}

// look does what is to be done about an instance now, and returns the uptime of the next look; 0 when there need be none: a request
// or a change of routes brings it back.
func (p *Proxy) look(in *instance) time.Duration {
	now, after := uptime(), time.Duration(in.freezeAfter.Load())
	if in.warmth.Load() == isUnknown {
		if !p.isAlone() {
			return now + freezeRetry // the other one may thaw it, and would not tell
		}
		p.learn(in)
	}
	switch {
	case in.isRetired.Load():
		return 0
	case after == 0:
		if in.warmth.Load() == isFrozen {
			p.thaw(in)
		}
		return 0
	case in.warmth.Load() == isFrozen:
		return 0
	}
	claims := in.claims.Load()
	if in.inFlight.Load() > 0 || claims != in.watch.claims || in.watch.idleSince == 0 {
		in.watch.claims, in.watch.idleSince = claims, now
	}
	if until := in.watch.idleSince + after; now < until {
		return min(until, now+after/freezeChecks)
	}
	if p.freeze(in) {
		return 0
	}
	return now + freezeRetry
}

// learn notes that an instance was left frozen by the data plane before. It changes nothing, so that it does no harm when that is
// wrong in a moment: one of which nothing is known is thawed by its first request all the same.
func (p *Proxy) learn(in *instance) {
	in.freezing.Lock()
	defer in.freezing.Unlock()
	if in.warmth.Load() != isUnknown {
		return
	}
	if frozen, err := p.config.Freezer.IsFrozen(in.Freezer); err == nil && frozen {
		in.warmth.Store(isFrozen)
		p.gauges.note(in.service)
	}
}

// freeze freezes an instance without a request, and returns false when it has one, or must not be frozen now.
//
// No request is sent to a frozen instance: here the instance is marked before the look at its requests, and a request is counted
// before the look at the mark. One of the two sees the other. A request that sees the mark thaws the instance, for which it waits until
// this is over.
func (p *Proxy) freeze(in *instance) bool {
	p.watches.gate.Lock()
	defer p.watches.gate.Unlock()
	if !p.mayFreeze() {
		return false
	}
	in.freezing.Lock()
	defer in.freezing.Unlock()
	before := in.warmth.Swap(isFrozen)
	if in.inFlight.Load() > 0 || in.isRetired.Load() {
		in.warmth.Store(before)
		return false
	}
	if err := p.config.Freezer.Freeze(in.Freezer); err != nil {
		in.warmth.Store(isUnknown)
		p.config.Log.Warn("freeze an instance", "instance", in.InstanceID, "error", err)
		return true // until its next request
	}
	p.gauges.note(in.service)
	return true
}

func (p *Proxy) isAlone() bool {
	p.watches.gate.Lock()
	defer p.watches.gate.Unlock()
	return p.mayFreeze()
}

// mayFreeze says whether instances are this data plane's alone. Callers hold the gate.
func (p *Proxy) mayFreeze() bool {
	if p.watches.hasStopped {
		return false
	}
	w := &p.watches
	if now := uptime(); !w.isAlone && (w.askedAt == 0 || now-w.askedAt >= freezeRetry) {
		w.isAlone, w.askedAt = p.config.IsAlone == nil || p.config.IsAlone(), now
	}
	return w.isAlone
}

// StopFreezing has the proxy freeze no instance any more, as when another one is about to have requests for them. It returns when what
// was begun is over. Thawing goes on.
func (p *Proxy) StopFreezing() {
	p.watches.gate.Lock()
	defer p.watches.gate.Unlock()
	p.watches.hasStopped = true
}

// thaw lets an instance run that may be frozen, and returns false when it stays frozen: the kernel would accept a request for it, and
// nobody answer. Callers have claimed it, or it must not be frozen. The next call tries again.
func (p *Proxy) thaw(in *instance) bool {
	in.freezing.Lock()
	if in.warmth.Load() != isWarm {
		wasStuck := in.isStuck
		if err := p.config.Freezer.Thaw(in.Freezer); err != nil {
			// One that is gone does not accept the request, which goes to another one.
			isFrozen, unknown := p.config.Freezer.IsFrozen(in.Freezer)
			in.isStuck = unknown == nil && isFrozen
			if !wasStuck {
				p.config.Log.Warn("thaw an instance", "instance", in.InstanceID, "error", err)
			}
		} else {
			in.isStuck = false
			in.warmth.Store(isWarm)
		}
	}
	isRunning := !in.isStuck
	in.freezing.Unlock()
	p.watches.add(in, uptime()+cmp.Or(time.Duration(in.freezeAfter.Load())/freezeChecks, freezeRetry))
	return isRunning
}

// awaitFreezer waits until a freeze is over that had begun before its instance was retired, and forgotten maybe.
func (p *Proxy) awaitFreezer() {
	p.watches.gate.Lock()
	defer p.watches.gate.Unlock()
}

// watchQueue is a heap of instances.
type watchQueue []*instance

func (q watchQueue) Len() int           { return len(q) }
func (q watchQueue) Less(i, j int) bool { return q[i].watch.at < q[j].watch.at }

func (q watchQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].watch.index, q[j].watch.index = i, j
}

func (q *watchQueue) Push(in any) {
	in.(*instance).watch.index = len(*q)
	*q = append(*q, in.(*instance))
}

func (q *watchQueue) Pop() any {
	last := len(*q) - 1
	in := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return in
}
