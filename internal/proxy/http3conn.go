package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/apron-run/apron/internal/proxy/http2"
)

// quicConn is a client's connection, with a server of its own: the library's asks its client to leave by one GOAWAY and rejects what
// comes after that, so each is asked when least is under way.
type quicConn struct {
	server *http3.Server
	conn   *quic.Conn
	// requests counts those in flight. Once isLeaving, answered is told when the last of them is about to end.
	requests  atomic.Int64
	isLeaving atomic.Bool
	answered  chan struct{}
	// unusedFor is how long there may be no request: the library's own timer stops when a stream begins, and knows no bound for its head.
	unusedFor time.Duration
	usedAt    atomic.Int64 // the uptime at which the last request ended
}

// goAwayAhead is how much earlier than the end of an answer its client is asked to leave. One that is busy reads both at once otherwise,
// and begins its next request first.
const goAwayAhead = 100 * time.Millisecond

func (q *quicServer) newServer() *http3.Server {
	return &http3.Server{
		MaxHeaderBytes: q.maxHeaderBytes, IdleTimeout: q.idleTimeout,
		Logger: slog.New(slog.DiscardHandler), // it tells what clients do wrong
	}
}

// serve answers until the connection ends.
func (c *quicConn) serve() {
	c.usedAt.Store(int64(uptime()))
	go c.endUnused()
	_ = c.server.ServeQUICConn(c.conn)                                             // it tells what the client did wrong
	_ = c.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "") // of a server that was told to end before it began
}

func (c *quicConn) count(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.requests.Add(1)
		defer func() {
			c.usedAt.Store(int64(uptime()))
			if c.requests.Add(-1) == 0 && c.isLeaving.Load() {
				select {
				case c.answered <- struct{}{}:
					time.Sleep(goAwayAhead) // the library does not say when it has sent that
				default:
				}
			}
		}()
		handler.ServeHTTP(w, r)
	})
}

// leave asks the client to leave with the next answer beside which nothing is in flight, as HTTP/1.1 does by a header. What the client
// asks for afterwards it asks another connection for; a request that crosses the news is rejected, and one whose body is gone
// cannot be sent again. A client that asks for nothing is told after a while.
func (c *quicConn) leave(ctx context.Context) error {
	c.isLeaving.Store(true)
	ticker := time.NewTicker(http2.Grace)
	defer ticker.Stop()
	for isBusy := true; isBusy; {
		select {
		case <-c.answered:
			isBusy = false
		case <-ticker.C:
			isBusy = c.requests.Load() > 0
		case <-c.conn.Context().Done():
			return nil
		case <-ctx.Done():
			return nil // shutdown ends it
		}
	}
	return c.end(ctx, http2.Grace)
}

// end asks the client to leave, and closes the connection when no request has been in flight for so long, or ctx ends.
func (c *quicConn) end(ctx context.Context, quiet time.Duration) error {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		c.awaitQuiet(waiting, quiet)
		stop()
	}()
	err := c.server.Shutdown(waiting)
	switch {
	case ctx.Err() != nil && err != nil:
		return fmt.Errorf("wait for requests by HTTP/3: %w", err)
	case waiting.Err() != nil:
		return nil
	}
	return err
}

// awaitQuiet waits until no request has been in flight for as long as what a client has sent may take to come, which is quiet. Clients
// may keep connections open on which nothing happens.
func (c *quicConn) awaitQuiet(ctx context.Context, quiet time.Duration) {
	ticker := time.NewTicker(lingerEvery)
	defer ticker.Stop()
	for quietSince := time.Now(); time.Since(quietSince) < quiet; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if c.requests.Load() > 0 {
			quietSince = time.Now()
		}
	}
}

// endUnused closes the connection when there was no request for long, whatever streams are open on it.
func (c *quicConn) endUnused() {
	timer := time.NewTimer(c.unusedFor)
	defer timer.Stop()
	for {
		select {
		case <-c.conn.Context().Done():
			return
		case <-timer.C:
		}
		left := c.unusedFor - (uptime() - time.Duration(c.usedAt.Load()))
		switch {
		case c.requests.Load() > 0:
			timer.Reset(c.unusedFor)
		case left > 0:
			timer.Reset(left)
		default:
			_ = c.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
			return
		}
	}
}
