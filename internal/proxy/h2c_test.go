package proxy_test

import (
	"bytes"
	"context"
	"io"
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

// Interim answers were passed on by the one reader of a connection that other clients' streams share.
func TestASlowClientDoesNotHoldUpOtherStreams(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hints" {
			for r.Context().Err() == nil {
				w.Header().Set("Link", strings.Repeat("x", 8<<10))
				w.WriteHeader(http.StatusEarlyHints)
			}
		}
		io.WriteString(w, "ok")
	}))
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	p := start(t, proxy.Config{RequestTimeout: time.Minute})
	h2c := route(platform.Endpoint{InstanceID: platform.NewInstanceID(), Address: server.Listener.Addr().String()})
	h2c.Traffic.Protocol = platform.AppProtocolH2C
	p.serve(h2c)
	p.get(t, "http://app.test/") // the connection to the app is there
	conn := dial(t, p.address)
	defer conn.Close()
	io.WriteString(conn, "GET /hints HTTP/1.1\r\nHost: app.test\r\n\r\n") // and reads nothing
	time.Sleep(time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://app.test/", nil)
	response, err := p.client(t).Do(request)
	if err != nil {
		t.Fatalf("another client's request: %v", err)
	}
	response.Body.Close()
}

// The library takes any number for a status.
func TestAnAppByHTTP2WithAnOddStatus(t *testing.T) {
	for _, status := range []string{"99", "1000", "0", "-7"} {
		log := &accessLog{}
		p := start(t, proxy.Config{AccessLog: log})
		app := rawBackend(t, func(conn net.Conn) {
			io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
			framer := http2.NewFramer(conn, conn)
			framer.WriteSettings()
			for {
				frame, err := framer.ReadFrame()
				if err != nil {
					return
				}
				if _, ok := frame.(*http2.HeadersFrame); ok {
					var block bytes.Buffer
					hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: status})
					framer.WriteHeaders(http2.HeadersFrameParam{StreamID: frame.Header().StreamID, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
				}
			}
		})
		h2c := route(platform.Endpoint{InstanceID: platform.NewInstanceID(), Address: app.Address})
		h2c.Traffic.Protocol = platform.AppProtocolH2C
		p.serve(h2c)
		answer := p.raw(t, "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
		eventually(t, "the record", func() bool { return len(log.all()) == 1 })
		if record := log.all()[0]; !strings.HasPrefix(answer, "HTTP/1.1 502") || record.Status != http.StatusBadGateway || !strings.Contains(record.Problem, status) {
			t.Errorf("the status %s: answered %.30q, recorded %d %q", status, answer, record.Status, record.Problem)
		}
	}
}
