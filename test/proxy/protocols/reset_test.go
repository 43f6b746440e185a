package protocols

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// relay passes the packets of one client to a server that can be exchanged, as a port is when another process opens it.
type relay struct {
	address string
	server  atomic.Pointer[net.UDPAddr]
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	var conns [2]*net.UDPConn // to the client and to the server
	for i := range conns {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns[i] = conn
	}
	r := &relay{address: conns[0].LocalAddr().String()}
	var client atomic.Pointer[net.UDPAddr]
	pass := func(from, to *net.UDPConn, sender, receiver *atomic.Pointer[net.UDPAddr]) {
		buffer := make([]byte, 2048)
		for {
			n, address, err := from.ReadFromUDP(buffer)
			if err != nil {
				return
			}
			if sender != nil {
				sender.Store(address)
			}
			_, _ = to.WriteToUDP(buffer[:n], receiver.Load()) // what is lost is sent again
		}
	}
	go pass(conns[0], conns[1], &client, &r.server)
	go pass(conns[1], conns[0], nil, &client)
	return r
}

func (r *relay) leadTo(t *testing.T, w *world) {
	t.Helper()
	address, err := net.ResolveUDPAddr("udp", w.encrypted)
	if err != nil {
		t.Fatal(err)
	}
	r.server.Store(address)
}

func TestAClientOfHTTP3IsToldWhenItsProxyHasDied(t *testing.T) {
	key := &quic.StatelessResetKey{1}
	relay, before, after := newRelay(t), newWorld(t, proxy.Config{QUICResetKey: key}), newWorld(t, proxy.Config{QUICResetKey: key})
	for text, w := range map[string]*world{"before": before, "after": after} {
		w.serve(h3Host, platform.AppProtocolHTTP1, app(t, platform.AppProtocolHTTP1, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }))
	}
	root, err := os.ReadFile(after.root)
	if err != nil || !before.roots.AppendCertsFromPEM(root) {
		t.Fatal(err)
	}
	transport := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: before.roots, ServerName: h3Host}}
	defer transport.Close()
	ask := func() (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+relay.address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = h3Host
		response, err := transport.RoundTrip(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return string(text), err
	}
	relay.leadTo(t, before)
	if got, err := ask(); got != "before" || err != nil {
		t.Fatalf("it answers %q, %v", got, err)
	}
	relay.leadTo(t, after)
	begun := time.Now()
	if got, err := ask(); err == nil {
		t.Errorf("a proxy that does not know the connection answers %q", got)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the client is told after %s", took)
	}
	if got, err := ask(); got != "after" || err != nil {
		t.Errorf("by another connection it answers %q, %v", got, err)
	}
}
