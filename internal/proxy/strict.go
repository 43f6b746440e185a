package proxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/apron-run/apron/internal/proxy/http2"
)

// strictListener takes connections on which HTTP/1 must be as RFC 9112 writes it. The server behind it is more lenient: it
// takes a bare LF for a line's end, joins folded lines, and prefers the coding where a request has a length too. It makes of
// them what it passes on without doubt, but whatever stands before this proxy may have understood something else.
type strictListener struct {
	net.Listener
	*Proxy
}

func (l strictListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.newStrictConn(conn.(*limitedConn)), nil
}

// spoiler stands in what the server reads for what must not be there, and for all that follows. Wherever in a head, in the
// line before a chunk or in trailers it stands, the server cannot read it, answers 400, and closes the connection.
const spoiler = "\x01:\x01\r\n\r\n"

// strictConn follows the messages in what is read from it. It changes nothing unless one is malformed; then the reader finds
// the spoiler, and no more.
type strictConn struct {
	*limitedConn
	maxHeaderBytes int

	expected  expectation
	line      []byte // what has been read of the line that is awaited
	bodyLeft  uint64 // of the body or of the chunk
	isSpoiled bool
	unread    string // of the spoiler
	head      requestHead
	isServed  atomic.Bool // see Write
	deadline  readDeadline

	farewell *http2.Farewell
	// isFramed says that the client has begun HTTP/2. It is set before the server writes anything.
	isFramed bool
	forget   func() bool // ends the wait for the proxy to leave
}

// newStrictConn makes a connection strict, and ends it in order when the proxy leaves if HTTP/2 is spoken on it.
func (p *Proxy) newStrictConn(conn *limitedConn) *strictConn {
	c := &strictConn{limitedConn: conn, maxHeaderBytes: p.config.MaxHeaderBytes, farewell: http2.NewFarewell(conn)}
	c.forget = context.AfterFunc(p.leaving, c.farewell.Begin)
	return c
}

func (c *strictConn) Close() error {
	c.forget()
	return c.limitedConn.Close()
}

// expectation is what comes next on a connection.
type expectation int

const (
	// expectBeginning is a request's line, or that with which HTTP/2 begins, which expectPreface follows.
	expectBeginning expectation = iota
	expectPreface
	expectFrames
	expectRequestLine
	expectHeader
	expectBody
	expectChunkSize
	expectChunk
	expectChunkEnd
	expectTrailer
	// expectAnything is for what is no HTTP/1 any more, or what the server refuses anyway.
	expectAnything
)

// requestHead is what a request's head says of its framing, and of the form that an answer should have.
type requestHead struct {
	method, accept string
	isOld          bool // HTTP/1.0
	isUpgrade      bool
	isChunked      bool
	hasLength      bool
	bodyBytes      uint64
}

func (c *strictConn) Read(p []byte) (int, error) {
	if c.expected == expectFrames {
		return c.farewell.Read(p)
	}
	if c.isSpoiled {
		if c.unread == "" {
			return 0, io.EOF
		}
		n := copy(p, c.unread)
		c.unread = c.unread[n:]
		return n, nil
	}
	n, err := c.readOn(p)
	if good := c.follow(p[:n]); good < n {
		c.noteUnread(p[good:n])
		c.isSpoiled, c.unread, c.line = true, spoiler, nil
		if good == 0 {
			return c.Read(p)
		}
		return good, nil
	}
	return n, err
}

// follow takes what was read, and returns how much of it is before the line that is malformed.
func (c *strictConn) follow(read []byte) (good int) {
	for at := 0; at < len(read); {
		switch c.expected {
		case expectAnything:
			return len(read)
		case expectFrames:
			c.farewell.Follow(read[at:])
			return len(read)
		case expectPreface, expectBody, expectChunk:
			passed := min(c.bodyLeft, uint64(len(read)-at))
			at, c.bodyLeft = at+int(passed), c.bodyLeft-passed
			switch {
			case c.bodyLeft > 0:
			case c.expected == expectPreface:
				c.expected, c.isFramed = expectFrames, true
			case c.expected == expectChunk:
				c.expected = expectChunkEnd
			default:
				c.expected = expectRequestLine
			}
		default:
			end := bytes.IndexByte(read[at:], '\n')
			if end < 0 {
				c.line = append(c.line, read[at:]...)
				if len(c.line) > c.maxHeaderBytes+4096 { // more than the server reads
					if c.expected > expectHeader {
						return at
					}
					c.expected, c.line = expectAnything, nil
				}
				return len(read)
			}
			line := read[at : at+end+1]
			if len(c.line) > 0 {
				c.line = append(c.line, line...)
				line = c.line
			}
			text, isEnded := bytes.CutSuffix(line, []byte("\r\n"))
			if !isEnded || bytes.IndexByte(text, '\r') >= 0 || !c.takes(string(text)) {
				return at
			}
			c.line = c.line[:0]
			at += end + 1
		}
	}
	return len(read)
}

