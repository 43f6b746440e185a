package proxy

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A request whose head cannot be read is nobody's: neither the rules of a service hold for it, nor is it in the access log. Its client
// gets an answer in the form of all others all the same, by what could be read.

// refuseUnread is for a request whose head is malformed or too long. why says what is wrong with it, where that is known.
func refuseUnread(status int, why string) *refusal {
	if status == http.StatusRequestHeaderFieldsTooLarge {
		return &refusal{status: status, message: "The request's line and headers are too long. Send fewer and shorter ones; often it is the cookies."}
	}
	if why != "" {
		why = ": " + why
	}
	return &refusal{status: status, message: "The request is not well formed" + why + ". The client that sends it has to be repaired."}
}

// unread is as much of a head as the form of an answer depends on.
func unread(head []byte) *http.Request {
	r := &http.Request{ProtoMajor: 1, Header: http.Header{}}
	line, rest, _ := bytes.Cut(head, []byte("\n"))
	r.Method, _, _ = strings.Cut(string(line), " ")
	r.Header.Set("Accept", acceptsIn(rest))
	return r
}

// maxUnread bounds what is read on of a head that is refused.
const maxUnread = 8 << 10

// restOfHead reads on to the end of a head, as far as it comes soon. Nothing else can be read from the connection behind it.
func restOfHead(conn net.Conn, head []byte) []byte {
	head = bytes.Clone(head)
	_ = conn.SetReadDeadline(time.Now().Add(lingerFor)) // fails on a closed connection only
	for !bytes.Contains(head, []byte("\r\n\r\n")) && len(head) < maxUnread {
		var more [1 << 10]byte
		n, err := conn.Read(more[:])
		if head = append(head, more[:n]...); err != nil {
			break
		}
	}
	return head
}

// maxAccept bounds what is kept of the Accept headers of one head.
const maxAccept = 1 << 10

// acceptsIn is the value of Accept among the lines of a head.
func acceptsIn(lines []byte) (accept string) {
	for line := range bytes.Lines(lines) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if strings.EqualFold(string(name), "Accept") && len(accept)+len(value) < maxAccept {
			accept += "," + string(value)
		}
	}
	return accept
}

// last is the refusal as the last answer on a connection.
func (f *refusal) last(r *http.Request, date []byte) []byte {
	w := &written{header: http.Header{}}
	_ = f.write(w, r, true) // a buffer takes everything
	return w.bytes(r.Method, true, date)
}

// dateNow is the Date header for a connection that is on no lane.
func dateNow() []byte {
	return time.Now().UTC().AppendFormat([]byte("Date: "), http.TimeFormat+"\r\n")
}

// Write passes on what is sent, but for what the server says by itself to a request that it cannot read. noteServed and noteState tell
// when it is the server that speaks.
func (c *strictConn) Write(p []byte) (int, error) {
	if c.isFramed {
		return c.farewell.Write(p)
	}
	if c.isServed.Load() || !bytes.HasPrefix(p, []byte("HTTP/1.1 ")) {
		return c.limitedConn.Write(p)
	}
	response, body, _ := bytes.Cut(p, []byte("\r\n\r\n"))
	var status int
	for _, digit := range response[len("HTTP/1.1 "):min(len(response), len("HTTP/1.1 400"))] {
		status = status*10 + int(digit-'0')
	}
	if status < 400 || status > 599 {
		return c.limitedConn.Write(p)
	}
	_, why, _ := strings.Cut(string(body), ": ") // the server's texts have nothing of the request in them
	r := &http.Request{ProtoMajor: 1, Method: c.head.method, Header: http.Header{"Accept": {c.head.accept}}}
	_, err := c.limitedConn.Write(refuseUnread(status, why).last(r, dateNow()))
	return len(p), err
}

// noteUnread looks at the rest of a head, from the line on that is malformed.
func (c *strictConn) noteUnread(rest []byte) {
	isFirstLine := c.expected == expectBeginning || c.expected == expectRequestLine
	if !isFirstLine && c.expected != expectHeader {
		return
	}
	if len(c.line) > 0 { // it began in what was read before
		_, rest, _ = bytes.Cut(rest, []byte("\n"))
		rest = slices.Concat(c.line, rest)
	}
	if !c.isServed.Load() { // else another request is in the way
		rest = restOfHead(c.limitedConn, rest)
	}
	if isFirstLine {
		r := unread(rest)
		c.head = requestHead{method: r.Method, accept: r.Header.Get("Accept")}
		return
	}
	c.head.accept += acceptsIn(rest)
}

// connKey is where a request's context has the strictConn by which it came.
type connKey struct{}

// noteState is told by the server, among others when the answer to a request was sent.
func noteState(conn net.Conn, state http.ConnState) {
	if strict := strictOf(conn); strict != nil && state == http.StateIdle {
		strict.isServed.Store(false)
	}
}

// noteConn has noteServed find the connection of a request.
func noteConn(ctx context.Context, conn net.Conn) context.Context {
	if strict := strictOf(conn); strict != nil {
		ctx = context.WithValue(ctx, connKey{}, strict)
	}
	return ctx
}

// noteServed is told of each request that the server has read.
func noteServed(ctx context.Context) {
	if strict, ok := ctx.Value(connKey{}).(*strictConn); ok {
		strict.isServed.Store(true)
	}
}

func strictOf(conn net.Conn) *strictConn {
	switch conn := conn.(type) {
	case *strictConn:
		return conn
	case *tlsConn:
		return conn.strictConn
	}
	return nil
}
