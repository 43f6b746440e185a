package proxy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apron-run/apron/internal/proxy/eventloop"
)

// fastRoad takes the connections of the plain listeners, and carries the usual requests of HTTP/1.1 on event loops. A connection that
// asks for anything else goes to the standard road, with what was read of it.
type fastRoad struct {
	*Proxy
	lanes []*lane
	// running ends when all lanes have.
	running sync.WaitGroup
	// conns counts the connections on the lanes, tunnels those of them that were upgraded.
	conns, upgraded atomic.Int64
}

// openFastRoad opens the lanes. The methods of what it returns do nothing when there is no fast road.
func (p *Proxy) openFastRoad() (*fastRoad, error) {
	if p.config.isStandardOnly {
		return nil, nil
	}
	f := &fastRoad{Proxy: p}
	for range p.config.EventLoops {
		loop, err := eventloop.New()
		if err != nil {
			f.stop()
			return nil, err
		}
		f.lanes = append(f.lanes, newLane(f, loop))
		f.running.Go(loop.Run)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fast = f
	return f, nil
}

// before takes the listener's connections, and returns a listener that has those which go by the standard road. That is the listener
// itself where there is no fast road for it.
func (f *fastRoad) before(listener *limitedListener, isPrivate bool) net.Listener {
	if _, isSocket := listener.Listener.(*net.TCPListener); f == nil || !isSocket {
		return listener
	}
	others := newHandedOver(listener, isPrivate)
	if err := f.accept(listener, others); err != nil {
		f.config.Log.Warn("a listener has no event loops", "error", err)
		return listener
	}
	return others
}

// stop ends the lanes, with whatever is open on them.
func (f *fastRoad) stop() {
	if f == nil {
		return
	}
	for _, l := range f.lanes {
		l.loop.Post(l.closeAll)
		l.loop.Stop()
	}
	f.running.Wait()
}

// drain closes idle connections and waits for the requests in flight. When ctx ends first it returns why.
func (f *fastRoad) drain(ctx context.Context) error {
	if f == nil {
		return nil
	}
	for _, l := range f.lanes {
		l.loop.Post(l.shut)
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for f.conns.Load() > f.upgraded.Load() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return nil
}

// closeAll cuts off what is left, tunnels too, and waits for that.
func (f *fastRoad) closeAll() {
	if f == nil {
		return
	}
	var closing sync.WaitGroup
	for _, l := range f.lanes {
		closing.Add(1)
		if !l.loop.Post(func() { defer closing.Done(); l.closeAll() }) {
			closing.Done()
		}
	}
	closing.Wait()
}

// dropKept closes the kept connections to an instance. It does not wait for that.
func (f *fastRoad) dropKept(in *instance) {
	if f == nil {
		return
	}
	for _, l := range f.lanes {
		l.loop.Post(func() { l.dropKept(in) })
	}
}
