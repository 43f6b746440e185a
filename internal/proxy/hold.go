package proxy

import (
	"context"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// askAgain is how long a request waits before instances are tried again that did not accept a connection.
const askAgain = 100 * time.Millisecond

// hold makes a request wait while a service that serves has no instance to offer, as when its only one has ended: it is then
// late instead of lost. It returns true when there may be one, and false when the service has been without for too long, when
// ctx ends, or when many wait already. since is the uptime at which the request came, newer is closed when a newer table is there.
func (p *Proxy) hold(ctx context.Context, route *route, since time.Duration, newer <-chan struct{}) bool {
	if route == nil || route.State != platform.RouteStateServing {
		return false
	}
	hasInstances := len(route.instances) > 0
	if !hasInstances {
		since = route.emptySince
	}
	wait := since + p.config.HoldTimeout - uptime()
	if wait <= 0 {
		return false
	}
	if hasInstances {
		wait = min(wait, askAgain)
	}
	if p.held.Add(1) > int64(p.config.MaxHeld) {
		p.held.Add(-1)
		return false
	}
	defer p.held.Add(-1)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-newer:
		return true
	case <-timer.C:
		return hasInstances
	case <-ctx.Done():
		return false
	}
}
