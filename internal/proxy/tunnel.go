package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apron-run/apron/internal/platform"
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
	t := newTunnel(x.record.InstanceID, conn, &bufferedConn{answer.conn}, x.timeouts.tunnel, isWebSocket(agreed))
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
	x.record.RequestBytes, x.w.written = t.run(buffered.Reader)
	if t.wasIdle.Load() {
		x.record.Problem = errIdle.Error()
	}
}

// endTimeout is how long both sides of a WebSocket may take to end it in order.
const endTimeout = 2 * time.Second

// tunnel is an upgraded connection.
type tunnel struct {
	instanceID platform.InstanceID
	client     net.Conn
	instance   io.ReadWriteCloser
	idleFor    time.Duration
	timer      *time.Timer
	wasIdle    atomic.Bool // it was ended because nothing has passed for idleFor
	// toClient and toInstance know how to end a WebSocket; nil for another protocol.
	toClient, toInstance *webSocketWriter
	endOnLane            func()        // begins the end of one on the fast road, which has none of the members above but the first
	over                 chan struct{} // closed when it is no longer among the open ones
}

func newTunnel(id platform.InstanceID, client net.Conn, instance io.ReadWriteCloser, idleFor time.Duration, isWebSocket bool) *tunnel {
	t := &tunnel{instanceID: id, client: client, instance: instance, idleFor: idleFor, over: make(chan struct{})}
	if isWebSocket {
		t.toClient, t.toInstance = &webSocketWriter{Writer: client}, &webSocketWriter{Writer: instance, isMasked: true}
	}
	return t
}

// run passes bytes until both directions have ended, and returns how many came from the client and went to it.
func (t *tunnel) run(fromClient io.Reader) (received, sent int64) {
	t.timer = time.AfterFunc(t.idleFor, t.expire)
	defer t.timer.Stop()
	var toClient, toInstance io.Writer = t.client, t.instance
	if t.toClient != nil {
		toClient, toInstance = t.toClient, t.toInstance
		t.toClient.begin()
		t.toInstance.begin()
	}
	var group sync.WaitGroup
	group.Go(func() {
		received = t.pass(toInstance, t.instance, fromClient)
	})
	sent = t.pass(toClient, t.client, t.instance)
	group.Wait()
	return received, sent
}

// expire ends a tunnel through which nothing has passed for long.
func (t *tunnel) expire() {
	t.wasIdle.Store(true)
	t.end()
}

// pass copies one direction. Its orderly end ends that direction of the other side, which may go on sending; an error
// ends both.
func (t *tunnel) pass(to, conn io.Writer, from io.Reader) (copied int64) {
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	for {
		n, err := from.Read(buffer[:])
		if n > 0 {
			t.timer.Reset(t.idleFor)
			if _, err := to.Write(buffer[:n]); err != nil {
				if !errors.Is(err, errWebSocketOver) || t.toClient.hasClosed.Load() && t.toInstance.hasClosed.Load() {
					t.close()
				}
				return copied
			}
			copied += int64(n)
		}
		if err == nil {
			continue
		}
		if socket, ok := to.(*webSocketWriter); ok && socket.isClosing.Load() {
			socket.close() // the other side may be told before this one has been
		}
		half, ok := conn.(interface{ CloseWrite() error })
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

// end begins the end of the tunnel. A WebSocket's sides are told so, and have endTimeout to take their leave; of another protocol
// nobody knows how.
func (t *tunnel) end() {
	if t.endOnLane != nil {
		t.endOnLane()
		return
	}
	if t.toClient == nil {
		t.close()
		return
	}
	time.AfterFunc(endTimeout, t.close) // ends what the lines below wait for, too
	t.toClient.isClosing.Store(true)
	t.toInstance.isClosing.Store(true)
	go t.toClient.close()
	go t.toInstance.close()
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
	close(t.over)
}

// endAll ends all tunnels and lets no new one in.
func (s *tunnels) endAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isClosed = true
	for t := range s.open {
		t.end()
	}
}

// ofInstances are the tunnels that are open to one of the instances.
func (s *tunnels) ofInstances(ids []platform.InstanceID) (found []*tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.open {
		if slices.Contains(ids, t.instanceID) {
			found = append(found, t)
		}
	}
	return found
}

// EndTunnels ends the upgraded connections to instances that are about to be stopped, and waits for that, until ctx ends.
// WebSockets are closed in order: both sides get a frame that says that the other goes away (1001). It is for what is left
// after Drain.
func (p *Proxy) EndTunnels(ctx context.Context, ids []platform.InstanceID) {
	left := p.tunnels.ofInstances(ids)
	for _, t := range left {
		t.end()
	}
	for _, t := range left {
		select {
		case <-t.over:
		case <-ctx.Done():
			return
		}
	}
}
