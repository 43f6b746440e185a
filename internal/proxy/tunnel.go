package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// upgrade answers 101 and passes bytes in both directions until both sides have ended, or nothing passed for long.
func (x *exchange) upgrade(ctx context.Context, route *route, answer *reply) {
	response := answer.response
	asked, agreed := requestedUpgrade(x.r), upgradeOf(response.Header)
	if asked == "" || !strings.EqualFold(asked, agreed) {
		x.fail(ctx, route, fmt.Errorf("the instance switched to %q when %q was asked for", agreed, asked))
		return
	}
	x.idle.stop()
	if !answer.takeOver() {
		x.fail(ctx, route, context.Cause(ctx))
		return
	}
	conn, buffered, err := x.control.Hijack()
	if err != nil {
		x.fail(ctx, route, fmt.Errorf("take over the connection: %w", err))
		return
	}
	x.w.status = response.StatusCode
	t := &tunnel{client: conn, instance: &bufferedConn{answer.conn}, idleFor: x.timeouts.tunnel}
	defer t.close()
	if !x.tunnels.add(t) {
		return // the proxy is stopping
	}
	defer x.tunnels.remove(t)

	removeHopByHop(response.Header)
	response.Header["Connection"], response.Header["Upgrade"] = []string{"Upgrade"}, []string{agreed}
	response.Body = nil // Write writes the head only
	if err := errors.Join(conn.SetDeadline(time.Time{}), response.Write(buffered), buffered.Flush()); err != nil {
		x.record.Problem = err.Error()
		return
	}
	x.w.written = t.run(buffered.Reader)
}

// tunnel is an upgraded connection.
type tunnel struct {
	client   net.Conn
	instance io.ReadWriteCloser
	idleFor  time.Duration
	timer    *time.Timer
}

// run passes bytes until both directions have ended, and returns how many went to the client.
func (t *tunnel) run(fromClient io.Reader) (sent int64) {
	t.timer = time.AfterFunc(t.idleFor, t.close)
	defer t.timer.Stop()
	var group sync.WaitGroup
	group.Go(func() {
		t.pass(t.instance, fromClient)
	})
	sent = t.pass(t.client, t.instance)
	group.Wait()
	return sent
}

// pass copies one direction. Its orderly end ends that direction of the other side, which may go on sending; an error
// ends both.
func (t *tunnel) pass(to io.Writer, from io.Reader) (copied int64) {
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	for {
		n, err := from.Read(buffer[:])
		if n > 0 {
			t.timer.Reset(t.idleFor)
			if _, err := to.Write(buffer[:n]); err != nil {
				t.close()
				return copied
			}
			copied += int64(n)
		}
		if err == nil {
			continue
		}
		half, ok := to.(interface{ CloseWrite() error })
		if !errors.Is(err, io.EOF) || !ok || half.CloseWrite() != nil {
			t.close()
		}
		return copied
	}
}

// close ends both sides; twice is safe.
func (t *tunnel) close() {
	_, _ = t.client.Close(), t.instance.Close()
}

// bufferedConn reads what was buffered behind the answer's head first.
type bufferedConn struct{ *instConn }

func (c *bufferedConn) Read(p []byte) (int, error) { return c.instConn.reader.Read(p) }

func (c *bufferedConn) CloseWrite() error {
	if conn, ok := c.instConn.Conn.(*net.TCPConn); ok {
		return conn.CloseWrite()
	}
	return errors.ErrUnsupported
}

// tunnels are all that are open. The server does not know of them any more.
type tunnels struct {
	mu       sync.Mutex // guards open and isClosed
	open     map[*tunnel]struct{}
	isClosed bool
}

func (s *tunnels) add(t *tunnel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed {
		return false
	}
	if s.open == nil {
		s.open = map[*tunnel]struct{}{}
	}
	s.open[t] = struct{}{}
	return true
}

func (s *tunnels) remove(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, t)
}

// closeAll ends all tunnels and lets no new one in.
func (s *tunnels) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isClosed = true
	for t := range s.open {
		t.close()
	}
}
