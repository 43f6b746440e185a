package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// pieces are what clients and apps send in any order, and cut anywhere.
var (
	requests = []string{
		"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n", "GET / HTTP/1.1\r\nHost: unknown.test\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello", "GET / HTTP/1.1\r\nHost: app.test\r\nTE: trailers\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000),
		"POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", "nonsense\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x85abcdhello\x88\x80abcd",
		"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: odd\r\n\r\nand so on",
	}
	answers = []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nhello",
		"HTTP/1.1 103 Hints\r\nX: y\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n", "HTTP/1.1 408 Late\r\nConnection: close\r\n\r\n", "nonsense\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300_000), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more",
		"HTTP/1.1 101 Fine\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello\x88\x00", "HTTP/1.1 101 Fine\r\nConnection: Upgrade\r\nUpgrade: odd\r\n\r\nand on",
	}
)

// misbehave sends some of the texts, perhaps not to the end, reads something or not, and leaves in one of the ways there are.
func misbehave(conn *net.TCPConn, texts []string) {
	conn.SetDeadline(time.Now().Add(time.Duration(rand.IntN(60)) * time.Millisecond))
	for range rand.IntN(4) {
		text := texts[rand.IntN(len(texts))]
		if rand.IntN(4) == 0 {
			text = text[:rand.IntN(len(text))]
		}
		io.WriteString(conn, text)
	}
	if rand.IntN(3) == 0 {
		conn.CloseWrite()
	}
	if rand.IntN(3) > 0 {
		io.Copy(io.Discard, conn)
	}
	if rand.IntN(3) == 0 {
		conn.SetLinger(0) // so that the end is an error
	}
	conn.Close()
}

func TestNothingIsLeftOfClientsAndAppsThatMisbehave(t *testing.T) {
	var failures bytes.Buffer
	p := start(t, proxy.Config{
		Log:               slog.New(slog.NewTextHandler(&failures, &slog.HandlerOptions{Level: slog.LevelError})),
		ReadHeaderTimeout: 100 * time.Millisecond, RequestTimeout: 200 * time.Millisecond, IdleTimeout: 100 * time.Millisecond, TunnelIdleTimeout: 100 * time.Millisecond,
		QueueTimeout: 50 * time.Millisecond, HoldTimeout: 50 * time.Millisecond, MaxWaiting: 10,
	})
	bad := func() platform.Endpoint {
		return rawBackend(t, func(conn net.Conn) {
			for reader := bufio.NewReader(conn); rand.IntN(4) > 0; {
				if _, err := reader.ReadString('\n'); err != nil {
					break
				}
				io.WriteString(conn, answers[rand.IntN(len(answers))])
			}
			misbehave(conn.(*net.TCPConn), answers)
		})
	}
	served := route(bad(), bad(), refusing(t))
	served.MaxConcurrency = 3
	p.serve(served)
	p.raw(t, "GET / HTTP/1.1\r\nHost: unknown.test\r\nConnection: close\r\n\r\n") // so that all is open that the proxy itself needs
	before := openFiles(t)
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			for range 60 {
				conn, err := net.Dial("tcp", p.address)
				if err != nil {
					t.Error(err)
					return
				}
				misbehave(conn.(*net.TCPConn), requests)
			}
		})
	}
	clients.Wait()
	eventually(t, "no request is left", func() bool { load := p.load(t); return load.InFlight == 0 && load.Waiting == 0 })
	p.serve() // closes the connections that are kept
	eventually(t, "no file is left open", func() bool { return openFiles(t) <= before })
	p.serve(route(backend(t, says("fine"))))
	if response, body := p.get(t, "http://app.test/"); body != "fine" {
		t.Errorf("then, a request is answered %s", response.Status)
	}
	p.stop()
	<-p.stopped
	if failures.Len() > 0 {
		t.Errorf("the proxy has failed:\n%s", &failures)
	}
}

// openFiles counts the descriptors of this process.
func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprint("/proc/", os.Getpid(), "/fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
