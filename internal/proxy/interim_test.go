package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// The server of HTTP/2 may send an interim answer still when the stream was reset and the next answer is made: what it sent was the map
// that was written to meanwhile, which ended the process.
func TestAStreamThatIsResetBesideInterimAnswersHarmsNothing(t *testing.T) {
	var interim strings.Builder
	interim.WriteString("HTTP/1.1 103 Early Hints\r\n")
	for i := range 200 { // so that it takes a while to send them
		fmt.Fprintf(&interim, "X-Header-%d: value\r\n", i)
	}
	interim.WriteString("\r\n")
	p := start(t, proxy.Config{})
	p.serve(route(rawBackend(t, func(conn net.Conn) {
		for readHead(conn) != "" {
			if _, err := io.WriteString(conn, strings.Repeat(interim.String(), 5)+"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
				return
			}
		}
	})))
	for range 20 {
		conn := dial(t, p.address)
		io.WriteString(conn, http2.ClientPreface)
		framer := http2.NewFramer(conn, conn)
		framer.WriteSettings()
		go io.Copy(io.Discard, conn)
		for i := range uint32(100) {
			framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: aGet(), EndHeaders: true, EndStream: true})
			time.Sleep(time.Duration(rand.IntN(800)) * time.Microsecond) // any moment of the answer
			if framer.WriteRSTStream(2*i+1, http2.ErrCodeCancel) != nil {
				break
			}
		}
		conn.Close()
	}
	if response, body := p.get(t, "http://app.test/"); body != "ok" {
		t.Errorf("got %s %q", response.Status, body)
	}
}

// aGet is the head of a request by HTTP/2, without an index in a table.
func aGet() []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "app.test"}, {":path", "/"}} {
		encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true})
	}
	return block.Bytes()
}

// Both come from the app at once, and went to the client by two goroutines.
func TestInterimAnswersBesideContinueAreWhole(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(rawBackend(t, func(conn net.Conn) {
		readHead(conn)
		io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
		io.ReadFull(conn, make([]byte, 4))
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})))
	for range 200 {
		answers := p.raw(t, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\nbody")
		for _, want := range []string{"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "HTTP/1.1 200 OK\r\n"} {
			if strings.Count(answers, want) != 1 {
				t.Fatalf("got %q", answers)
			}
		}
	}
}

// HTTP/2 has no such status; by HTTP/1.1 it would be the last answer, and make a tunnel of the connection.
func TestAnAppCannotSwitchProtocolsByHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusSwitchingProtocols)
		w.WriteHeader(http.StatusNoContent)
	}))
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	p := start(t, proxy.Config{})
	h2c := route(platform.Endpoint{InstanceID: platform.NewInstanceID(), Address: server.Listener.Addr().String()})
	h2c.Traffic.Protocol = platform.AppProtocolH2C
	p.serve(h2c)
	conn := dial(t, p.address)
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for range 2 {
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
		if response, err := http.ReadResponse(reader, nil); err != nil || response.StatusCode != http.StatusNoContent {
			t.Fatalf("got %+v, %v", response, err)
		}
	}
}
