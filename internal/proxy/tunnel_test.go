package proxy_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

func TestAnIdleWebSocketIsClosedInOrderAndTheAccessLogSaysWhy(t *testing.T) {
	const (
		message     = "\x81\x82\x00\x00\x00\x00hi"
		goingAway   = "\x88\x02\x03\xe9"
		clientClose = "\x88\x80\x00\x00\x00\x00"
		appClose    = "\x88\x00"
	)
	type connect func() net.Conn
	for name, road := range map[string]func(*testing.T, proxy.Config) (*running, connect){
		"fast": func(t *testing.T, config proxy.Config) (*running, connect) {
			p := start(t, config)
			return p, func() net.Conn { return dial(t, p.address) }
		},
		"standard": func(t *testing.T, config proxy.Config) (*running, connect) {
			p := start(t, proxy.StandardOnly(config))
			return p, func() net.Conn { return dial(t, p.address) }
		},
		"TLS": func(t *testing.T, config proxy.Config) (*running, connect) {
			s := startTLS(t, config)
			return s.running, func() net.Conn {
				conn, err := s.dial(t, "example.com", &tls.Config{})
				if err != nil {
					t.Fatal(err)
				}
				return conn
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, atApp := &accessLog{}, make(chan string, 1)
			p, connect := road(t, proxy.Config{AccessLog: log})
			to := treated(platform.Traffic{IdleTimeout: 300 * time.Millisecond}, rawBackend(t, func(conn net.Conn) {
				reader := bufio.NewReader(conn)
				if _, err := http.ReadRequest(reader); err != nil {
					t.Error(err)
				}
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				got := make([]byte, len(message)+len(clientClose)+2)
				n, _ := io.ReadFull(reader, got)
				io.WriteString(conn, appClose)
				atApp <- string(got[:n])
			}))
			to.Hosts = append(to.Hosts, "example.com")
			p.serve(to)
			conn := connect()
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"+message)
			reader, got := bufio.NewReader(conn), make([]byte, len(goingAway))
			if response, err := http.ReadResponse(reader, nil); err != nil || response.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("the upgrade is answered %v (%v)", response, err)
			}
			if _, err := io.ReadFull(reader, got); err != nil || string(got) != goingAway {
				t.Errorf("the client gets %q (%v)", got, err)
			}
			io.WriteString(conn, clientClose)
			if rest, err := io.ReadAll(reader); len(rest) > 0 || err != nil {
				t.Errorf("behind it the client gets %q (%v)", rest, err)
			}
			if got := <-atApp; !strings.HasPrefix(got, message+"\x88\x82") {
				t.Errorf("the app gets %q", got)
			}
			eventually(t, "a record", func() bool { return len(log.all()) > 0 })
			record := log.all()[0]
			if record.RequestBytes < int64(len(message)) {
				t.Errorf("by the access log %d bytes came from the client", record.RequestBytes)
			}
			if record.Problem != "neither the client nor the instance sent a byte for too long" {
				t.Errorf("the problem is %q", record.Problem)
			}
		})
	}
}
