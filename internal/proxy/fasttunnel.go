package proxy

import (
	"bytes"
	"strings"
	"syscall"

	"github.com/apron-run/apron/internal/proxy/accesslog"
	"github.com/apron-run/apron/internal/proxy/eventloop"
	"github.com/apron-run/apron/internal/proxy/http1"
)

// switched makes a tunnel of the connections when the instance has agreed to what the client asked for. It always returns false: there
// is no answer to read any more.
func (c *clientConn) switched(answer *http1.Response) bool {
	x := c.x
	asked, agreed := x.request.Bytes(x.upgrade), answer.Find(http1.Upgrade)
	if len(asked) == 0 || !answer.SaysUpgrade || !bytes.EqualFold(asked, agreed) {
		c.broken("the instance switched to \"" + string(agreed) + "\" when \"" + string(asked) + "\" was asked for")
		return false
	}
	c.out.reserve(c.lane, answer.End+fieldRoom*len(answer.Fields)+headRoom)
	b := appendStatus(c.out.buffer[c.out.to:c.out.to], answer)
	b = append(append(append(b, "Connection: Upgrade\r\nUpgrade: "...), agreed...), "\r\n\r\n"...)
	c.out.append(b)
	x.status, x.isAnswered = answer.Status, true
	if c.config.AccessLog != nil {
		x.tunnelled = &accesslog.Record{}
		c.record(x.tunnelled)
		keep := x.tunnelled // its strings are the head's, which goes
		for _, text := range []*string{&keep.Method, &keep.URI, &keep.Referrer, &keep.Agent} {
			*text = strings.Clone(*text)
		}
	}
	// From here on all that comes from one side is for the other.
	x.answer.from, x.answer.mid = answer.End, answer.End
	c.in.base = 0
	if isWebSocket(string(agreed)) {
		x.webSocket = &fastWebSocket{toApp: webSocketWay{isMasked: true}}
	}
	c.follow(&x.answer)
	c.follow(&c.in)
	x.tunnel = &tunnel{instanceID: x.place.instance.InstanceID, endOnLane: func() { c.loop.Post(c.endTunnel) }, over: make(chan struct{})}
	c.handlers.Add(1) // before Shutdown may see the tunnel, and wait
	if !c.tunnels.add(x.tunnel) {
		c.handlers.Done()
		c.abort("the proxy is stopping")
		return false
	}
	x.request = http1.Request{}
	x.responseBytes, x.isSent, x.answerBody.isDone = 0, false, false // of the request; now of its connections
	c.enter(connTunnel)
	c.upgraded.Add(1)
	c.loop.SetTimer(&c.timer, x.limits.tunnel)
	return false
}

// follow lets pass what was read of one direction.
func (c *clientConn) follow(w *window) {
	socket := c.x.webSocket
	switch {
	case socket == nil:
		w.mid = w.to
	case w == &c.in:
		socket.toApp.follow(w)
	default:
		socket.toClient.follow(w)
	}
}

// isOver says whether a WebSocket is ending, and the sender of a direction has closed it too.
func (c *clientConn) isOver(w *window) bool {
	socket := c.x.webSocket
	if socket == nil || !socket.toApp.isClosing {
		return false
	}
	if w == &c.in {
		return socket.toApp.hasClosed
	}
	return socket.toClient.hasClosed
}

// pump passes bytes in both directions until both sides have ended. The orderly end of one side ends that direction of the other, which
// may go on sending; an error ends both.
func (c *clientConn) pump() {
	x, a := c.x, c.app
	_, errno := c.out.send(c.fd)
	switch {
	case errno == syscall.EAGAIN:
		c.canWrite = false
		return
	case errno != 0:
		c.abort(x.problem)
		return
	}
	c.out.drop(c.lane)
	toApp, isUpOver, upErr := c.pass(&c.in, c.fd, a.fd, &c.canRead, &a.canWrite, &x.isSent)
	toClient, isDownOver, downErr := c.pass(&x.answer, a.fd, c.fd, &a.canRead, &c.canWrite, &x.answerBody.isDone)
	x.requestBytes += toApp
	x.responseBytes += toClient
	if isEnding := x.webSocket != nil && x.webSocket.toApp.isClosing; toApp+toClient > 0 && !isEnding {
		c.loop.SetTimer(&c.timer, x.limits.tunnel)
	}
	if upErr != 0 || downErr != 0 || isUpOver && isDownOver {
		c.abort(x.problem)
	}
}

// pass passes what comes in one direction. isEnded is kept by the caller; it says that the end was passed on.
func (c *clientConn) pass(w *window, from, to int, canRead, canWrite, isEnded *bool) (passed int64, isOver bool, errno syscall.Errno) {
	for range maxSteps {
		n, errno := w.send(to)
		passed += int64(n)
		switch {
		case errno == syscall.EAGAIN:
			*canWrite = false
			return passed, false, 0
		case errno != 0:
			return passed, true, errno
		}
		if *isEnded || c.isOver(w) {
			return passed, true, 0
		}
		if w.rewind(); !*canRead {
			w.drop(c.lane)
			return passed, false, 0
		}
		if w.buffer == nil {
			w.buffer = c.takeBuffer(smallBuffer)
		}
		n, errno = eventloop.Read(from, w.buffer[w.to:len(w.buffer)-tailRoom])
		w.to += n
		switch {
		case errno == syscall.EAGAIN:
			*canRead = false
		case errno == syscall.EINTR:
		case errno != 0:
			return passed, true, errno
		case n == 0:
			*isEnded = true
			if errno := eventloop.EndWriting(to); errno != 0 {
				return passed, true, errno
			}
		default:
			c.follow(w)
		}
	}
	c.goOnLater()
	return passed, false, 0
}
