package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/apron-run/apron/test/apron"
)

// byHTTPS asks a service as a client does that trusts what `apron ca` prints, after a restart too.
func byHTTPS(t *testing.T, a *apron.Apron) {
	service := a.MustCreate(t, fromImage("secure", "named:live", nil))
	host, _, _ := strings.Cut(service.URL, ":")
	root := a.MustCommand(t, "ca")
	for range 2 {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(root)) {
			t.Fatalf("apron ca prints %q", root)
		}
		config := &tls.Config{RootCAs: roots, ServerName: host}
		by2, by3 := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}, &http3.Transport{TLSClientConfig: config}
		for protocol, transport := range map[string]http.RoundTripper{"HTTP/2.0": by2, "HTTP/3.0": by3} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+a.HTTPS+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = host
			response, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(request)
			if err != nil {
				t.Fatalf("%s: %v", protocol, err)
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || !strings.HasPrefix(string(body), "one") || response.Proto != protocol {
				t.Errorf("by %s it answers %q (%v), want %s", response.Proto, body, err, protocol)
			}
		}
		by2.CloseIdleConnections()
		by3.Close()
		a.Stop(t)
		a.Restart(t)
		if again := a.MustCommand(t, "ca"); again != root {
			t.Errorf("after a restart the root is %s, want %s", again, root)
		}
	}
	service.Delete(t)
}
