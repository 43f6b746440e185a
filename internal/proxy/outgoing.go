package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"time"
)

// continueTimeout is how long a client that asked is kept from sending its body when the app says nothing.
const continueTimeout = time.Second

// outgoing is a request as an instance gets it. It is written anew for each instance that it is offered to.
type outgoing struct {
	method, target, host string
	header               http.Header
	// body is nil when the request has none; contentLength is negative when its length is not known.
	body            *requestBody
	contentLength   int64
	hasLength       bool // the client said that there is no body
	expectsContinue bool
	// inform is called for each interim answer but 100.
	inform func(status int, header http.Header)
}

// isRepeatable says whether the request may be sent a second time when a kept connection died: it has no body, and its
// method is safe (RFC 9110, 9.2.1), so that the app has done nothing if it has seen it.
func (o *outgoing) isRepeatable() bool {
	return isSafe(o.method) && o.body == nil && o.header["Upgrade"] == nil
}

// isLastOfConn says whether the instance is told that no other request follows on the connection. Some apps send the body that an answer
// to HEAD does not have, a moment later.
func (o *outgoing) isLastOfConn() bool {
	return o.header["Upgrade"] == nil && (!o.isRepeatable() || o.method == http.MethodHead)
}

// isSafe says whether requests of the method change nothing.
func isSafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// writeHead writes and flushes the request line and the headers.
func (o *outgoing) writeHead(w *bufio.Writer) error {
	fmt.Fprintf(w, "%s %s HTTP/1.1\r\nHost: %s\r\n", o.method, o.target, o.host)
	switch {
	case o.body != nil && o.contentLength >= 0:
		fmt.Fprintf(w, "Content-Length: %d\r\n", o.contentLength)
	case o.body != nil:
		io.WriteString(w, "Transfer-Encoding: chunked\r\n")
		if len(o.body.announced) > 0 {
			fmt.Fprintf(w, "Trailer: %s\r\n", strings.Join(o.body.announced, ", "))
		}
	case o.hasLength:
		io.WriteString(w, "Content-Length: 0\r\n")
	}
	if o.isLastOfConn() {
		io.WriteString(w, "Connection: close\r\n")
	}
	if err := o.header.Write(w); err != nil {
		return fmt.Errorf("send the head of the request: %w", err)
	}
	io.WriteString(w, "\r\n")
	if err := w.Flush(); err != nil { // repeats the first error of those above
		return fmt.Errorf("send the head of the request: %w", err)
	}
	return nil
}

// writeBody sends each piece of the body as it comes.
func (o *outgoing) writeBody(w *bufio.Writer) error {
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	var to io.Writer = w
	var chunked io.WriteCloser
	if o.contentLength < 0 {
		chunked = httputil.NewChunkedWriter(w)
		to = chunked
	}
	for {
		n, err := o.body.Read(buffer[:])
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return fmt.Errorf("send the body: %w", err)
			}
			if err := w.Flush(); err != nil {
				return fmt.Errorf("send the body: %w", err)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the body: %w", err)
		}
	}
	if chunked == nil {
		return nil
	}
	if err := chunked.Close(); err != nil {
		return fmt.Errorf("send the end of the body: %w", err)
	}
	if err := o.body.trailer().Write(w); err != nil {
		return fmt.Errorf("send the trailers: %w", err)
	}
	io.WriteString(w, "\r\n")
	return w.Flush()
}

// outgoing makes the request as an instance gets it.
func (x *exchange) outgoing(header http.Header) *outgoing {
	out := &outgoing{
		method: x.r.Method, target: target(x.r), host: x.r.Host, header: header, inform: x.inform,
		body: x.body, contentLength: x.r.ContentLength,
		expectsContinue: hasToken(header["Expect"], "100-continue"),
	}
	// These methods are expected to have a body, so that none is said.
	isUsual := slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, out.method)
	out.hasLength = isUsual || x.r.Header["Content-Length"] != nil
	return out
}

// target is what the client asked for, as the client wrote it: apps tell apart what a cleaned URL would not. Only a
// form for forward proxies (http://host/path) is shortened.
func target(r *http.Request) string {
	target := r.RequestURI
	if strings.HasPrefix(target, "/") || r.URL.Host == "" {
		return target
	}
	_, target, _ = strings.Cut(target, "://")
	switch end := strings.IndexAny(target, "/?"); {
	case end < 0:
		return "/"
	case target[end] == '?':
		return "/" + target[end:]
	default:
		return target[end:]
	}
}
