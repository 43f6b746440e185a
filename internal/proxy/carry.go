package proxy

import (
	"strconv"
	"syscall"

	"github.com/apron-run/apron/internal/proxy/eventloop"
	"github.com/apron-run/apron/internal/proxy/http1"
	"github.com/apron-run/apron/internal/proxy/http2"
)

// tailRoom is kept free behind what is read of an answer, for the end of a chunk.
const tailRoom = 16

// carry passes bytes both ways as far as both sides take them. What one side does not take is not read from the other.
func (c *clientConn) carry() {
	if c.app != nil {
		if c.passRequest(); c.hasMoved {
			return
		}
	}
	c.passAnswer()
}

// passRequest sends the request's head and body to the instance.
func (c *clientConn) passRequest() {
	x, a := c.x, c.app
	for range maxSteps {
		if x.isSent || x.isCut {
			return
		}
		for _, w := range []*window{&x.up, &c.in} {
			n, errno := w.send(a.fd)
			x.sent += int64(n)
			switch {
			case errno == syscall.EAGAIN:
				a.canWrite = false
				return
			case errno != 0 && x.sent == 0 && !x.isOnKept:
				c.notTaken()
				return
			case errno != 0:
				x.isCut, a.canRead = true, true // it may have answered before it closed
				return
			}
		}
		x.up.drop(c.lane)
		if x.body.isDone {
			x.isSent = true
			return
		}
		if !c.canRead {
			c.in.rewind()
			return
		}
		if !c.readBody() {
			return
		}
	}
	c.goOnLater()
}

// readBody reads more of the request's body. It returns false when there is none yet, or no request any more.
func (c *clientConn) readBody() bool {
	x := c.x
	c.in.rewind()
	isLong := len(c.in.buffer) < largeBuffer && (x.body.kind != framedByLength || x.body.left > smallBuffer)
	if isFull := len(c.in.buffer)-c.in.to < tailRoom; isLong || isFull { // full of the head
		c.in.grow(c.lane, max(largeBuffer, c.in.to+smallBuffer))
		x.request.Moved(c.in.buffer)
	}
	_, isFull, errno := c.in.fill(c.fd)
	switch {
	case errno == syscall.EAGAIN:
		c.canRead = false
		return false
	case errno == syscall.EINTR:
		return true
	case errno != 0, c.in.to == c.in.mid:
		c.clientGone()
		return false
	}
	c.canRead = isFull || c.hasEnded
	c.touch()
	return c.frameBody()
}

// passAnswer sends the answer to the client as it comes.
func (c *clientConn) passAnswer() {
	x := c.x
	for range maxSteps {
		for _, w := range []*window{&c.out, &x.answer} {
			n, errno := w.send(c.fd)
			x.responseBytes += int64(n)
			switch {
			case errno == syscall.EAGAIN:
				c.canWrite = false
				return
			case errno != 0:
				c.abort("send the answer: " + errno.Error())
				return
			}
		}
		if x.isAnswered && x.answerBody.isDone {
			c.finish()
			return
		}
		if !c.app.canRead {
			return
		}
		if !c.readAnswer() {
			return
		}
	}
	c.goOnLater()
}

// readAnswer reads more of the answer. It returns false when there is none yet, or no exchange any more.
func (c *clientConn) readAnswer() bool {
	x, a := c.x, c.app
	w := &x.answer
	if w.rewind(); w.buffer == nil {
		w.buffer = c.takeBuffer(smallBuffer)
	} else if w.to == w.base && len(w.buffer) < largeBuffer && (x.answerBody.kind != framedByLength || x.answerBody.left > smallBuffer) {
		w.grow(c.lane, largeBuffer)
	}
	room := w.buffer[w.to : len(w.buffer)-tailRoom]
	n, errno := eventloop.Read(a.fd, room)
	switch {
	case errno == syscall.EAGAIN:
		a.canRead = false
		return false
	case errno == syscall.EINTR:
		return true
	case errno != 0, n == 0:
		return c.answerEnded(errno)
	}
	a.canRead = n == len(room) || a.hasEnded
	w.to += n
	x.received += int64(n)
	c.touch()
	if !x.isAnswered {
		return c.readAnswerHead()
	}
	return c.frameAnswer()
}

