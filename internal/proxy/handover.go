package proxy

import (
	"net"
	"os"
	"sync"
)

// handOver gives the connection to the standard road, with what was read of it. Nothing of the request was sent to anybody.
func (c *clientConn) handOver() {
	c.dropApp()
	c.releaseClaim()
	read := append([]byte(nil), c.in.buffer[:c.in.to]...)
	if c.x.body.kind == framedByChunks {
		read = append(read, c.x.body.chunked.LeftOut()...)
	}
	fd, listener, others := c.fd, c.listener, c.others
	c.loop.Remove(fd)
	c.leave()
	c.fastRoad.conns.Add(-1)
	file := os.NewFile(uintptr(fd), "client")
	conn, err := net.FileConn(file) // has a descriptor of its own
	file.Close()
	if err != nil {
		listener.exit()
		return
	}
	others.give(&limitedConn{Conn: &resumedConn{conn, read}, release: sync.OnceFunc(listener.exit)})
}

// resumedConn is a connection of which something was read already.
type resumedConn struct {
	net.Conn
	read []byte
}

func (c *resumedConn) Read(p []byte) (int, error) {
	if len(c.read) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.read)
	if c.read = c.read[n:]; len(c.read) == 0 {
		c.read = nil
	}
	return n, nil
}

// CloseWrite lets the server and tunnels end one direction.
func (c *resumedConn) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// handedOver is the listener by which the standard road gets connections from the fast one.
type handedOver struct {
	conns  chan net.Conn
	closed chan struct{}
	addr   net.Addr
	// isPrivate says that it is for the private hosts.
	isPrivate bool

	mu       sync.Mutex // guards isClosed, and that nothing is given after that
	isClosed bool
}

func newHandedOver(from *limitedListener, isPrivate bool) *handedOver {
	return &handedOver{conns: make(chan net.Conn, cap(from.slots)), closed: make(chan struct{}), addr: from.Addr(), isPrivate: isPrivate}
}

func (h *handedOver) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
	}
	select {
	case conn := <-h.conns: // was given before
		return conn, nil
	default:
		return nil, net.ErrClosed
	}
}

func (h *handedOver) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isClosed {
		h.isClosed = true
		close(h.closed)
	}
	return nil
}

func (h *handedOver) Addr() net.Addr { return h.addr }

// give hands a connection over, or closes it when the standard road takes none any more. There is room for as many as may be open.
func (h *handedOver) give(conn net.Conn) {
	if !h.takes(conn) {
		conn.Close()
	}
}

func (h *handedOver) takes(conn net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isClosed {
		return false
	}
	select {
	case h.conns <- conn:
		return true
	default:
		return false
	}
}
