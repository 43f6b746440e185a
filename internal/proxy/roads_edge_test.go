package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

func TestAHeadWhoseFieldsGrowOnTheirWayArrivesWhole(t *testing.T) {
	const fields = 900
	dense := func(first, end string, size int) string { // fields without a blank behind the colon
		var b strings.Builder
		b.WriteString(first)
		for i := range fields {
			fmt.Fprintf(&b, "x%d:y%s", i, end)
		}
		b.WriteString("Pad:" + strings.Repeat("p", size-b.Len()-len("Pad:")-2*len(end)) + end + end)
		return b.String()
	}
	p := start(t, proxy.Config{})
	answer := dense("HTTP/1.1 200 OK\nContent-Length:0\n", "\n", 32<<10-600)
	got := make(chan int, 1)
	p.serve(route(rawBackend(t, func(conn net.Conn) {
		got <- strings.Count(readHead(conn), ": y\r\n")
		io.WriteString(conn, answer)
	})))
	for _, size := range []int{16<<10 - 700, 64<<10 - 700} {
		request := dense("GET / HTTP/1.1\r\nHost:app.test\r\nConnection:close\r\n", "\r\n", size)
		response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(p.raw(t, request))), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := <-got; n != fields || len(response.Header) < fields {
			t.Errorf("with %d bytes, the app gets %d fields and the client %d, want %d", size, n, len(response.Header), fields)
		}
	}
}

func TestABodyBehindAHeadThatFillsItsBufferArrives(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })))
	for _, size := range []int{16 << 10, 64 << 10} {
		for _, framed := range []struct{ field, body string }{{"Content-Length: 5", "hello"}, {"Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"}} {
			head := "POST / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n" + framed.field + "\r\nPad: "
			head += strings.Repeat("p", size-len(head)-4) + "\r\n\r\n"
			if answer := twoParts(t, p, head, framed.body); !strings.Contains(answer, "hello") {
				t.Errorf("a head of %d bytes with %s: the answer is %q", size, framed.field, answer)
			}
		}
	}
}

func TestAnExtensionOfAChunkInTwoPartsIsNoSizeOnEitherRoad(t *testing.T) {
	p := start(t, proxy.Config{})
	served := route(backend(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	served.Traffic = platform.Traffic{Compresses: true} // goes by the standard road
	p.serve(served)
	const head = "POST / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
	const body = "5;feed=bad\r\nhello\r\n0\r\nX-Trailer: said\r\n\r\n"
	for at := 1; at < len(body); at++ {
		if answer := twoParts(t, p, head+body[:at], body[at:]); !strings.Contains(answer, "hello") {
			t.Errorf("cut after %q, the answer is %q", body[:at], answer)
		}
	}
}

func TestWhatFollowsAnAnswerIsNotTheNextOne(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(rawBackend(t, func(conn net.Conn) {
		readHead(conn)
		head := "HTTP/1.1 200 OK\r\nContent-Length: "
		const whole = 16<<10 - 16 // what is read at once
		body := whole - len(head) - len("16000\r\n\r\n")
		io.WriteString(conn, fmt.Sprintf("%s%d\r\n\r\n%sHTTP/1.1 500 Odd\r\nContent-Length: 0\r\n\r\n", head, body, strings.Repeat("b", body)))
		io.Copy(io.Discard, conn)
	})))
	client := p.client(t)
	for range 3 {
		response, err := client.Get("http://app.test/")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode != 200 {
			t.Fatalf("the answer is %s", response.Status)
		}
	}
}

// twoParts is raw with a while between two parts of what is sent.
func twoParts(t *testing.T, p *running, first, second string) string {
	t.Helper()
	conn := dial(t, p.address)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, first)
	time.Sleep(5 * time.Millisecond) // most likely read by now; the answer is the same if not
	io.WriteString(conn, second)
	answer, _ := io.ReadAll(conn) // what came before an error is looked at
	return string(answer)
}
