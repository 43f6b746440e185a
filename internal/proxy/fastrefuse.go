package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"

	"github.com/apron-run/apron/internal/proxy/http1"
)

// refuseHead answers a request that cannot be read without doubt, and closes the connection: nobody knows where the next one begins.
func (c *clientConn) refuseHead(status int, err error) {
	x := c.x
	x.client, x.body, x.answerBody, x.isAnswered, x.mustClose = nil, byLength(0), byLength(0), true, true // it is nobody's request
	c.in.from, c.in.mid = c.in.to, c.in.to
	c.canRead = true
	answer := refuseUnread(status, err.Error()).last(unread(c.in.buffer[:c.in.to]), c.dateField())
	c.out.reserve(c.lane, len(answer))
	c.out.append(answer)
	c.enter(connCarrying)
	c.loop.SetTimer(&c.timer, lingerFor)
}

// refuse answers with an answer of the proxy's own.
func (c *clientConn) refuse(f *refusal) {
	x := c.x
	if x.problem == "" {
		x.problem = f.message
	}
	c.dropApp()
	x.up.drop(c.lane)
	x.answer.drop(c.lane)
	x.mustClose = x.mustClose || !x.body.isDone || c.isShut || c.isLeaving.Load()
	head := x.request.Bytes(http1.Span{To: uint32(x.request.End)})
	// The standard road reads the head once more, for an answer that is written by the same code. It has read stricter before.
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		c.refuseHead(http.StatusBadRequest, err)
		return
	}
	w := &written{header: http.Header{}}
	if err := f.write(w, request, !x.body.isDone); err != nil {
		c.abort(err.Error())
		return
	}
	answer := w.bytes(request.Method, x.mustClose, c.dateField())
	c.out.reserve(c.lane, len(answer))
	c.out.append(answer)
	x.responseBytes -= int64(bytes.Index(answer, []byte("\r\n\r\n")) + 4) // its head is none of the body
	x.isAnswered, x.status, x.answerBody = true, f.status, byLength(0)
	c.enter(connCarrying)
}

// written is an answer that was written by a handler.
type written struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *written) Header() http.Header         { return w.header }
func (w *written) WriteHeader(status int)      { w.status = status }
func (w *written) Write(p []byte) (int, error) { return w.body.Write(p) }

// bytes is the answer as it is sent.
func (w *written) bytes(method string, mustClose bool, date []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n%s", w.status, http.StatusText(w.status), date)
	if w.header.Del("Connection"); mustClose {
		w.header.Set("Connection", "close")
	}
	_ = w.header.Write(&b) // a buffer takes everything
	b.WriteString("\r\n")
	if method != http.MethodHead {
		b.Write(w.body.Bytes())
	}
	return b.Bytes()
}
