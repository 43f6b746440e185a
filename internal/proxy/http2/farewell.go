// Package http2 is what the standard library does not do of HTTP/2: it ends connections so that no request is lost.
package http2

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Grace is how long clients that were asked to leave may still send requests that they had begun, and be far away or slow.
const Grace = 5 * time.Second

// Farewell ends a connection of HTTP/2 so that no request is lost that crosses the news (RFC 9113, 6.8): the client is first asked to
// begin no more streams, while those that come all the same are served; the server ends the connection Grace later. By itself the
// server knows only how to end it at once, and throws away what it has not seen by then.
//
// It stands between the server and the connection, and adds two frames between theirs: the first GOAWAY to what the server writes, and
// one in the client's name to what the server reads. The server takes that for the wish to end: it says which stream was the last, and
// closes the connection when none is left.
type Farewell struct {
	conn net.Conn
	// isEnding says that the server is to end the connection.
	isEnding atomic.Bool

	// These are the reader's: what the client sends, whether the server was told, and what it has not read of that.
	in     frames
	isTold bool
	unread []byte

	mu    sync.Mutex // guards the members below, and keeps what is written in order
	out   frames
	isDue bool // of the first GOAWAY
}

// NewFarewell returns the farewell of a connection.
func NewFarewell(conn net.Conn) *Farewell { return &Farewell{conn: conn} }

// Begin asks the client to leave as soon as no frame is under way, and never where HTTP/2 is not spoken.
func (f *Farewell) Begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.isDue = true
	if f.out.isBetween() {
		_ = f.announce() // where this fails, the server's next write or read does too
	}
}

// announce writes the first GOAWAY. Callers hold mu.
func (f *Farewell) announce() error {
	f.isDue = false
	_, err := f.conn.Write(goAway(maxStreamID))
	time.AfterFunc(Grace, f.end)
	return err
}

// end has the server end the connection, which may be waiting for the client.
func (f *Farewell) end() {
	f.isEnding.Store(true)
	_ = f.conn.SetReadDeadline(time.Unix(1, 0)) // fails only when it is closed
}

// Write sends what the server writes.
func (f *Farewell) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	written := 0
	if f.isDue {
		out, end := f.out, 0 // of the frame that is under way, or of p
		for end < len(p) && !out.isBetween() {
			end += out.next(p[end:])
		}
		n, err := f.conn.Write(p[:end])
		f.out.follow(p[:n])
		if err == nil && f.out.isBetween() {
			if err = f.announce(); err != nil {
				err = errors.New("send GOAWAY: " + err.Error()) // after a part of it the server must not go on, as it does at a deadline
			}
		}
		if written = end; err != nil || written == len(p) {
			return n, err
		}
	}
	n, err := f.conn.Write(p[written:])
	f.out.follow(p[written : written+n]) // what a deadline has left out the server sends again
	return written + n, err
}

// Read reads what the client sends, for the server.
func (f *Farewell) Read(p []byte) (int, error) {
	for {
		if f.isEnding.Load() && !f.isTold && f.in.isBetween() {
			f.isTold, f.unread = true, goAway(0)
		}
		if len(f.unread) > 0 {
			n := copy(p, f.unread)
			f.unread = f.unread[n:]
			return n, nil
		}
		n, err := f.conn.Read(p)
		f.in.follow(p[:n])
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !f.isEnding.Load() {
			return n, err
		}
		_ = f.conn.SetReadDeadline(time.Time{}) // it was that of end
	}
}

// Follow is told what was read of the client's frames before Read was called.
func (f *Farewell) Follow(read []byte) { f.in.follow(read) }
