package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// countedConn counts what is open.
type countedConn struct {
	net.Conn
	open *atomic.Int64
}

func (c countedConn) Close() error {
	c.open.Add(-1)
	return nil
}

func TestAConnectionThatIsHandedOverAtTheEndIsTakenOrClosed(t *testing.T) {
	for range 2000 {
		h := &handedOver{conns: make(chan net.Conn, 4), closed: make(chan struct{})}
		var open atomic.Int64
		var all sync.WaitGroup
		all.Go(func() {
			for {
				conn, err := h.Accept()
				if err != nil {
					return
				}
				conn.Close()
			}
		})
		for range 3 {
			open.Add(1)
			all.Go(func() { h.give(countedConn{open: &open}) })
		}
		all.Go(func() { h.Close() })
		all.Wait()
		if n := open.Load(); n != 0 {
			t.Fatalf("%d connections are nobody's", n)
		}
	}
}
