package proxy

import (
	"errors"
	"os"
	"sync"
	"time"
)

// longAgo is a deadline that ends a read at once.
var longAgo = time.Unix(1, 0)

// readDeadline is that of a connection of HTTP/1.1, on which a read of a request's body can be interrupted.
//
// Behind a body's end the server reads on, to learn when the client leaves. It takes any failure of that read for the client's leave, and
// ends the context of this request and of all that follow on the connection. Who interrupts a read cannot know whether it has just
// come to the body's end, so an interruption that meets the read behind it is undone.
type readDeadline struct {
	mu            sync.Mutex // guards the members below, and keeps them in step with the connection's
	at            time.Time
	isInterrupted bool
}

// SetReadDeadline is as a net.Conn has it.
func (c *strictConn) SetReadDeadline(at time.Time) error {
	c.deadline.mu.Lock()
	defer c.deadline.mu.Unlock()
	c.deadline.at, c.deadline.isInterrupted = at, false
	return c.limitedConn.SetReadDeadline(at)
}

// interruptBody has a read fail that waits for more of a body.
func (c *strictConn) interruptBody() error {
	c.deadline.mu.Lock()
	defer c.deadline.mu.Unlock()
	c.deadline.isInterrupted = true
	return c.limitedConn.SetReadDeadline(longAgo)
}

// readOn reads, and goes on where an interruption was meant for the body that is over: what the server reads behind it is a single byte.
func (c *strictConn) readOn(p []byte) (int, error) {
	for {
		n, err := c.limitedConn.Read(p)
		if n > 0 || len(p) > 1 || !errors.Is(err, os.ErrDeadlineExceeded) || !c.undoInterruption() {
			return n, err
		}
	}
}

// undoInterruption is false when the connection's own deadline has passed.
func (c *strictConn) undoInterruption() bool {
	c.deadline.mu.Lock()
	defer c.deadline.mu.Unlock()
	if !c.deadline.isInterrupted {
		return false
	}
	c.deadline.isInterrupted = false
	return c.limitedConn.SetReadDeadline(c.deadline.at) == nil
}
