package proxy

import (
	"net/netip"
	"syscall"

	"github.com/apron-run/apron/internal/proxy/eventloop"
	"github.com/apron-run/apron/internal/proxy/http1"
)

// connState is where a connection of a client stands.
//
//	idle -> reading -> seeking -> connecting -> carrying -> idle, or lingering -> gone
//	                                               |-> tunnel -> gone
//
// States are passed over when nothing has to be waited for. From each of the first three a connection may leave for the standard
// road, and from each it may be gone.
type connState uint8

const (
	connIdle       connState = iota // between two requests; nothing of the next one was read
	connReading                     // the head of a request is incomplete
	connSeeking                     // the request waits for a place in an instance
	connConnecting                  // a connection to the instance is made
	connCarrying                    // the request and its answer pass
	connTunnel                      // the connection was upgraded
	connLingering                   // the answer is sent; what the client still sends is thrown away
	connGone
)

// clientConn is a connection of a client on the fast road. It carries one request at a time: the next one is not read before the answer
// of this one is sent. While it is idle it holds no buffer.
type clientConn struct {
	*lane
	fd    int
	state connState
	// canRead and canWrite hold until a read or a write says otherwise. hasEnded says that the client sends no more, isBroken that it cannot
	// be sent anything either.
	canRead, canWrite, hasEnded, isBroken bool
	isPrivate, isTrusted                  bool
	// isQueued says that the loop calls Ready once more before it waits.
	isQueued bool
	// hasMoved says that another state was entered, or the same one anew.
	hasMoved bool
	peer     netip.Addr
	timer    eventloop.Timer
	listener *limitedListener
	others   *handedOver

	// in is from the client, the head of the request first; out are the heads, and what fits behind them, for the client.
	in, out window
	x       *carried // the request; nil while idle
	app     *appConn // to the instance that has the request
	// lastHost is the Host header of the last request, host what it means.
	lastHost, host string
}

// maxSteps is how often a connection may go on before others have their turn.
const maxSteps = 16

// Ready is called by the loop.
func (c *clientConn) Ready(events eventloop.Events) {
	c.isQueued = c.isQueued && events != 0
	c.canRead = c.canRead || events.Has(eventloop.CanRead)
	c.canWrite = c.canWrite || events.Has(eventloop.CanWrite)
	c.hasEnded = c.hasEnded || events.Has(eventloop.IsEnded)
	c.isBroken = c.isBroken || events.Has(syscall.EPOLLHUP|syscall.EPOLLERR)
	c.advance()
}

// advance goes on as far as it can without waiting.
func (c *clientConn) advance() {
	for range maxSteps {
		c.hasMoved = false
		switch c.state {
		case connIdle, connReading:
			c.readHead()
		case connSeeking, connConnecting:
			c.watch()
		case connCarrying:
			if c.watch(); !c.hasMoved {
				c.carry()
			}
		case connTunnel:
			c.pump()
		case connLingering:
			c.linger()
		case connGone:
			return
		}
		if !c.hasMoved {
			return
		}
	}
	c.goOnLater()
}

// goOnLater goes on after the others had their turn. It is once in the queue for that, however many ask: with each that goes on and asks
// for the next turn of two directions there would soon be nobody else in it.
func (c *clientConn) goOnLater() {
	if !c.isQueued {
		c.isQueued = true
		c.loop.Again(c)
	}
}

// enter changes the state, so that advance goes on.
func (c *clientConn) enter(state connState) { c.state, c.hasMoved = state, true }

// readHead reads until the head of a request is complete.
func (c *clientConn) readHead() {
	scanned := 0
	if c.x != nil {
		scanned = c.x.scanned
	}
	for {
		if c.in.to > 0 {
			if c.x == nil {
				c.x = c.takeExchange()
			}
			end, next, err := http1.Scan(c.in.buffer[:c.in.to], scanned)
			switch scanned = next; {
			case err != nil:
				c.refuseHead(400, err)
				return
			case end > 0:
				c.beginRequest(end)
				return
			case c.in.to >= c.config.MaxHeaderBytes:
				c.refuseHead(431, errLongHead)
				return
			case c.in.to == len(c.in.buffer):
				c.in.grow(c.lane, min(2*c.in.to, c.config.MaxHeaderBytes))
			}
			c.x.scanned = scanned
		}
		if !c.canRead {
			c.waitForHead()
			return
		}
		if c.in.buffer == nil {
			c.in.buffer = c.takeBuffer(smallBuffer)
		}
		n, isFull, errno := c.in.fill(c.fd)
		switch {
		case errno == syscall.EAGAIN:
			c.canRead = false
		case errno == syscall.EINTR:
		case errno != 0, n == 0:
			c.close()
			return
		default:
			c.canRead = isFull || c.hasEnded
		}
	}
}

func (c *clientConn) waitForHead() {
	switch {
	case c.in.to == 0:
		c.in.drop(c.lane)
	case c.state == connIdle:
		c.state = connReading
		c.loop.SetTimer(&c.timer, c.config.ReadHeaderTimeout)
	}
}

// watch looks whether the client has left before its answer. One that has sent all and the end of its side behind that has left, as on
// the standard road; one that has sent another request behind this one, and then the end, has not.
func (c *clientConn) watch() {
	if !c.hasEnded || c.state == connIdle {
		return
	}
	hasMore := !c.x.body.isDone || c.in.to > c.in.mid || eventloop.HasUnread(c.fd)
	if c.isBroken || !hasMore {
		c.clientGone()
	}
}

// expire is called when the time of the state is over.
func (c *clientConn) expire() {
	defer c.rescue()
	switch c.state {
	case connSeeking, connConnecting, connCarrying:
		c.late()
		c.advance()
	case connTunnel:
		c.expireTunnel()
	default:
		c.close()
	}
}

// linger throws away what comes, until the client has seen the end, or the timer fires.
func (c *clientConn) linger() {
	scratch := c.takeBuffer(smallBuffer)
	defer c.giveBack(scratch)
	for range maxSteps {
		if !c.canRead {
			return
		}
		n, errno := eventloop.Read(c.fd, scratch)
		switch {
		case errno == syscall.EAGAIN:
			c.canRead = false
		case errno != 0, n == 0:
			c.close()
			return
		}
	}
	c.goOnLater()
}

// closeSoon closes the connection when the client has read its answer: a close while bytes of the client are unread would take the
// answer away from it.
func (c *clientConn) closeSoon() {
	if !c.canRead && c.in.to == c.in.mid && c.x == nil {
		c.close()
		return
	}
	c.in.drop(c.lane)
	c.enter(connLingering)
	_ = eventloop.EndWriting(c.fd) // one that fails is at its end already
	c.loop.SetTimer(&c.timer, lingerFor)
}

// close closes the connection, on which no request may be in flight.
func (c *clientConn) close() {
	if c.state == connGone {
		return
	}
	if c.state == connTunnel {
		c.upgraded.Add(-1)
		c.tunnels.remove(c.x.tunnel)
		c.handlers.Done()
	}
	c.leave()
	c.loop.Close(c.fd)
	c.listener.exit()
	c.fastRoad.conns.Add(-1)
}

// leave takes the connection off the lane.
func (c *clientConn) leave() {
	c.enter(connGone)
	c.loop.StopTimer(&c.timer)
	c.in.drop(c.lane)
	c.out.drop(c.lane)
	if c.x != nil {
		c.giveBackExchange(c.x)
		c.x = nil
	}
	delete(c.lane.conns, c)
}
