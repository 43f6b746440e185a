package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/proxy"
)

// moments are those at which an app may break off, and what the client is told then.
var moments = []struct {
	name string
	// breakOff has read nothing of the request, and closes the connection when it returns.
	breakOff func(conn net.Conn, reader *bufio.Reader, seen *atomic.Int32)
	want     string
}{
	{"before it reads", func(net.Conn, *bufio.Reader, *atomic.Int32) {}, "502"},
	{"by a reset", func(conn net.Conn, _ *bufio.Reader, _ *atomic.Int32) { conn.(*net.TCPConn).SetLinger(0) }, "502"},
	{"after the first byte", func(_ net.Conn, reader *bufio.Reader, _ *atomic.Int32) { reader.ReadByte() }, "502"},
	{"after the head", func(_ net.Conn, reader *bufio.Reader, seen *atomic.Int32) { readRequestHead(reader, seen) }, "502"},
	{"after the request", func(conn net.Conn, reader *bufio.Reader, seen *atomic.Int32) { readCounted(conn, reader, seen) }, "502"},
	{"after an interim answer", func(conn net.Conn, reader *bufio.Reader, seen *atomic.Int32) {
		readCounted(conn, reader, seen)
		io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n\r\n")
	}, "502"},
	{"after half of the head", func(conn net.Conn, reader *bufio.Reader, seen *atomic.Int32) {
		readCounted(conn, reader, seen)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-")
	}, "502"},
	{"after half of the answer", func(conn net.Conn, reader *bufio.Reader, seen *atomic.Int32) {
		readCounted(conn, reader, seen)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
	}, "cut"},
}

// TestNoRequestIsSentTwiceThatMayHaveBeenSeen has an app break off at each moment, on a connection that is new to it and on one
// that it has kept. Only what is safe and has no body may reach it a second time, and the client is told the truth.
func TestNoRequestIsSentTwiceThatMayHaveBeenSeen(t *testing.T) {
	onEachRoad(t, proxy.Config{HoldTimeout: 200 * time.Millisecond}, func(t *testing.T, p *running) {
		for _, moment := range moments {
			for _, request := range []string{
				"GET / HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", "POST / HTTP/1.1\r\n\r\n",
				"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "PUT / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
				"DELETE / HTTP/1.1\r\n\r\n", "PATCH / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", "GET / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
			} {
				for _, isKept := range []bool{false, true} {
					what := fmt.Sprintf("%.30q, broken off %s, on a kept connection: %v", request, moment.name, isKept)
					p.breakOff(t, what, request, isKept, moment.breakOff, moment.want)
				}
			}
		}
	})
}

// breakOff sends a request to an app that breaks off, and fails the test when more has reached the app than may, or when the
// client was told something else than what has happened.
func (p *running) breakOff(t *testing.T, what, request string, isKept bool, breakOff func(net.Conn, *bufio.Reader, *atomic.Int32), want string) {
	var seen atomic.Int32
	p.serve(wired(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		if isKept {
			if _, _, err := readStrictly(reader, conn); err != nil {
				return
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nkept")
			if _, err := reader.Peek(1); err != nil {
				return
			}
		}
		breakOff(conn, reader, &seen)
	}))
	conn := p.dial(t)
	defer conn.Close()
	reader := bufio.NewReader(conn)
	if isKept {
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		if _, body, err := readAnswer(reader, "GET"); body != "kept" {
			t.Fatalf("%s: the first request is answered %q, %v", what, body, err)
		}
	}
	io.WriteString(conn, strings.Replace(request, "\r\n", "\r\nHost: "+host+"\r\n", 1))
	method, _, _ := strings.Cut(request, " ")
	got := "cut"
	if response, body, err := readAnswer(reader, method); err == nil {
		got = fmt.Sprint(response.StatusCode)
		if body == "kept" || response.StatusCode == 200 && method == "HEAD" {
			got = want // it was the first of another connection, where this app answers
		}
		if response.StatusCode == 503 && !isKept && seen.Load() == 0 {
			got = want // it was broken off before a byte was sent, so that others were tried
		}
	}
	if got != want {
		t.Errorf("%s: the client has %s, want %s", what, got, want)
	}
	most := int32(1)
	if strings.HasSuffix(request, "HTTP/1.1\r\n\r\n") && (method == "GET" || method == "HEAD") {
		most = 2
	}
	if n := seen.Load(); n > most {
		t.Errorf("%s: it has reached the app %d times", what, n)
	}
}

// readRequestHead reads a head, and counts it.
func readRequestHead(reader *bufio.Reader, seen *atomic.Int32) {
	for {
		if line, err := reader.ReadString('\n'); err != nil || line == "\r\n" {
			seen.Add(1)
			return
		}
	}
}

// readCounted reads a request, and counts it.
func readCounted(conn net.Conn, reader *bufio.Reader, seen *atomic.Int32) {
	if _, _, err := readStrictly(reader, conn); err == nil {
		seen.Add(1)
	}
}

// TestAClientThatIsGoneIsGoneForTheApp has clients leave at several moments of a request: the app sees the end of its connection
// within a moment.
func TestAClientThatIsGoneIsGoneForTheApp(t *testing.T) {
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		for name, each := range map[string]struct{ sent, answered string }{
			"a GET that waits":            {"GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n", ""},
			"a GET whose answer streams":  {"GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n"},
			"a POST that waits":           {"POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 4\r\n\r\nbody", ""},
			"an upload in the middle":     {"PUT / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 100\r\n\r\nhalf", ""},
			"chunks in the middle":        {"PUT / HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", ""},
			"an answer during the upload": {"PUT / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 100\r\n\r\nhalf", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"},
			"a tunnel":                    {"GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"},
			"an answer of a known length": {"GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"},
		} {
			for _, isReset := range []bool{false, true} {
				arrived, ended := make(chan struct{}), make(chan struct{})
				p.serve(wired(t, func(conn net.Conn) {
					reader := bufio.NewReader(conn)
					readRequestHead(reader, new(atomic.Int32))
					io.WriteString(conn, each.answered)
					close(arrived)
					io.Copy(io.Discard, reader)
					close(ended)
				}))
				conn := p.dial(t)
				io.WriteString(conn, each.sent)
				<-arrived
				if each.answered != "" {
					if _, err := conn.Read(make([]byte, 1)); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
				}
				if isReset {
					conn.SetLinger(0)
				}
				begun := time.Now()
				conn.Close()
				select {
				case <-ended:
					if took := time.Since(begun); took > time.Second {
						t.Errorf("%s: the app is told after %s (reset: %v)", name, took, isReset)
					}
				case <-time.After(5 * time.Second):
					t.Errorf("%s: the app is not told (reset: %v)", name, isReset)
				}
			}
		}
	})
}
