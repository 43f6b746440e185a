package proxy

import (
	"net/netip"
	"slices"
	"syscall"

	"github.com/apron-run/apron/internal/proxy/eventloop"
)

// appConn is a connection to an instance on the fast road. It holds no buffer of its own.
type appConn struct {
	*lane
	fd int
	in *instance
	// client has the connection; nil while it is kept for the next request.
	client *clientConn
	// canRead and canWrite hold until a read or a write says otherwise; hasEnded says that the app sends no more.
	canRead, canWrite, hasEnded bool
	isConnected, isClosed       bool
	timer                       eventloop.Timer
}

// connect begins a connection. The client is told when it is made, or cannot be made.
func (l *lane) connect(in *instance, address netip.AddrPort, c *clientConn) (*appConn, error) {
	fd, err := eventloop.Connect(address)
	if err != nil {
		return nil, err
	}
	a := &appConn{lane: l, fd: fd, in: in, client: c}
	if err := l.loop.Add(fd, a); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	a.timer.Expired = a.expire
	l.loop.SetTimer(&a.timer, l.config.DialTimeout)
	return a, nil
}

// Ready is called by the loop.
func (a *appConn) Ready(events eventloop.Events) {
	a.canRead = a.canRead || events.Has(eventloop.CanRead)
	a.canWrite = a.canWrite || events.Has(eventloop.CanWrite)
	a.hasEnded = a.hasEnded || events.Has(eventloop.IsEnded)
	c := a.client
	if c == nil {
		a.lookWhileKept()
		return
	}
	defer c.rescue() // it may have gone on without this connection by then
	switch {
	case a.isConnected:
		c.advance()
	case a.canWrite || a.hasEnded:
		a.isConnected = true
		c.connected(eventloop.ConnectError(a.fd))
	}
}

// lookWhileKept closes a kept connection on which something came: the app has closed it, or says what nobody asked.
func (a *appConn) lookWhileKept() {
	if !a.canRead {
		return
	}
	if _, errno := eventloop.Peek(a.fd); errno != syscall.EAGAIN || a.hasEnded {
		a.forget()
		a.close()
		return
	}
	a.canRead = false
}

// forget takes the connection out of those that wait.
func (a *appConn) forget() {
	delete(a.ending, a)
	kept := a.kept[a.in]
	if i := slices.Index(kept, a); i >= 0 {
		a.kept[a.in] = slices.Delete(kept, i, i+1)
	}
	if len(a.kept[a.in]) == 0 {
		delete(a.kept, a.in)
	}
}

// expire is called when the instance has not accepted in time, or nobody has used the connection for long.
func (a *appConn) expire() {
	switch {
	case a.client == nil:
		a.forget()
		a.close()
	case !a.isConnected:
		defer a.client.rescue()
		a.client.connected(syscall.ETIMEDOUT)
	}
}

// takeKept returns the connection that was used last and has nothing to read, or nil. What has come by one in this turn of the loop, its
// end or bytes that nobody asked for, was not told yet, and would be taken for the answer.
func (l *lane) takeKept(in *instance, c *clientConn) *appConn {
	for kept := l.kept[in]; len(kept) > 0; kept = l.kept[in] {
		a := kept[len(kept)-1]
		kept[len(kept)-1] = nil
		l.kept[in] = kept[:len(kept)-1]
		if _, errno := eventloop.Peek(a.fd); errno == syscall.EAGAIN {
			a.client = c
			return a
		}
		a.close()
	}
	return nil
}

// keep keeps a connection for the next request, or closes it.
func (l *lane) keep(a *appConn) {
	a.client = nil
	if a.canRead { // what is behind the answer would be taken for the next one
		_, errno := eventloop.Peek(a.fd)
		a.canRead = errno != syscall.EAGAIN
	}
	if a.canRead || a.hasEnded || a.in.isRetired.Load() || l.isShut || len(l.kept[a.in]) >= maxIdlePerInstance {
		a.close()
		return
	}
	l.kept[a.in] = append(l.kept[a.in], a)
	l.loop.SetTimer(&a.timer, idlePerInstance)
}

// awaitEnd closes a connection that the app is about to close, after it has. Whoever closes first has its port taken for a minute
// (TIME-WAIT, RFC 9293, 3.6.1): here they would be used up at some 470 requests a second to an instance.
func (l *lane) awaitEnd(a *appConn) {
	a.client = nil
	if a.canRead {
		_, errno := eventloop.Peek(a.fd)
		a.canRead = errno != syscall.EAGAIN
	}
	if a.canRead || a.hasEnded || l.isShut || len(l.ending) >= maxEnding/len(l.lanes) {
		a.close()
		return
	}
	l.ending[a] = struct{}{}
	l.loop.SetTimer(&a.timer, endWithin)
}

// close closes the connection; twice is safe.
func (a *appConn) close() {
	if a.isClosed {
		return
	}
	a.isClosed, a.client = true, nil
	a.loop.StopTimer(&a.timer)
	a.loop.Close(a.fd)
}
