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
	table   atomic.Pointer[table]
	tunnels tunnels
	// handlers counts requests, those of hijacked connections too.
	handlers sync.WaitGroup

	mu        sync.Mutex // guards instances and their routes, and orders the changes of table
	instances map[platform.Endpoint]*instance
}

// New returns a Proxy without routes. Nothing runs before Run.
func New(config Config) *Proxy {
	p := &Proxy{config: config.withDefaults(), instances: map[platform.Endpoint]*instance{}}
	p.table.Store(&table{routes: map[string]*route{}})
	p.server = &http.Server{
		Handler:                      p,
		ReadHeaderTimeout:            p.config.ReadHeaderTimeout,
		IdleTimeout:                  p.config.IdleTimeout,
		MaxHeaderBytes:               p.config.MaxHeaderBytes,
		DisableGeneralOptionsHandler: true, // OPTIONS * is the app's to answer
		ErrorLog:                     slog.NewLogLogger(p.config.Log.Handler(), slog.LevelDebug),
	}
	return p
}

// Run serves until ctx ends, and then shuts down: it takes no more connections, and waits for the requests in flight
// at most ShutdownTimeout.
func (p *Proxy) Run(ctx context.Context) error {
	listener := p.config.Listener
	if listener == nil {
		var err error
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", p.config.Address); err != nil {
			return platform.Explain(err, "The proxy cannot listen on %s: %v. Choose another address with --http.", p.config.Address, err)
		}
	}
	served := make(chan error, 1)
	go func() { served <- p.server.Serve(limitConns(listener, p.config.MaxConns)) }()
	select {
	case err := <-served:
		if errors.Is(err, http.ErrServerClosed) { // Shutdown was called
			return nil
		}
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.config.ShutdownTimeout)
	defer cancel()
	err := p.Shutdown(stopping)
	<-served
	if err != nil {
		p.config.Log.Warn("requests were cut off", "error", err)
	}
	return nil
}

// Shutdown takes no more connections, waits for the requests in flight, and ends upgraded connections and idle ones.
// When ctx ends first it cuts off what is left and returns why.
func (p *Proxy) Shutdown(ctx context.Context) error {
	err := p.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("wait for requests: %w", err), p.server.Close())
	}
	p.tunnels.closeAll()
	p.handlers.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range p.instances {
		in.upstream.close()
	}
	return err
}
