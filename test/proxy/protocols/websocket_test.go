package protocols

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
	"github.com/apron-run/apron/test/websocket"
)

// TestAWebSocketByTLSIsClosedInOrder lets the frame that closes it come first, then the end of the TLS connection, which tells the
// client that nothing was cut off (RFC 8446, 6.1).
func TestAWebSocketByTLSIsClosedInOrder(t *testing.T) {
	for name, end := range map[string]func(*world){
		"the instance leaves": func(w *world) {
			w.SetRoutes(nil)
			w.EndTunnels(context.Background(), []platform.InstanceID{"instance"})
		},
		"the proxy leaves": func(w *world) { w.Leave() },
		"the proxy stops":  func(w *world) { w.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, proxy.Config{IdleTimeout: 100 * time.Millisecond})
			w.serve(h3Host, platform.AppProtocolHTTP1, app(t, platform.AppProtocolHTTP1, websocket.Handler))
			conn, err := tls.Dial("tcp", w.encrypted, w.tls(h3Host))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			reader, err := websocket.Open(conn, h3Host, "/", string(websocket.Frame(websocket.Text, []byte("hello"), true)))
			if err != nil {
				t.Fatal(err)
			}
			if _, echoed, _, err := websocket.ReadFrame(reader); string(echoed) != "hello" || err != nil {
				t.Fatalf("it answers %q, %v", echoed, err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				end(w)
			}()
			defer func() { <-ended }()
			first, payload, _, err := websocket.ReadFrame(reader)
			if err != nil || first != websocket.Close || !bytes.Equal(payload, websocket.GoingAway) {
				t.Errorf("the last frame is %#x %q, %v", first, payload, err)
			}
			conn.Write(websocket.Frame(websocket.Close, payload, true))
			if rest, err := io.ReadAll(reader); len(rest) > 0 || err != nil {
				t.Errorf("behind it %q, %v", rest, err)
			}
		})
	}
}
