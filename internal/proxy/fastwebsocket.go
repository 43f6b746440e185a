package proxy

// fastWebSocket knows how to end a WebSocket on a lane.
type fastWebSocket struct{ toApp, toClient webSocketWay }

// webSocketWay follows one direction of a WebSocket, as webSocketWriter on the standard road: its end is said between two frames, and
// what comes after that is not passed on.
type webSocketWay struct {
	frames    frames
	isMasked  bool // it goes to the app
	isClosing bool // its end is to be said
	isSaid    bool // a frame that closes was passed on
	hasClosed bool // the sender has sent one
}

// follow lets pass what was read. While it is closing there must be room for one more frame.
func (s *webSocketWay) follow(w *window) {
	kept, says := w.mid, false
	for at := w.mid; at < w.to; {
		n, isEnd := s.frames.next(w.buffer[at:w.to])
		if !s.isClosing || !s.isSaid {
			kept += copy(w.buffer[kept:], w.buffer[at:at+n])
		}
		if at += n; !isEnd {
			break
		}
		if s.frames.isClose() {
			s.isSaid, s.hasClosed = true, true
		}
		s.frames.begin()
		if s.isClosing && !s.isSaid {
			s.isSaid, says = true, true
		}
	}
	w.mid, w.to = kept, kept
	if says {
		w.append(goingAway(s.isMasked))
	}
}

// close has the end said now, or after the frame that is under way.
func (s *webSocketWay) close(l *lane, w *window) {
	s.isClosing = true
	if s.frames.isBetween() && !s.isSaid {
		s.isSaid = true
		w.reserve(l, tailRoom)
		w.append(goingAway(s.isMasked))
	}
}

// endTunnel begins the end of an upgraded connection, as tunnel.end.
func (c *clientConn) endTunnel() {
	defer c.rescue()
	if c.state != connTunnel {
		return
	}
	x := c.x
	if x.webSocket == nil {
		c.abort(x.problem)
		return
	}
	c.loop.SetTimer(&c.timer, endTimeout)
	x.webSocket.toApp.close(c.lane, &c.in)
	x.webSocket.toClient.close(c.lane, &x.answer)
	c.advance()
}

// expireTunnel ends an upgraded connection on which nothing has passed for long, or that has not ended in time.
func (c *clientConn) expireTunnel() {
	x := c.x
	if x.webSocket != nil && x.webSocket.toApp.isClosing {
		c.abort(x.problem)
		return
	}
	x.problem = errIdle.Error()
	c.endTunnel()
}
