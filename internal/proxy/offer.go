package proxy

import "net/netip"

// seekPlace seeks a place in an instance.
func (c *clientConn) seekPlace() {
	x := c.x
	if x.seeker.done == nil {
		x.seeker.done = c.lane.doneFor(x)
	}
	c.enter(connSeeking)
	if found, isNow := c.seek(&x.seeker); isNow {
		c.placed(found)
	}
}

// doneFor returns what is called by whoever finds a place for the request, on whatever goroutine.
func (l *lane) doneFor(x *carried) func(place) {
	return func(found place) {
		l.loop.Post(func() {
			c := x.client
			if c == nil { // it is gone, and could not say so in time
				if found.instance != nil {
					l.release(found.instance)
				}
				return
			}
			defer c.rescue()
			c.placed(found)
			c.advance()
		})
	}
}

// placed has the request sent to the instance that was found for it.
func (c *clientConn) placed(found place) {
	x := c.x
	x.place, x.hasClaim = found, found.instance != nil
	switch {
	case found.refusal != nil:
		c.refuse(found.refusal)
	case !found.route.isPlain():
		c.handOver()
	default:
		if x.attempts++; x.attempts == 1 {
			x.queueTime = c.loop.Now().Sub(x.startedAt)
		}
		x.offeredAt = c.loop.Now()
		c.touch()
		if x.limits.idle < x.limits.total {
			c.setTimer()
		}
		c.offer()
	}
}

// offer sends the request to the instance: over a kept connection when it can be repeated should that be closed, and over a new one
// otherwise, as upstream.send.
func (c *clientConn) offer() {
	x := c.x
	in := x.place.instance
	x.isSent, x.isCut, x.sent, x.received, x.answerScanned = false, false, 0, 0, 0
	c.in.from = c.in.base
	if x.isRepeatable() && !x.isOnKept {
		if a := c.takeKept(in, c); a != nil {
			c.app, x.isOnKept = a, true
			c.enter(connCarrying)
			c.writeRequest()
			return
		}
	}
	x.isOnKept = false
	address, err := netip.ParseAddrPort(in.Address)
	if err != nil { // a name, which must be looked up
		c.handOver()
		return
	}
	c.enter(connConnecting)
	if c.app, err = c.connect(in, address, c); err != nil {
		c.notTaken()
	}
}

// connected is called when the connection to the instance is made, or could not be made.
func (c *clientConn) connected(err error) {
	if err != nil {
		c.notTaken()
	} else {
		c.enter(connCarrying)
		c.writeRequest()
	}
	c.advance()
}

// notTaken has the request offered to another instance: nothing of it was sent.
func (c *clientConn) notTaken() {
	x := c.x
	c.dropApp()
	x.up.drop(c.lane)
	in := x.place.instance
	c.releaseClaim()
	in.avoid()
	x.seeker.tried = append(x.seeker.tried, in)
	c.seekPlace()
}

func (c *clientConn) dropApp() {
	if c.app != nil {
		c.app.close()
		c.app = nil
	}
}

func (c *clientConn) releaseClaim() {
	if c.x.hasClaim {
		c.x.hasClaim = false
		c.release(c.x.place.instance)
	}
}