// frameAnswer looks how far the answer's body goes in what was read.
func (c *clientConn) frameAnswer() bool {
	x := c.x
	if err := x.answer.frame(&x.answerBody); err != nil {
		c.abort("read the instance's answer: " + err.Error())
		return false
	}
	if x.wrapsChunks {
		x.answer.wrapChunk()
	}
	return true
}

// wrapChunk makes a chunk of what may be sent. There is room for that before and behind it.
func (w *window) wrapChunk() {
	if w.from == w.mid {
		return
	}
	var size [16]byte
	line := append(strconv.AppendInt(size[:0], int64(w.mid-w.from), 16), "\r\n"...)
	w.from -= len(line)
	copy(w.buffer[w.from:], line)
	w.to += copy(w.buffer[w.to:], "\r\n")
	w.mid = w.to
}

// answerEnded goes on when the instance's connection has ended. It returns false when there is no exchange any more.
func (c *clientConn) answerEnded(errno syscall.Errno) bool {
	x := c.x
	x.canKeep = false
	problem := "the connection was closed without an answer"
	if errno != 0 {
		problem = "read the answer: " + errno.Error()
	}
	switch {
	case x.isAnswered && x.answerBody.kind == framedByEnd && errno == 0:
		x.answerBody.isDone = true
		x.answer.rewind()
		x.answer.append([]byte("0\r\n\r\n"))
		return true
	case x.isAnswered:
		c.abort("the answer is cut short: " + problem)
	case x.received > 0:
		c.broken("read the head of the answer: it is cut short")
	case x.isOnKept:
		c.repeat()
	default:
		c.broken(problem)
	}
	return false
}

// repeat sends the request once more, over a new connection: the app had closed the kept one already.
func (c *clientConn) repeat() {
	c.dropApp()
	c.x.up.drop(c.lane)
	c.x.answer.drop(c.lane)
	c.offer()
}

// broken tells the client that the instance has no answer.
func (c *clientConn) broken(problem string) {
	c.x.problem = problem
	c.refuse(refuseBroken(c.x.place.route))
}

// readAnswerHead reads the heads of interim answers, and that of the answer. It returns false when there is no exchange any more.
func (c *clientConn) readAnswerHead() bool {
	x, w, answer := c.x, &c.x.answer, &c.lane.answer
	if http2.IsFirst(w.buffer[:w.to]) {
		x.problem = errSpeaksHTTP2.Error()
		c.refuse(refuseHTTP2(x.place.route))
		return false
	}
	for !x.isAnswered {
		end, next := http1.ScanResponse(w.buffer[:w.to], x.answerScanned)
		if x.answerScanned = next; x.interimBytes+max(end, next) > maxResponseHeaderBytes {
			c.broken(errHeadTooLong.Error())
			return false
		}
		if end == 0 {
			if w.to < len(w.buffer)-tailRoom {
				return true
			}
			if w.to > maxResponseHeaderBytes { // one line
				c.broken(errHeadTooLong.Error())
				return false
			}
			w.grow(c.lane, 2*len(w.buffer))
			return true
		}
		if err := answer.Parse(w.buffer[:w.to], end); err != nil {
			c.broken("read the head of the answer: " + err.Error())
			return false
		}
		switch {
		case answer.Status == 101:
			return c.switched(answer)
		case answer.Status == 408 && answer.SaysClose && x.isOnKept:
			c.repeat() // some servers say so to a connection that was idle for long, not to this request
			return false
		case answer.Status < 200:
			if answer.Status != 100 {
				c.writeInterim(answer)
			}
			x.interimBytes += end
			w.to = copy(w.buffer, w.buffer[end:w.to])
			x.answerScanned = 0
		default:
			x.upstreamTime = c.loop.Now().Sub(x.offeredAt)
			w.from, w.mid = end, end
			c.writeAnswer(answer)
			if !c.frameAnswer() {
				return false
			}
			c.joinAnswer()
		}
	}
	return true
}

// joinAnswer puts what there is of the body behind the head if it fits, so that both are sent at once.
func (c *clientConn) joinAnswer() {
	w := &c.x.answer
	if n := w.mid - w.from; n > 0 && n <= len(c.out.buffer)-c.out.to {
		c.out.append(w.buffer[w.from:w.mid])
		w.from = w.mid
	}
}
