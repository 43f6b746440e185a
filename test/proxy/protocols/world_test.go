package protocols

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/certs"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

const domain = "apron.localhost"

// world is a proxy with all its listeners.
type world struct {
	*proxy.Proxy
	// plain, encrypted and private are the addresses of the listeners; HTTP/3 has that of encrypted.
	plain, encrypted, private string
	// root is the file of the root that signs for the services below domain.
	root  string
	roots *x509.CertPool
	// stop ends the proxy before the test does.
	stop context.CancelFunc
}

// newWorld starts a proxy and ends it with the test.
func newWorld(t *testing.T, config proxy.Config) *world {
	t.Helper()
	dir := t.TempDir()
	authority, err := certs.OpenAuthority(dir, domain)
	if err != nil {
		t.Fatal(err)
	}
	text, root, err := certs.Root(dir, domain)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{root: filepath.Join(dir, "root.pem"), roots: x509.NewCertPool()}
	w.roots.AddCert(root)
	if err := os.WriteFile(w.root, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, each := range []struct {
		listener *net.Listener
		address  *string
	}{{&config.Listener, &w.plain}, {&config.TLSListener, &w.encrypted}, {&config.PrivateListener, &w.private}} {
		if *each.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		*each.address = (*each.listener).Addr().String()
	}
	if config.QUIC, err = net.ListenPacket("udp", w.encrypted); err != nil {
		t.Fatal(err)
	}
	config.Certificates = authority.GetCertificate
	_, config.HTTPSPort, _ = net.SplitHostPort(w.encrypted)
	w.Proxy = proxy.New(config)
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		w.stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the proxy did not end")
		}
		config.QUIC.Close()
	})
	return w
}

// serve makes one service of an app at an address.
func (w *world) serve(host string, protocol platform.AppProtocol, address string) {
	w.SetRoutes([]platform.Route{{
		ServiceID: "service", ServiceName: "app", Hosts: []string{host}, State: platform.RouteStateServing,
		Endpoints: []platform.Endpoint{{InstanceID: "instance", Address: address}},
		Traffic:   platform.Traffic{Protocol: protocol},
	}})
}

// tls is a client's configuration for a host.
func (w *world) tls(host string) *tls.Config { return &tls.Config{RootCAs: w.roots, ServerName: host} }

// app starts a server that speaks HTTP/1.1, or HTTP/2 in clear text and nothing else.
func app(t *testing.T, protocol platform.AppProtocol, handler http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetHTTP1(protocol == platform.AppProtocolHTTP1)
	server.Config.Protocols.SetUnencryptedHTTP2(protocol == platform.AppProtocolH2C)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// each runs a test against an app of each protocol.
func each(t *testing.T, test func(t *testing.T, protocol platform.AppProtocol)) {
	for _, protocol := range []platform.AppProtocol{platform.AppProtocolHTTP1, platform.AppProtocolH2C} {
		name := string(protocol)
		if protocol == platform.AppProtocolHTTP1 {
			name = "http1"
		}
		t.Run(name, func(t *testing.T) { test(t, protocol) })
	}
}