// takes says whether a whole line is well formed, and goes on to what comes after it.
func (c *strictConn) takes(line string) bool {
	switch c.expected {
	case expectBeginning, expectRequestLine:
		return c.takesRequestLine(line)
	case expectHeader:
		if line == "" {
			return c.endsHead()
		}
		return c.head.takes(line)
	case expectChunkSize:
		return c.takesChunkSize(line)
	case expectChunkEnd:
		c.expected = expectChunkSize
		return line == ""
	default:
		if line == "" {
			c.expected = expectRequestLine
			return true
		}
		name, _, ok := cutLine(line)
		return ok && !decidesFraming(name)
	}
}

func (c *strictConn) takesRequestLine(line string) bool {
	switch line {
	case "": // the server decides
		return true
	case "PRI * HTTP/2.0": // so it does about HTTP/2
		isFirst := c.expected == expectBeginning
		if c.expected = expectAnything; isFirst {
			c.expected, c.bodyLeft = expectPreface, uint64(len("\r\nSM\r\n\r\n"))
		}
		return true
	}
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	c.head = requestHead{isOld: version == "HTTP/1.0", method: method}
	c.expected = expectHeader
	hasForm := strings.HasPrefix(target, "/") || method == "OPTIONS" && target == "*" || method == "CONNECT" ||
		hasPrefixFold(target, "http://") || hasPrefixFold(target, "https://")
	return isToken(method) && hasForm && isText(target) && !strings.ContainsAny(target, " \t") && (c.head.isOld || version == "HTTP/1.1")
}

// endsHead goes on to the body.
func (c *strictConn) endsHead() bool {
	switch head := c.head; {
	case head.isChunked && (head.hasLength || head.isOld):
		return false
	case head.isUpgrade: // another protocol's bytes may follow
		c.expected = expectAnything
	case head.isChunked:
		c.expected = expectChunkSize
	case head.bodyBytes > 0:
		c.expected, c.bodyLeft = expectBody, head.bodyBytes
	default:
		c.expected = expectRequestLine
	}
	return true
}

// takesChunkSize allows extensions: they are read over.
func (c *strictConn) takesChunkSize(line string) bool {
	size, extension, _ := strings.Cut(line, ";")
	length, err := strconv.ParseUint(strings.TrimRight(size, " \t"), 16, 60)
	if err != nil || !isHex(size[0]) || !isText(extension) {
		return false
	}
	c.expected, c.bodyLeft = expectChunk, length
	if length == 0 {
		c.expected = expectTrailer
	}
	return true
}

// takes takes a header's line.
func (h *requestHead) takes(line string) bool {
	name, value, ok := cutLine(line)
	if !ok || strings.Contains(name, "_") && decidesFraming(name) {
		return false
	}
	switch {
	case strings.EqualFold(name, "Content-Length"):
		length, err := strconv.ParseUint(value, 10, 63)
		isFirst := !h.hasLength
		h.hasLength, h.bodyBytes = true, length
		return isFirst && err == nil
	case strings.EqualFold(name, "Transfer-Encoding"):
		isFirst := !h.isChunked
		h.isChunked = true
		return isFirst && strings.EqualFold(value, "chunked")
	case strings.EqualFold(name, "Host"):
		return isHost(value)
	case strings.EqualFold(name, "Expect"):
		return strings.EqualFold(value, "100-continue")
	case strings.EqualFold(name, "Accept"):
		if len(h.accept)+len(value) < maxAccept {
			h.accept += "," + value
		}
	case strings.EqualFold(name, "Upgrade"):
		h.isUpgrade = h.isUpgrade || mayUpgrade(value)
	}
	return true
}

// mayUpgrade says whether a connection whose request has this Upgrade header may become another protocol's.
func mayUpgrade(protocol string) bool { return !hasPrefixFold(protocol, "h2c") }

// cutLine cuts a header's line. It is false for one that is folded, or whose name is not followed by its colon.
func cutLine(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	value = strings.Trim(value, " \t")
	return name, value, ok && isToken(name) && isText(value)
}

// decidesFraming says whether servers may take a header's name for one that says where a message ends, or whose it is.
func decidesFraming(name string) bool {
	switch strings.ReplaceAll(strings.ToLower(name), "_", "-") {
	case "content-length", "transfer-encoding", "host", "trailer":
		return true
	}
	return false
}

// isHost says whether nothing but a port stands behind a host's colon.
func isHost(value string) bool {
	port := value[strings.LastIndexByte(value, ']')+1:]
	_, port, hasPort := strings.Cut(port, ":")
	return !hasPort || strings.Trim(port, "0123456789") == ""
}

func isToken(text string) bool {
	for i := range len(text) {
		if !tokenBytes[text[i]] {
			return false
		}
	}
	return text != ""
}

// tokenBytes are those of a token (RFC 9110, 5.6.2).
var tokenBytes = func() (are [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		are[c] = true
	}
	return are
}()

// isText says whether no control byte but tabs is in a text.
func isText(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}
