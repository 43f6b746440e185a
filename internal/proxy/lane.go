package proxy

import (
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/apron-run/apron/internal/proxy/eventloop"
	"github.com/apron-run/apron/internal/proxy/http1"
)

const (
	// smallBuffer is what a message gets at first, largeBuffer what it gets when it turns out to be longer.
	smallBuffer = 16 << 10
	largeBuffer = 64 << 10
	// spareBuffers and spareExchanges bound what a lane keeps for later.
	spareBuffers   = 64
	spareExchanges = 256
)

// lane is one event loop, with what its connections share. All of it is touched by the loop's goroutine only.
type lane struct {
	*fastRoad
	loop  *eventloop.Loop
	conns map[*clientConn]struct{}
	// kept are the connections to instances that wait for their next request.
	kept map[*instance][]*appConn
	// ending are those that the app is about to close.
	ending map[*appConn]struct{}
	// isShut says that the proxy is shutting down.
	isShut bool

	small, large [][]byte
	exchanges    []*carried
	answer       http1.Response // of the answer that is being read
	dateAt       int64
	date         []byte // for dateAt
}

func newLane(f *fastRoad, loop *eventloop.Loop) *lane {
	l := &lane{fastRoad: f, loop: loop, conns: map[*clientConn]struct{}{}, kept: map[*instance][]*appConn{}, ending: map[*appConn]struct{}{}}
	loop.Failed = l.failed
	return l
}

// failed ends the connection on which the program has gone wrong. The others know nothing of it.
func (l *lane) failed(handler eventloop.Handler, problem any) {
	l.config.Log.Error("a connection was cut off", "panic", problem, "stack", string(debug.Stack()))
	switch h := handler.(type) {
	case *clientConn:
		h.fail()
	case *appConn: // that is kept
		h.forget()
		h.close()
	}
}

// rescue is deferred by what the loop calls on behalf of the connection without knowing that.
func (c *clientConn) rescue() {
	if problem := recover(); problem != nil {
		c.failed(c, problem)
	}
}

// fail cuts the connection off, and does without the access log where that fails itself.
func (c *clientConn) fail() {
	defer func() {
		if problem := recover(); problem != nil && c.x != nil {
			c.x.client = nil
			c.abort("")
		}
	}()
	c.abort("the proxy has failed")
}

// begin takes a new connection.
func (l *lane) begin(fd int, peer netip.AddrPort, listener *limitedListener, others *handedOver) {
	c := &clientConn{
		lane: l, fd: fd, peer: peer.Addr().Unmap().WithZone(""), listener: listener, others: others, isPrivate: others.isPrivate,
	}
	defer c.rescue()
	c.isTrusted = l.isTrusted(c.peer)
	c.timer.Expired = c.expire
	l.conns[c] = struct{}{}
	eventloop.SetUp(fd)
	if l.isShut || l.loop.Add(fd, c) != nil {
		c.close()
		return
	}
	l.loop.SetTimer(&c.timer, l.config.ReadHeaderTimeout)
}

// shut closes what is idle, and has the others closed after their answer.
func (l *lane) shut() {
	l.isShut = true
	for c := range l.conns {
		if c.state == connIdle {
			c.close()
		}
	}
	for in := range l.kept {
		l.dropKept(in)
	}
	for a := range l.ending {
		a.forget()
		a.close()
	}
}

// closeAll cuts everything off.
func (l *lane) closeAll() {
	l.shut()
	for c := range l.conns {
		problem := "the proxy has stopped"
		if c.state == connTunnel {
			problem = "" // the usual end of one
		}
		c.abort(problem)
	}
}

func (l *lane) dropKept(in *instance) {
	for _, a := range l.kept[in] {
		a.close()
	}
	delete(l.kept, in)
}

// takeBuffer returns a buffer of at least size bytes, to be given back.
func (l *lane) takeBuffer(size int) []byte {
	spare := &l.small
	switch {
	case size > largeBuffer:
		return make([]byte, size)
	case size > smallBuffer:
		spare, size = &l.large, largeBuffer
	default:
		size = smallBuffer
	}
	if n := len(*spare); n > 0 {
		buffer := (*spare)[n-1]
		*spare = (*spare)[:n-1]
		return buffer
	}
	return make([]byte, size)
}

func (l *lane) giveBack(buffer []byte) {
	spare := &l.small
	switch len(buffer) {
	case smallBuffer:
	case largeBuffer:
		spare = &l.large
	default:
		return
	}
	if len(*spare) < spareBuffers {
		*spare = append(*spare, buffer)
	}
}

func (l *lane) takeExchange() *carried {
	n := len(l.exchanges)
	if n == 0 {
		return &carried{}
	}
	x := l.exchanges[n-1]
	l.exchanges = l.exchanges[:n-1]
	return x
}

func (l *lane) giveBackExchange(x *carried) {
	if len(l.exchanges) < spareExchanges {
		request, done := x.request, x.seeker.done
		request.Moved(nil) // its memory is used again, or too much to keep
		*x = carried{request: request}
		x.seeker.done = done
		l.exchanges = append(l.exchanges, x)
	}
}

// dateField is the Date header for now.
func (l *lane) dateField() []byte {
	if now := l.loop.Now(); now.Unix() != l.dateAt {
		l.dateAt = now.Unix()
		l.date = append(now.UTC().AppendFormat(append(l.date[:0], "Date: "...), http.TimeFormat), "\r\n"...)
	}
	return l.date
}

// uptimeNow is uptime as of the loop's last look at the clock.
func (l *lane) uptimeNow() time.Duration { return l.loop.Now().Sub(begun) }
