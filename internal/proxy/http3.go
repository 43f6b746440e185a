package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// altSvcFor is for how many seconds clients remember that there is HTTP/3.
const altSvcFor = 24 * 60 * 60

// goAwayFor is how long clients that were asked to leave may still send requests that they had begun.
const goAwayFor = time.Second

// quicServer answers by HTTP/3. There is no 0-RTT: what a client sends before the handshake has ended, others could send again.
type quicServer struct {
	transport *quic.Transport
	http      *http3.Server
	// altSvc tells clients of the other protocols that this one is there.
	altSvc           string
	handshakeTimeout time.Duration
	// open counts connections, requests those in flight.
	open, requests atomic.Int64
}

var errTooManyConns = errors.New("too many connections are open")

func newQUICServer(p *Proxy) *quicServer {
	q := &quicServer{transport: &quic.Transport{Conn: p.config.QUIC, StatelessResetKey: p.config.QUICResetKey}, handshakeTimeout: p.config.ReadHeaderTimeout}
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
	q.http = &http3.Server{
		Handler: http.HandlerFunc(p.serveHTTP3), MaxHeaderBytes: p.config.MaxHeaderBytes, IdleTimeout: p.config.IdleTimeout,
		Logger: slog.New(slog.DiscardHandler), // it tells what clients do wrong
	}
	if address, ok := p.config.QUIC.LocalAddr().(*net.UDPAddr); ok {
		q.altSvc = `h3=":` + strconv.Itoa(address.Port) + `"; ma=` + strconv.Itoa(altSvcFor)
	}
	q.http.TLSConfig = p.tlsConfig()
	return q
}

// serve answers until shutdown.
func (q *quicServer) serve() error {
	listener, err := q.transport.ListenEarly(http3.ConfigureTLSConfig(q.http.TLSConfig), &quic.Config{
		Allow0RTT: false, MaxIdleTimeout: q.http.IdleTimeout, HandshakeIdleTimeout: q.handshakeTimeout,
	})
	if err != nil {
		return fmt.Errorf("listen for HTTP/3: %w", err)
	}
	defer listener.Close()
	return q.http.ServeListener(listener)
}

// leave takes no more connections, asks clients to end those that are open, and ends them itself once nothing happens. Handshakes
// that have begun are finished first: another proxy has the packets of new ones by now.
func (q *quicServer) leave(ctx context.Context) {
	if q == nil {
		return
	}
	select {
	case <-time.After(goAwayFor):
		_ = q.end(ctx) // shutdown tells it again
	case <-ctx.Done():
	}
}

// shutdown takes no more connections and requests, and waits for those in flight until ctx ends.
func (q *quicServer) shutdown(ctx context.Context) error {
	if q == nil {
		return nil
	}
	return errors.Join(q.end(ctx), q.transport.Close())
}

// end asks clients to leave, and closes their connections when no request is in flight, or ctx ends.
func (q *quicServer) end(ctx context.Context) error {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		q.awaitQuiet(waiting)
		stop()
	}()
	err := q.http.Shutdown(waiting)
	switch {
	case ctx.Err() != nil && err != nil:
		return fmt.Errorf("wait for requests by HTTP/3: %w", err)
	case waiting.Err() != nil:
		return nil
	}
	return err
}

// awaitQuiet waits until no request has been in flight for as long as what a client has sent may take to come. Clients may keep
// connections open on which nothing happens.
func (q *quicServer) awaitQuiet(ctx context.Context) {
	ticker := time.NewTicker(lingerEvery)
	defer ticker.Stop()
	for quietSince := time.Now(); time.Since(quietSince) < goAwayFor; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if q.requests.Load() > 0 {
			quietSince = time.Now()
		}
	}
}

// serveHTTP3 passes on a request that came by HTTP/3, which does not say whether a body follows.
func (p *Proxy) serveHTTP3(w http.ResponseWriter, r *http.Request) {
	p.quic.requests.Add(1)
	defer p.quic.requests.Add(-1)
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
