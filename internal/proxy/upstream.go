package proxy

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// maxIdlePerInstance bounds the connections to an instance that are kept for reuse.
	maxIdlePerInstance = 64
	// idlePerInstance is how long they are kept.
	idlePerInstance = 30 * time.Second
	// endWithin is how long an app may take to close a connection that it was told to close, or has said that it does. No more than maxEnding
	// of them are waited for at a time.
	endWithin = time.Second
	maxEnding = 2048
)

// errNothingSent marks a failure before the first byte of the request had been sent.
var errNothingSent = errors.New("nothing was sent")

// upstream sends requests to one instance and keeps connections to it.
type upstream struct {
	address     string
	dialTimeout time.Duration

	mu       sync.Mutex             // guards the members below
	idle     []*instConn            // oldest first
	ending   map[*instConn]struct{} // those that the app is about to close
	sweeper  *time.Timer            // runs while there are idle connections
	isClosed bool                   // no connection is kept any more
	h2c      *http.Transport        // nil as long as no request was sent by HTTP/2
}

func newUpstream(address string, config Config) *upstream {
	return &upstream{address: address, dialTimeout: config.DialTimeout, ending: map[*instConn]struct{}{}}
}

// expectEnd remembers a connection that the app is about to close, until forget; false says that it is not to be waited for.
func (u *upstream) expectEnd(conn *instConn) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.isClosed || len(u.ending) >= maxEnding {
		return false
	}
	u.ending[conn] = struct{}{}
	return true
}

func (u *upstream) forget(conn *instConn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.ending, conn)
}

// send sends a request and returns the head of its answer. A failure before the first byte is errNothingSent.
func (u *upstream) send(ctx context.Context, protocol platform.AppProtocol, out *outgoing) (*reply, error) {
	if protocol == platform.AppProtocolH2C {
		return u.sendStream(ctx, out)
	}
	return u.sendMessage(ctx, out)
}

// sendMessage sends a request by HTTP/1.1.
//
// Only a repeatable request takes a kept connection, because the app may close that in the very moment: then it is sent
// again over a new one. Any other request gets a new connection, which no app closes before it has seen a request, and which is told to
// be for that one: few of them would find another use.
func (u *upstream) sendMessage(ctx context.Context, out *outgoing) (*reply, error) {
	if out.isRepeatable() {
		if conn := u.take(); conn != nil {
			answer, err := conn.exchange(ctx, out)
			switch {
			case err == nil && answer.response.StatusCode == http.StatusRequestTimeout && answer.response.Close:
				answer.close() // some servers say so to a connection that was idle for long, not to this request
			case err == nil:
				return answer, nil
			case conn.received > 0 || ctx.Err() != nil:
				return nil, err
			}
		}
	}
	plain, err := u.dial(ctx, "tcp", u.address)
	if err != nil {
		return nil, err
	}
	conn := newInstConn(plain, u)
	answer, err := conn.exchange(ctx, out)
	if err != nil && conn.sent.Load() == 0 {
		return nil, errors.Join(errNothingSent, err)
	}
	return answer, err
}

// take returns the connection that was used last and still seems open, or nil. The app may have closed the others.
func (u *upstream) take() *instConn {
	for {
		u.mu.Lock()
		last := len(u.idle) - 1
		if last < 0 {
			u.mu.Unlock()
			return nil
		}
		conn := u.idle[last]
		u.idle[last] = nil
		u.idle = u.idle[:last]
		u.mu.Unlock()
		if conn.isOpen() {
			return conn
		}
		conn.Close()
	}
}

// put keeps a connection for reuse, or closes it.
func (u *upstream) put(conn *instConn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.isClosed || len(u.idle) >= maxIdlePerInstance {
		conn.Close()
		return
	}
	conn.idleSince = time.Now()
	u.idle = append(u.idle, conn)
	if u.sweeper == nil {
		u.sweeper = time.AfterFunc(idlePerInstance, u.sweep)
	}
}

// sweep closes what has been idle for long.
func (u *upstream) sweep() {
	u.mu.Lock()
	defer u.mu.Unlock()
	limit := time.Now().Add(-idlePerInstance)
	u.idle = slices.DeleteFunc(u.idle, func(conn *instConn) bool {
		isOld := !conn.idleSince.After(limit)
		if isOld {
			conn.Close()
		}
		return isOld
	})
	u.sweeper = nil
	if len(u.idle) > 0 {
		u.sweeper = time.AfterFunc(time.Until(u.idle[0].idleSince.Add(idlePerInstance)), u.sweep)
	}
}

// close closes the kept connections, and those in use when they come back.
func (u *upstream) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.isClosed = true
	if u.sweeper != nil {
		u.sweeper.Stop()
	}
	for _, conn := range u.idle {
		conn.Close()
	}
	u.idle = nil
	for conn := range u.ending {
		conn.Close()
	}
	if u.h2c != nil {
		u.h2c.CloseIdleConnections()
	}
}
