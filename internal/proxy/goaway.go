package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// farewell ends a connection of HTTP/2 so that no request is lost that crosses the news (RFC 9113, 6.8): the client is first asked to
// begin no more streams, while those that come all the same are served; the server ends the connection goAwayFor later. By itself the
// server knows only how to end it at once, and throws away what it has not seen by then.
//
// It stands between the server and the connection, and adds two frames between theirs: the first GOAWAY to what the server writes, and
// one in the client's name to what the server reads. The server takes that for the wish to end: it says which stream was the last, and
// closes the connection when none is left.
type farewell struct {
	conn net.Conn
	// isFramed says that the client has begun HTTP/2. It is set before the server writes anything.
	isFramed bool
	// isEnding says that the server is to end the connection.
	isEnding atomic.Bool

	// These are the reader's: what the client sends, whether the server was told, and what it has not read of that.
	in     http2Frames
	isTold bool
	unread []byte

	mu    sync.Mutex // guards the members below, and keeps what is written in order
	out   http2Frames
	isDue bool // of the first GOAWAY
}

// begin asks the client to leave as soon as no frame is under way, and never where HTTP/2 is not spoken.
func (f *farewell) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.isDue = true
	if f.out.isBetween() {
		_ = f.announce() // where this fails, the server's next write or read does too
	}
}

// announce writes the first GOAWAY. Callers hold mu.
func (f *farewell) announce() error {
	f.isDue = false
	_, err := f.conn.Write(goAway(maxStreamID))
	time.AfterFunc(goAwayFor, f.end)
	return err
}

// end has the server end the connection, which may be waiting for the client.
func (f *farewell) end() {
	f.isEnding.Store(true)
	_ = f.conn.SetReadDeadline(longAgo) // fails only when it is closed
}

func (f *farewell) write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	written := 0
	if f.isDue {
		end := 0 // of the frame that is under way, or of p
		for end < len(p) && !f.out.isBetween() {
			end += f.out.next(p[end:])
		}
		n, err := f.conn.Write(p[:end])
		if err == nil && f.out.isBetween() {
			err = f.announce()
		}
		if written = end; err != nil || written == len(p) {
			return n, err
		}
	}
	f.out.follow(p[written:])
	n, err := f.conn.Write(p[written:])
	return written + n, err
}

func (f *farewell) read(p []byte) (int, error) {
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

const (
	// maxStreamID says in a GOAWAY that no stream is refused yet.
	maxStreamID      = 1<<31 - 1
	frameHeaderBytes = 9
	endOfHeaders     = 0x4
)

// The types of frames that matter here.
const (
	frameHeaders      = 0x1
	frameSettings     = 0x4
	framePushPromise  = 0x5
	frameGoAway       = 0x7
	frameContinuation = 0x9
)

// goAway returns the frame that says, without an error, which stream is the last.
func goAway(last uint32) []byte {
	frame := make([]byte, frameHeaderBytes+8)
	frame[2], frame[3] = 8, frameGoAway
	binary.BigEndian.PutUint32(frame[frameHeaderBytes:], last)
	return frame
}

// http2Frames follows the frames that go by in one direction (RFC 9113, 4.1).
type http2Frames struct {
	header [frameHeaderBytes]byte
	got    int // bytes of it
	left   int // bytes of the payload
	// hasBegun says that there was a frame: the first must be the side's SETTINGS. isOpen says that the next one must continue headers.
	hasBegun, isOpen bool
}

// isBetween says whether another frame may stand here.
func (f *http2Frames) isBetween() bool { return f.hasBegun && !f.isOpen && f.got == 0 && f.left == 0 }

// next returns how much of p belongs to the frame that is under way, or begins.
func (f *http2Frames) next(p []byte) (n int) {
	if f.left == 0 {
		n = copy(f.header[f.got:], p)
		if f.got += n; f.got < frameHeaderBytes {
			return n
		}
		f.got, f.hasBegun = 0, true
		f.left = int(f.header[0])<<16 | int(f.header[1])<<8 | int(f.header[2])
		switch f.header[3] {
		case frameHeaders, framePushPromise, frameContinuation:
			f.isOpen = f.header[4]&endOfHeaders == 0
		}
	}
	payload := min(f.left, len(p)-n)
	f.left -= payload
	return n + payload
}

func (f *http2Frames) follow(p []byte) {
	for len(p) > 0 {
		p = p[f.next(p):]
	}
}

// newStrictConn makes a connection strict, and ends it in order when the proxy leaves if HTTP/2 is spoken on it.
func (p *Proxy) newStrictConn(conn *limitedConn) *strictConn {
	c := &strictConn{limitedConn: conn, maxHeaderBytes: p.config.MaxHeaderBytes, farewell: farewell{conn: conn}}
	c.forget = context.AfterFunc(p.leaving, c.farewell.begin)
	return c
}

func (c *strictConn) Close() error {
	c.forget()
	return c.limitedConn.Close()
}
