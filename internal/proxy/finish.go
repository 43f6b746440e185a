package proxy

import "github.com/apron-run/apron/internal/proxy/accesslog"

// finish ends the exchange whose answer was sent.
func (c *clientConn) finish() {
	x, a := c.x, c.app
	c.log()
	if a != nil {
		c.app = nil
		isWhole := x.isSent && x.answer.to == x.answer.mid
		switch {
		case isWhole && x.canKeep:
			c.keep(a)
		case isWhole:
			c.awaitEnd(a)
		default:
			a.close()
		}
	}
	c.releaseClaim()
	isWhole := x.body.isDone
	mustClose := x.mustClose || !isWhole
	x.up.drop(c.lane)
	x.answer.drop(c.lane)
	c.out.drop(c.lane)
	c.x = nil
	c.giveBackExchange(x)
	if mustClose {
		if !isWhole {
			c.canRead = true // it may be sending
		}
		c.closeSoon()
		return
	}
	c.nextRequest()
}

// nextRequest makes ready for the request that may have come behind this one.
func (c *clientConn) nextRequest() {
	c.enter(connIdle)
	left := copy(c.in.buffer, c.in.buffer[c.in.mid:c.in.to])
	c.in.base, c.in.from, c.in.mid, c.in.to = 0, 0, 0, left
	if c.isShut && left == 0 {
		c.close()
		return
	}
	c.loop.SetTimer(&c.timer, c.config.IdleTimeout)
}

// clientGone ends the exchange of a client that has left.
func (c *clientConn) clientGone() {
	if c.x.status == 0 {
		c.x.status = accesslog.StatusClientGone
	}
	c.abort(errClientLeft.Error())
}

// abort cuts the connection off, and what is in flight on it.
func (c *clientConn) abort(problem string) {
	if c.state == connGone {
		return
	}
	if x := c.x; x != nil {
		isWaiting := c.state == connSeeking
		if x.client != nil {
			x.problem = problem
			c.log()
		}
		c.dropApp()
		c.releaseClaim()
		x.up.drop(c.lane)
		x.answer.drop(c.lane)
		if isWaiting && !c.abandon(&x.seeker) {
			x.client, c.x = nil, nil // whoever finds the place still has it
		}
	}
	c.close()
}

// touch tells that something has passed. The timer is moved when it fires.
func (c *clientConn) touch() { c.x.touchedAt = c.loop.Now() }

// setTimer sets the timer for when the request's time may be over: in all, or because nothing has passed for long.
func (c *clientConn) setTimer() {
	x, now := c.x, c.loop.Now()
	left := x.limits.total - now.Sub(x.startedAt)
	if x.hasClaim {
		left = min(left, x.limits.idle-now.Sub(x.touchedAt))
	}
	c.loop.SetTimer(&c.timer, left)
}

// late ends a request whose time is over.
func (c *clientConn) late() {
	x := c.x
	now := c.loop.Now()
	isIdle := x.hasClaim && x.limits.idle < x.limits.total && now.Sub(x.touchedAt) >= x.limits.idle
	if !isIdle && now.Sub(x.startedAt) < x.limits.total {
		c.setTimer()
		return
	}
	why := errTookTooLong
	if isIdle {
		why = errIdle
	}
	c.loop.SetTimer(&c.timer, deadlineGrace) // for a client that does not take its answer
	switch {
	case c.state == connSeeking && !c.abandon(&x.seeker): // its place is about to come
	case c.state == connSeeking:
		x.place.route = x.seeker.route
		x.problem = why.Error()
		c.refuse(x.seeker.refusal())
	case x.isAnswered:
		c.abort(why.Error())
	case !x.body.isDone:
		x.problem = why.Error()
		c.refuse(refuseSlowBody(x.limits, isIdle))
	default:
		x.problem = why.Error()
		c.refuse(refuseLate(x.place.route, x.limits, isIdle))
	}
}
