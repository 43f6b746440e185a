package proxy

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// avoidFor is how long an instance that did not accept a connection is tried last.
const avoidFor = time.Second

// instance is where one instance's requests are counted, across all tables that name it.
type instance struct {
	platform.Endpoint
	upstream *upstream

	// inFlight counts the requests that have claimed the instance.
	inFlight atomic.Int64
	// isRetired says that no route of the newest table names the instance.
	isRetired atomic.Bool
	// avoidUntil is an uptime in nanoseconds, 0 when the instance has always accepted connections.
	avoidUntil atomic.Int64

	routes int           // how often routes of the newest table name it; guarded by Proxy.mu
	gone   chan struct{} // closed when it is retired and idle; replaced when a route names it again; guarded by Proxy.mu
}

// claim counts one more request. It returns false when the instance has been retired; the claim must be released then
// all the same. The counter comes before the look at isRetired, as in retire isRetired comes before the look at the
// counter: one of the two sees the other.
func (in *instance) claim() bool {
	in.inFlight.Add(1)
	return !in.isRetired.Load()
}

// avoid makes the instance the last choice for a while.
func (in *instance) avoid() {
	in.avoidUntil.Store(int64(uptime() + avoidFor))
}

var begun = time.Now()

// uptime is for how long this process has run. Unlike the time of day it never jumps.
func uptime() time.Duration { return time.Since(begun) }

// release ends a claim.
func (p *Proxy) release(in *instance) {
	if in.inFlight.Add(-1) == 0 && in.isRetired.Load() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.forgetIfIdle(in)
	}
}

// enlist returns the instance of an endpoint and counts one more route that names it. Callers hold mu.
func (p *Proxy) enlist(endpoint platform.Endpoint) *instance {
	in := p.instances[endpoint]
	if in == nil {
		in = &instance{Endpoint: endpoint, upstream: newUpstream(endpoint.Address, p.config), gone: make(chan struct{})}
		p.instances[endpoint] = in
	}
	in.routes++
	in.isRetired.Store(false)
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
	if in.routes > 0 || in.inFlight.Load() > 0 || p.instances[in.Endpoint] != in {
		return
	}
	delete(p.instances, in.Endpoint)
	in.upstream.close()
	close(in.gone)
}

// Drain waits until no request is in flight on the instances, which no route names any more, or ctx ends; it returns
// how many requests were still in flight. No request begins on them after it has returned 0, and their kept connections
// are closed by then.
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
			continue
		default:
		}
		select {
		case <-in.gone:
		case <-ctx.Done():
			left += int(in.inFlight.Load())
		}
	}
	return left
}
