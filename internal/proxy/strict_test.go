package proxy

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// readsFrom is a connection of which a test says what can be read.
type readsFrom struct {
	net.Conn
	io.Reader
}

func (c readsFrom) Read(p []byte) (int, error)      { return c.Reader.Read(p) }
func (c readsFrom) SetReadDeadline(time.Time) error { return nil }

// The whole catalogue of what is refused is in test/proxy; this is about how the bytes arrive.
func TestAMalformedRequestIsSpoiledHoweverItsBytesArrive(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nHost: app.test\r\n"
	const chunked = request + "Transfer-Encoding: chunked\r\n\r\n"
	for sent, good := range map[string]string{
		request + "\r\n" + request + "Content-Length: 3\r\n\r\n\r\n\n" + request + "\r\n":             "",
		chunked + "3\r\n\n\n\n\r\n0\r\nX: y\r\n\r\n" + request + "\r\n":                               "",
		request + "Connection: Upgrade\r\nUpgrade: x\r\n\r\n\n\n\x00":                                 "",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n":                                                          "",
		request + "X-A: b\n\r\n":                                                                      request,
		request + "\r\n" + request + "\n":                                                             request + "\r\n" + request,
		request + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n\n":                                     request + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		chunked + "3\r\nabc\n0\r\n\r\n":                                                               chunked + "3\r\nabc",
		chunked + "0\r\nX : y\r\n\r\n":                                                                chunked + "0\r\n",
		chunked + "0\r\n\n":                                                                           chunked + "0\r\n",
		request + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1":                          request + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
		chunked + "1;" + strings.Repeat("x", 20_000) + "\r\n":                                         chunked,
		request + "Host: app.test:80:90\r\nX-A: " + strings.Repeat("x", 3_000) + "\r\n\r\n" + request: request,
	} {
		for name, reader := range map[string]io.Reader{
			"at once": strings.NewReader(sent), "one by one": iotest.OneByteReader(strings.NewReader(sent)),
			"in halves": iotest.HalfReader(strings.NewReader(sent)),
		} {
			conn := New(Config{MaxHeaderBytes: 4 << 10}).newStrictConn(&limitedConn{Conn: readsFrom{Reader: reader}})
			got, err := io.ReadAll(conn)
			isRight := string(got) == sent
			if good != "" { // what came of the line before it was known to be malformed stands before the spoiler
				rest, isPrefix := strings.CutPrefix(string(got), good)
				line, isSpoiled := strings.CutSuffix(rest, spoiler)
				isRight = isPrefix && isSpoiled && !strings.Contains(line, "\n")
			}
			if err != nil || !isRight {
				t.Errorf("%.200q %s is read as %.300q (%v)", sent, name, got, err)
			}
		}
	}
}

func BenchmarkStrictConn(b *testing.B) {
	request := []byte("GET /path?query=value HTTP/1.1\r\nHost: shop.us-east-1.apron.localhost:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
		"Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate, br\r\nCookie: session=0123456789abcdef0123456789abcdef\r\nConnection: keep-alive\r\n\r\n")
	conn := &strictConn{maxHeaderBytes: 64 << 10}
	b.ReportAllocs()
	for b.Loop() {
		if conn.follow(request) != len(request) {
			b.Fatal("refused")
		}
	}
}
