package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/sync/errgroup"

	"github.com/apron-run/apron/internal/proxy/http2"
)

// altSvcFor is for how many seconds clients remember that there is HTTP/3.
const altSvcFor = 24 * 60 * 60

const (
	// quietAtStop is how long nothing must have happened on a connection by QUIC that ends because the proxy stops.
	quietAtStop = time.Second
)

// quicServer answers by HTTP/3. There is no 0-RTT: what a client sends before the handshake has ended, others could send again.
type quicServer struct {
	transport *quic.Transport
	tls       *tls.Config
	handler   http.HandlerFunc
	// altSvc tells clients of the other protocols that this one is there.
	altSvc                        string
	idleTimeout, handshakeTimeout time.Duration
	maxHeaderBytes                int
	// open counts connections, those in their handshake too.
	open atomic.Int64
	// accepting ends by stopAccepting.
	accepting     context.Context
	stopAccepting context.CancelFunc
	loop          sync.Mutex // held by serve

	mu    sync.Mutex // guards conns
	conns map[*quicConn]bool
}

var errTooManyConns = errors.New("too many connections are open")

func newQUICServer(p *Proxy) *quicServer {
	q := &quicServer{
		transport: &quic.Transport{Conn: p.config.QUIC, StatelessResetKey: p.config.QUICResetKey}, tls: p.tlsConfig(), handler: p.serveHTTP3,
		idleTimeout: p.config.IdleTimeout, handshakeTimeout: p.config.ReadHeaderTimeout, maxHeaderBytes: p.config.MaxHeaderBytes, conns: map[*quicConn]bool{},
	}
	q.accepting, q.stopAccepting = context.WithCancel(context.Background())
	q.transport.ConnectionIDGenerator, _ = p.config.QUIC.(quic.ConnectionIDGenerator)
	most := int64(p.config.MaxConns)
	// The context ends with the connection, also with one whose handshake fails.
	q.transport.ConnContext = func(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
		if q.open.Add(1) > most {
			q.open.Add(-1)
			return nil, errTooManyConns
		}
		context.AfterFunc(ctx, func() { q.open.Add(-1) })
		return ctx, nil
	}
	// When many are open, a client must first show that it is at its address, or a few could fill the rest with forged ones.
	q.transport.VerifySourceAddress = func(net.Addr) bool { return q.open.Load() > most/4 }
	if address, ok := p.config.QUIC.LocalAddr().(*net.UDPAddr); ok {
		q.altSvc = `h3=":` + strconv.Itoa(address.Port) + `"; ma=` + strconv.Itoa(altSvcFor)
	}
	return q
}

// serve answers until shutdown.
func (q *quicServer) serve() error {
	q.loop.Lock()
	defer q.loop.Unlock()
	listener, err := q.transport.ListenEarly(http3.ConfigureTLSConfig(q.tls), &quic.Config{
		Allow0RTT: false, MaxIdleTimeout: q.idleTimeout, HandshakeIdleTimeout: q.handshakeTimeout,
	})
	if err != nil {
		return fmt.Errorf("listen for HTTP/3: %w", err)
	}
	defer listener.Close()
	for {
		conn, err := listener.Accept(q.accepting)
		switch {
		case q.accepting.Err() != nil || errors.Is(err, quic.ErrServerClosed):
			return http.ErrServerClosed
		case err != nil:
			return err
		}
		c := &quicConn{server: q.newServer(), conn: conn, unusedFor: q.idleTimeout + q.handshakeTimeout, answered: make(chan struct{}, 1)}
		c.server.Handler = c.count(q.handler)
		q.mu.Lock()
		q.conns[c] = true
		q.mu.Unlock()
		go func() {
			c.serve()
			q.mu.Lock()
			defer q.mu.Unlock()
			delete(q.conns, c)
		}()
	}
}

// leave takes no more connections, asks clients to end those that are open, and ends them itself once nothing happens. Handshakes
// that have begun are finished first: another proxy has the packets of new ones by now.
func (q *quicServer) leave(ctx context.Context) {
	if q == nil {
		return
	}
	select {
	case <-time.After(http2.Grace):
		_ = q.each(func(c *quicConn) error { return c.leave(ctx) }) // shutdown tells it again
	case <-ctx.Done():
	}
}

// shutdown takes no more connections and requests, and waits for those in flight until ctx ends.
func (q *quicServer) shutdown(ctx context.Context) error {
	if q == nil {
		return nil
	}
	return errors.Join(q.each(func(c *quicConn) error { return c.end(ctx, quietAtStop) }), q.transport.Close())
}

// each takes no more connections, and does the same with all that there are.
func (q *quicServer) each(do func(*quicConn) error) error {
	q.stopAccepting()
	q.loop.Lock() // it has added the last connection
	q.mu.Lock()
	conns := slices.Collect(maps.Keys(q.conns))
	q.mu.Unlock()
	q.loop.Unlock()
	var group errgroup.Group
	for _, c := range conns {
		group.Go(func() error { return do(c) })
	}
	return group.Wait()
}

// serveHTTP3 passes on a request that came by HTTP/3, which does not say whether a body follows.
func (p *Proxy) serveHTTP3(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength < 0 && isSafe(r.Method) { // which seldom has one
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(p.config.ReadHeaderTimeout)) // fails on a closed stream only
		var first [1]byte
		switch n, err := io.ReadFull(r.Body, first[:]); {
		case errors.Is(err, io.EOF):
			r.Body, r.ContentLength = http.NoBody, 0
		default:
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(bytes.NewReader(first[:n]), r.Body), r.Body}
		}
	}
	p.ServeHTTP(w, r)
}
