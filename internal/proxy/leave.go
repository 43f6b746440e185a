package proxy

import (
	"context"
	"net"
	"time"
)

// stopLinger is how long a proxy that stops still answers by connections that are open and idle. Clients that ask all the time are
// told so that theirs is the last answer, instead of losing what they are sending.
const stopLinger = 300 * time.Millisecond

// lingerEvery is how often a leaving proxy looks whether a connection is left.
const lingerEvery = 50 * time.Millisecond

// Leave makes room for another proxy that has the same listening sockets. None of them is listened on any more when it
// returns, and what waits in their queues is the other's. No connection is broken off, not even an idle one, on which the
// client may be sending: each is answered once more, with the request to close it, and Run returns after the last. Twice
// is safe.
//
// It does not begin with the server's own Shutdown, which drops a connection that was accepted and not read yet.
func (p *Proxy) Leave() {
	p.StopFreezing()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isLeaving.Swap(true) {
		return
	}
	p.beginLeaving()
	for _, each := range p.listeners {
		_ = each.Close()
	}
}

func (p *Proxy) closeListeners() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, each := range p.listeners {
		_ = each.Close()
	}
}

// enter limits a listener's connections, and closes it already when the proxy is leaving.
func (p *Proxy) enter(listener net.Listener) *limitedListener {
	p.mu.Lock()
	defer p.mu.Unlock()
	limited := limitConns(listener, p.config.MaxConns)
	p.listeners = append(p.listeners, limited)
	if p.isLeaving.Load() {
		_ = limited.Close()
	}
	return limited
}

// linger waits until no connection is open, for so long at most; after IdleTimeout an idle one is closed anyway.
func (p *Proxy) linger(ctx context.Context, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	ticker := time.NewTicker(lingerEvery)
	defer ticker.Stop()
	for p.openConns() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// openConns counts the connections, upgraded ones too.
func (p *Proxy) openConns() (open int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, each := range p.listeners {
		open += len(each.slots)
	}
	if p.quic != nil {
		open += int(p.quic.open.Load())
	}
	return open
}
