package proxy

import (
	"net"
	"sync"
	"sync/atomic"
)

// limitConns bounds the connections that are open at a time. The others wait in the kernel's queue.
func limitConns(listener net.Listener, most int) *limitedListener {
	return &limitedListener{Listener: listener, slots: make(chan struct{}, most), closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
	// isFull says that enter has found no slot: the next exit calls resume.
	isFull atomic.Bool

	mu             sync.Mutex // guards the members below
	detach, resume func()     // the acceptor's, if there is one
}

// attach lets an acceptor take the connections instead of Accept. It is called at most once, before anything is accepted.
func (l *limitedListener) attach(detach, resume func()) {
	l.mu.Lock()
	l.detach, l.resume = detach, resume
	l.mu.Unlock()
	select {
	case <-l.closed:
		detach()
	default:
	}
}

// enter takes a slot without waiting.
func (l *limitedListener) enter() bool {
	for range 2 { // one may have become free before isFull was seen
		select {
		case l.slots <- struct{}{}:
			return true
		default:
			l.isFull.Store(true)
		}
	}
	return false
}

// exit gives a slot back.
func (l *limitedListener) exit() {
	<-l.slots
	if l.isFull.CompareAndSwap(true, false) {
		l.mu.Lock()
		resume := l.resume
		l.mu.Unlock()
		resume()
	}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: conn, release: sync.OnceFunc(l.exit)}, nil
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	l.mu.Lock()
	detach := l.detach
	l.mu.Unlock()
	if detach != nil {
		detach()
	}
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}

// CloseWrite lets the server and tunnels end one direction.
func (c *limitedConn) CloseWrite() error {
	if conn, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return conn.CloseWrite()
	}
	return net.ErrClosed
}
