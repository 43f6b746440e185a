package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/apron-run/apron/internal/platform"
)

// Proxy is the data plane. All methods may be called at the same time.
type Proxy struct {
	config  Config
	server  *http.Server
	quic    *quicServer // nil without HTTP/3
	table   atomic.Pointer[table]
	tunnels tunnels
	// held counts the requests that wait, over all services.
	held    atomic.Int64
	gauges  gauges
	watches watches
	// handlers counts requests, those of hijacked connections too.
	handlers sync.WaitGroup
	// isLeaving and leaving, which beginLeaving ends then, say that Leave was called.
	isLeaving    atomic.Bool
	leaving      context.Context
	beginLeaving context.CancelFunc

	mu        sync.Mutex // guards the members below, and what routes and instances say of that, and orders the changes of table
	instances map[instanceKey]*instance
	services  map[platform.ServiceID]*service
	routes    map[platform.ServiceID]*route // those of table
	contested map[contest]bool              // names that more than one route may have
	listeners []*limitedListener
	// fast takes the connections of the listeners; nil before Run, and where all go by the standard road.
	fast *fastRoad
}

// New returns a Proxy without routes. Nothing runs before Run.
func New(config Config) *Proxy {
	p := &Proxy{
		config: config.withDefaults(), instances: map[instanceKey]*instance{}, services: map[platform.ServiceID]*service{},
		routes: map[platform.ServiceID]*route{}, contested: map[contest]bool{},
	}
	p.leaving, p.beginLeaving = context.WithCancel(context.Background())
	p.watches.changed = make(chan struct{}, 1)
	p.gauges.init()
	p.table.Store(newTable())
	p.server = &http.Server{
		Handler:                      p,
		ReadHeaderTimeout:            p.config.ReadHeaderTimeout,
		IdleTimeout:                  p.config.IdleTimeout,
		MaxHeaderBytes:               p.config.MaxHeaderBytes,
		DisableGeneralOptionsHandler: true, // OPTIONS * is the app's to answer
		BaseContext:                  baseContext,
		ConnContext:                  connContext,
		ConnState:                    noteState,
		ErrorLog:                     slog.NewLogLogger(p.config.Log.Handler(), slog.LevelDebug),
		Protocols:                    clientProtocols(),
		HTTP2:                        &http.HTTP2Config{MaxReadFrameSize: 16 << 10, WriteByteTimeout: p.config.RequestTimeout},
	}
	if p.config.QUIC != nil {
		p.quic = newQUICServer(p)
	}
	return p
}

// Run serves on its listeners until ctx ends, and then shuts down: it takes no more connections, answers for a moment what comes
// on those that are open, and waits for the requests in flight at most ShutdownTimeout. After Leave it does so when the
// connections that were open have ended by themselves, IdleTimeout at most.
func (p *Proxy) Run(ctx context.Context) error {
	listener := p.config.Listener
	if listener == nil {
		var err error
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", p.config.Address); err != nil {
			return platform.Explain(err, "The proxy cannot listen on %s: %v. Choose another address with --http.", p.config.Address, err)
		}
	}
	fast, err := p.openFastRoad()
	if err != nil {
		return err
	}
	defer fast.stop()
	working, rest := context.WithCancel(context.WithoutCancel(ctx))
	var loops sync.WaitGroup
	loops.Go(func() { p.freezeIdle(working) })
	loops.Go(func() { p.measure(working) })
	defer loops.Wait()
	defer rest()
	var serving sync.WaitGroup
	failed := make(chan error, 5)
	serve := func(run func() error) {
		serving.Go(func() {
			if err := run(); !p.isLeaving.Load() {
				failed <- err
			}
		})
	}
	plain := func(listener net.Listener, isPrivate bool) net.Listener {
		return strictListener{fast.before(p.enter(listener), isPrivate), p}
	}
	public := plain(listener, false)
	serve(func() error { return p.server.Serve(public) })
	if p.config.PrivateListener != nil {
		private := privateListener{plain(p.config.PrivateListener, true)}
		serve(func() error { return p.server.Serve(private) })
	}
	if p.config.TLSListener != nil {
		encrypted := p.enter(p.config.TLSListener)
		serve(func() error { return p.serveTLS(encrypted) })
	}
	if p.quic != nil {
		serve(p.quic.serve)
	}
	stopped, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	select {
	case err := <-failed:
		if errors.Is(err, http.ErrServerClosed) { // Shutdown was called
			return nil
		}
		p.closeListeners()
		return errors.Join(fmt.Errorf("serve: %w", err), p.server.Close())
	case <-p.leaving.Done():
		serving.Go(func() { p.quic.leave(stopped) })
		p.linger(ctx, p.config.IdleTimeout)
	case <-ctx.Done():
		p.Leave()
		p.linger(context.WithoutCancel(ctx), stopLinger)
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.config.ShutdownTimeout)
	defer cancel()
	err = p.Shutdown(stopping)
	stop()
	serving.Wait()
	if err != nil {
		p.config.Log.Warn("requests were cut off", "error", err)
	}
	return nil
}

// Shutdown takes no more connections, waits for the requests in flight, and ends upgraded connections and idle ones;
// WebSockets are closed in order. When ctx ends first it cuts off what is left and returns why.
func (p *Proxy) Shutdown(ctx context.Context) error {
	p.closeListeners()
	p.mu.Lock()
	fast := p.fast
	p.mu.Unlock()
	drained, quicEnded := make(chan error, 1), make(chan error, 1)
	go func() { drained <- fast.drain(ctx) }()
	go func() { quicEnded <- p.quic.shutdown(ctx) }()
	err := p.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, p.server.Close())
	}
	if err = errors.Join(err, <-drained); err != nil {
		err = fmt.Errorf("wait for requests: %w", err)
	}
	err = errors.Join(err, <-quicEnded)
	p.tunnels.endAll()
	p.handlers.Wait()
	fast.closeAll()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range p.instances {
		in.upstream.close()
	}
	return err
}

// privateListener takes the connections for private hosts.
type privateListener struct{ net.Listener }

// privateKey marks the context of requests that came by the private listener.
type privateKey struct{}

func baseContext(listener net.Listener) context.Context {
	ctx := context.Background()
	if _, isPrivate := listener.(privateListener); isPrivate {
		ctx = context.WithValue(ctx, privateKey{}, true)
	}
	return ctx
}

func isPrivate(ctx context.Context) bool { return ctx.Value(privateKey{}) != nil }
