package proxy

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// avoidFor is how long an instance that did not accept a connection is tried last.
const avoidFor = time.Second

// instance is where one instance's requests are counted, across all tables that name it.
type instance struct {
	platform.Endpoint
	service  *service
	upstream *upstream

	// inFlight counts the requests that have claimed the instance, claims those that ever did.
	inFlight atomic.Int64
	claims   atomic.Uint64
	// isRetired says that no route of the newest table names the instance.
	isRetired atomic.Bool
	// avoidUntil is an uptime in nanoseconds, 0 when the instance has always accepted connections.
	avoidUntil atomic.Int64

	// warmth says whether the instance may be frozen. It is changed with freezing held, but read without.
	warmth   atomic.Int32
	freezing sync.Mutex // guards the freezer's file, and isStuck
	// isStuck says that the instance could not be thawed the last time.
	isStuck bool
	// freezeAfter is how long the instance stays warm without a request, in nanoseconds; 0 means for ever.
	freezeAfter atomic.Int64
	watch       watch

	routes int           // how often routes of the newest table name it; guarded by Proxy.mu
	gone   chan struct{} // closed when it is retired and idle; replaced when a route names it again; guarded by Proxy.mu
}

// instanceKey is what makes two tables mean the same instance.
type instanceKey struct {
	platform.ServiceID
	platform.Endpoint
}

// tryClaim counts one more request, unless there are limit already; 0 is no limit. Whoever has claimed an instance must look whether
// it has been retired, and release the claim then. The counter comes before that look, as in delist isRetired comes before the
// look at the counter: one of the two sees the other.
func (in *instance) tryClaim(limit int64) bool {
	for {
		n := in.inFlight.Load()
		if limit > 0 && n >= limit {
			return false
		}
		if in.inFlight.CompareAndSwap(n, n+1) {
			in.claims.Add(1)
			in.service.proxy.gauges.note(in.service)
			return true
		}
	}
}

// avoid makes the instance the last choice for a while.
func (in *instance) avoid() {
	in.avoidUntil.Store(int64(uptime() + avoidFor))
}

var begun = time.Now()

// uptime is for how long this process has run. Unlike the time of day it never jumps.
func uptime() time.Duration { return time.Since(begun) }

// unclaim ends a claim, without a look at those that wait.
func (p *Proxy) unclaim(in *instance) {
	if in.inFlight.Add(-1) == 0 && in.isRetired.Load() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.forgetIfIdle(in)
	}
}

// enlist returns the instance of an endpoint and counts one more route that names it. Callers hold mu.
func (p *Proxy) enlist(service *service, endpoint platform.Endpoint, freezeAfter time.Duration) *instance {
	key := instanceKey{service.id, endpoint}
	in := p.instances[key]
	if in == nil {
		in = &instance{Endpoint: endpoint, service: service, upstream: newUpstream(endpoint.Address, p.config), gone: make(chan struct{})}
		if !p.canFreeze(in) {
			in.warmth.Store(isWarm)
		}
		p.instances[key] = in
		service.uses++
		service.gauge.add(in)
	}
	in.routes++
	in.isRetired.Store(false)
	isNew := in.routes == 1 // or is back
	if before := in.freezeAfter.Swap(int64(freezeAfter)); p.canFreeze(in) && (isNew || before != int64(freezeAfter)) {
		p.watches.add(in, uptime())
	}
	return in
}

// delist counts one route less, and retires an instance that no route names any more. Callers hold mu.
func (p *Proxy) delist(in *instance) {
	in.routes--
	if in.routes == 0 {
		in.isRetired.Store(true)
		p.forgetIfIdle(in)
	}
}

// forgetIfIdle closes the connections of a retired instance that has no request in flight. Callers hold mu.
func (p *Proxy) forgetIfIdle(in *instance) {
	key := instanceKey{in.service.id, in.Endpoint}
	if in.routes > 0 || in.inFlight.Load() > 0 || p.instances[key] != in {
		return
	}
	delete(p.instances, key)
	in.service.gauge.remove(in)
	if in.warmth.Load() == isFrozen {
		p.gauges.note(in.service) // tells that it is not any more
	}
	p.leaveService(in.service)
	in.upstream.close()
	p.fast.dropKept(in)
	close(in.gone)
}

// Drain waits until no request is in flight on the instances, which no route names any more, or ctx ends; it returns
// how many requests were still in flight. No request begins on them after it has returned 0, their kept connections are closed by
// then, and the proxy freezes none of them any more.
func (p *Proxy) Drain(ctx context.Context, ids []platform.InstanceID) int {
	var waiting []*instance
	p.mu.Lock()
	for endpoint, in := range p.instances {
		if slices.Contains(ids, endpoint.InstanceID) {
			waiting = append(waiting, in)
		}
	}
	p.mu.Unlock()
	left := 0
	for _, in := range waiting {
		select {
		case <-in.gone:
		default:
			select {
			case <-in.gone:
			case <-ctx.Done():
				left += int(in.inFlight.Load())
				continue
			}
		}
	}
	p.awaitFreezer()
	return left
}
