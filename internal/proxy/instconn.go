package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/apron-run/apron/internal/proxy/http2"
)

const (
	// maxResponseHeaderBytes bounds an app's response headers, interim answers included.
	maxResponseHeaderBytes = 256 << 10
	connBufferBytes        = 4 << 10
)

var errHeadTooLong = errors.New("the head of the answer is longer than 256 KiB")

// instConn is a connection to an instance. It carries one exchange at a time.
type instConn struct {
	net.Conn
	upstream *upstream
	reader   *bufio.Reader
	writer   *bufio.Writer
	// sent and received count the bytes of the current exchange.
	sent     atomic.Int64
	received int64
	// headLeft is how much more may be read before the answer's head must be complete; negative means no limit.
	headLeft  int64
	idleSince time.Time
}

func newInstConn(conn net.Conn, u *upstream) *instConn {
	c := &instConn{Conn: conn, upstream: u}
	c.reader, c.writer = bufio.NewReaderSize(c, connBufferBytes), bufio.NewWriterSize(c, connBufferBytes)
	return c
}

func (c *instConn) Read(p []byte) (int, error) {
	if c.headLeft == 0 {
		return 0, errHeadTooLong
	}
	if c.headLeft > 0 && int64(len(p)) > c.headLeft {
		p = p[:c.headLeft]
	}
	n, err := c.Conn.Read(p)
	c.received += int64(n)
	if c.headLeft > 0 {
		c.headLeft -= int64(n)
	}
	return n, err
}

func (c *instConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// isOpen says whether a kept connection is open and silent, as far as is known on this side: a look at what has
// arrived, which takes nothing and waits for nothing.
func (c *instConn) isOpen() bool {
	system, ok := c.Conn.(syscall.Conn)
	if !ok || c.reader.Buffered() > 0 {
		return false
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return false
	}
	isSilent := false
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		isSilent = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && isSilent
}

// exchange sends a request and returns the head of its answer, which may come before the request's body was sent. The
// end of ctx closes the connection until the reply is closed or taken over. After an error the connection is closed.
func (c *instConn) exchange(ctx context.Context, out *outgoing) (*reply, error) {
	c.received, c.headLeft = 0, maxResponseHeaderBytes
	c.sent.Store(0)
	r := &reply{conn: c, out: out, stopWatch: context.AfterFunc(ctx, func() { c.Close() })}
	// An answer may be there even if the request could not be sent: an app may refuse and close at once.
	writeErr := out.writeHead(c.writer)
	if out.body != nil && writeErr == nil {
		r.sending, r.proceed, r.over = make(chan struct{}), make(chan struct{}), make(chan struct{})
		go r.sendBody()
	}
	if err := r.readHead(); err != nil {
		r.close()
		return nil, errors.Join(writeErr, err)
	}
	return r, nil
}

// reply is the answer of an instance. Its owner streams the body of response and then calls close.
type reply struct {
	conn     *instConn
	out      *outgoing
	response *http.Response
	// isRead is set by the owner once it has read the response to its end.
	isRead bool

	stopWatch func() bool
	isClosed  bool

	sending     chan struct{} // closed when the sending of the body has ended; nil without a body
	isSentWhole bool          // to be read after sending is closed
	proceed     chan struct{} // closed when the app wants the body that it was asked about
	over        chan struct{} // closed when the body is not wanted any more

	// endStream is all that close does with an answer that came by HTTP/2, which has none of the above but response and isRead.
	endStream func()
}

// readHead reads answers until one is not an interim one.
func (r *reply) readHead() error {
	switch begin, err := r.conn.reader.Peek(http2.FrameHeaderBytes); { // no answer is shorter than that
	case http2.IsFirst(begin):
		return errSpeaksHTTP2
	case len(begin) == 0 && errors.Is(err, io.EOF):
		return errors.New("the connection was closed without an answer")
	case len(begin) == 0:
		return fmt.Errorf("read the head of the answer: %w", err)
	}
	request, hasProceeded := &http.Request{Method: r.out.method}, false
	for {
		response, err := http.ReadResponse(r.conn.reader, request)
		if err != nil {
			return fmt.Errorf("read the head of the answer: %w", err)
		}
		switch {
		case response.StatusCode == http.StatusSwitchingProtocols || response.StatusCode >= 200:
			r.response, r.conn.headLeft = response, -1
			return nil
		case response.StatusCode < 100:
			return fmt.Errorf("the answer has the status %d", response.StatusCode)
		case response.StatusCode == http.StatusContinue:
			if r.proceed != nil && !hasProceeded {
				close(r.proceed)
				hasProceeded = true
			}
		default:
			r.out.inform(response.StatusCode, response.Header)
		}
	}
}

// sendBody sends the request's body. A body that the client did not send whole ends the connection, so that the app
// sees it too; when the app does not take it, its answer is still worth reading.
func (r *reply) sendBody() {
	defer close(r.sending)
	if r.out.expectsContinue {
		timer := time.NewTimer(continueTimeout)
		defer timer.Stop()
		select {
		case <-r.proceed:
		case <-timer.C:
		case <-r.over:
			return
		}
	}
	err := r.out.writeBody(r.conn.writer)
	if r.out.body.clientProblem() != nil {
		r.conn.Close()
	}
	r.isSentWhole = err == nil
}

// takeOver gives up the connection to a tunnel: the end of the request's context does nothing to it any more. It
// returns false when that has come already.
func (r *reply) takeOver() bool { return r.stopWatch() }

// close keeps the connection for reuse if the exchange is complete, and closes it otherwise. Nothing reads the
// request's body any more when it returns. Twice is safe.
func (r *reply) close() {
	if r.isClosed {
		return
	}
	r.isClosed = true
	if r.endStream != nil {
		r.endStream()
		return
	}
	isWhole := r.stopWatch() && r.isRead && r.conn.reader.Buffered() == 0
	if r.sending != nil {
		close(r.over)
		isWhole = r.endSending() && isWhole
	}
	switch {
	case isWhole && r.out.method != http.MethodHead && !r.out.isLastOfConn() && !r.response.Close:
		r.conn.upstream.put(r.conn)
	case isWhole:
		r.conn.awaitEnd()
	default:
		r.conn.Close()
	}
}

// lastPieceWithin is how long the last piece of a body may be on its way to an app that has answered.
const lastPieceWithin = 10 * time.Millisecond

// endSending ends the sending of the body, and says whether it was sent whole. The app may have answered what it has read before it is
// known here that it was sent.
func (r *reply) endSending() (isSentWhole bool) {
	if r.isRead && r.out.body.isAtEOF.Load() {
		select {
		case <-r.sending:
		case <-time.After(lastPieceWithin):
		}
	}
	select {
	case <-r.sending:
		return r.isSentWhole
	default:
		r.conn.Close()
		r.out.body.end()
		<-r.sending
		return false
	}
}

// awaitEnd closes the connection after the app has, and does not wait for that: see lane.awaitEnd.
func (c *instConn) awaitEnd() {
	if !c.upstream.expectEnd(c) {
		c.Close()
		return
	}
	go func() {
		defer c.upstream.forget(c)
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(endWithin)) // one that cannot be set is closed
		_, _ = c.Conn.Read(make([]byte, 1))
	}()
}
