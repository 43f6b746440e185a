package proxy

import (
	"net/http"
	"strconv"

	"github.com/apron-run/apron/internal/proxy/http1"
	"github.com/apron-run/apron/internal/proxy/trace"
)

// headRoom is what is added to a head at most, names of hosts and clients apart; fieldRoom is what is added to each of its fields: the
// blank behind the colon, and the CR that an app has left out.
const (
	headRoom  = 512
	fieldRoom = 2
)

// writeRequest makes the request's head as the instance gets it, with what of the body is there and fits behind it.
func (c *clientConn) writeRequest() {
	x, r := c.x, &c.x.request
	up := &x.up
	up.reserve(c.lane, r.End+fieldRoom*len(r.Fields)+2*len(c.lastHost)+headRoom)
	var keepsState bool
	b := up.buffer[:0]
	b = append(append(append(b, r.Bytes(r.Method)...), ' '), r.Bytes(r.Target)...)
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), c.lastHost...), "\r\n"...)
	switch {
	case r.IsChunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.HasLength || expectsBody(r.Bytes(r.Method)):
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), r.Length, 10), "\r\n"...)
	}
	b, x.traceID, keepsState = trace.AppendHeaders(b, r.FindOnly(http1.Traceparent), r.FindOnly(http1.XAmznTraceID))
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case f.Kind == http1.Host, f.Kind == http1.ContentLength, r.IsHopByHop(f):
		case f.Kind == http1.Traceparent, f.Kind == http1.XAmznTraceID, f.Kind == http1.Tracestate && !keepsState:
		case f.Kind.IsForwarded() && (!c.isTrusted || f.Kind == http1.XForwardedFor):
		default:
			b = appendField(b, r.Bytes(f.Name), r.Bytes(f.Value))
		}
	}
	b = c.appendForwarded(b)
	if !x.upgrade.IsEmpty() {
		b = append(append(append(b, "Connection: Upgrade\r\nUpgrade: "...), r.Bytes(x.upgrade)...), "\r\n"...)
	} else if x.isLast = x.isLastOfConn(); x.isLast {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, "\r\n"...)
	up.from, up.mid, up.to = 0, len(b), len(b)
	if n := c.in.mid - c.in.from; n > 0 && n <= len(up.buffer)-up.to {
		up.append(c.in.buffer[c.in.from:c.in.mid])
		c.in.from = c.in.mid
	}
}

// appendForwarded says who the client is, as setForwarded.
func (c *clientConn) appendForwarded(b []byte) []byte {
	r := &c.x.request
	b = append(b, "X-Forwarded-For: "...)
	if c.isTrusted {
		for i := range r.Fields {
			if f := &r.Fields[i]; f.Kind == http1.XForwardedFor && !r.IsHopByHop(f) {
				b = append(append(b, r.Bytes(f.Value)...), ", "...)
			}
		}
	}
	b = append(c.peer.AppendTo(b), "\r\n"...)
	if !c.isTrusted || len(r.Find(http1.XForwardedProto)) == 0 {
		b = append(b, "X-Forwarded-Proto: http\r\n"...)
	}
	if !c.isTrusted || len(r.Find(http1.XForwardedHost)) == 0 {
		b = append(append(append(b, "X-Forwarded-Host: "...), c.lastHost...), "\r\n"...)
	}
	return b
}

// expectsBody says whether a method is expected to have a body, so that none is said.
func expectsBody(method []byte) bool {
	switch string(method) {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return true
	}
	return false
}

func appendField(b, name, value []byte) []byte {
	b = append(append(append(b, name...), ": "...), value...)
	return append(b, "\r\n"...)
}

// appendStatus begins an answer with its status and the fields that pass.
func appendStatus(b []byte, answer *http1.Response) []byte {
	b = strconv.AppendInt(append(b, "HTTP/1.1 "...), int64(answer.Status), 10)
	b = append(append(append(b, ' '), answer.Bytes(answer.Reason)...), "\r\n"...)
	for i := range answer.Fields {
		f := &answer.Fields[i]
		isLength := f.Kind == http1.ContentLength
		if isLength || answer.IsHopByHop(f) {
			continue
		}
		b = appendField(b, answer.Bytes(f.Name), answer.Bytes(f.Value))
	}
	return b
}

// writeInterim passes an interim answer on, such as 103 Early Hints.
func (c *clientConn) writeInterim(answer *http1.Response) {
	c.out.reserve(c.lane, answer.End+fieldRoom*len(answer.Fields)+headRoom)
	c.appendHead(append(appendStatus(c.out.buffer[c.out.to:c.out.to], answer), "\r\n"...))
}

// writeAnswer makes the answer's head as the client gets it, and finds out how its body is framed.
func (c *clientConn) writeAnswer(answer *http1.Response) {
	x := c.x
	isHead := string(x.request.Bytes(x.request.Method)) == http.MethodHead
	x.isAnswered, x.status = true, answer.Status
	x.canKeep = !isHead && !x.isLast && !answer.SaysClose && (answer.Minor > 0 || answer.SaysKeepAlive)
	x.mustClose = x.mustClose || !x.body.isDone || !x.upgrade.IsEmpty() || // what follows may be of the protocol that was asked for
		c.isShut || c.isLeaving.Load()
	c.out.reserve(c.lane, answer.End+fieldRoom*len(answer.Fields)+headRoom)
	b := appendStatus(c.out.buffer[c.out.to:c.out.to], answer)
	if len(answer.Find(http1.Date)) == 0 {
		b = append(b, c.dateField()...)
	}
	hasBody := !isHead && answer.Status != 204 && answer.Status != 304
	switch {
	case answer.HasLength:
		if answer.Status != 204 {
			b = append(strconv.AppendInt(append(b, "Content-Length: "...), answer.Length, 10), "\r\n"...)
		}
		x.answerBody = byLength(answer.Length)
	case !hasBody:
	case answer.IsChunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		if names := answer.Find(http1.Trailer); len(names) > 0 {
			b = appendField(b, []byte("Trailer"), names)
		}
		x.answerBody = framing{kind: framedByChunks, chunked: http1.Chunked{KeepsTrailers: true}}
	default:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		x.answerBody, x.wrapsChunks, x.canKeep = framing{kind: framedByEnd}, true, false
		x.answer.base = tailRoom // a chunk's size stands before it
	}
	if !hasBody {
		x.answerBody = byLength(0)
	}
	if x.mustClose {
		b = append(b, "Connection: close\r\n"...)
	}
	c.appendHead(append(b, "\r\n"...))
}

// appendHead has a head sent, whose bytes are none of the body's.
func (c *clientConn) appendHead(head []byte) {
	c.out.append(head)
	c.x.responseBytes -= int64(len(head))
}
