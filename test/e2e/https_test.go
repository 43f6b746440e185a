package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/load"
)

// rootsOf are what trusts what `apron ca` prints.
func rootsOf(t *testing.T, a *apron.Apron) *x509.CertPool {
	t.Helper()
	roots := x509.NewCertPool()
	if root := a.MustCommand(t, "ca"); !roots.AppendCertsFromPEM([]byte(root)) {
		t.Fatalf("apron ca prints %q", root)
	}
	return roots
}

// hostOf is a service's URL without its port, which is that of plain HTTP.
func hostOf(service *apron.Service) string {
	host, _, _ := strings.Cut(service.URL, ":")
	return host
}

// dials are by plain HTTP and by TLS.
func dials(t *testing.T, a *apron.Apron, service *apron.Service) []load.Dial {
	t.Helper()
	return []load.Dial{load.Plain(a.HTTP), load.Encrypted(a.HTTPS, &tls.Config{RootCAs: rootsOf(t, a), ServerName: hostOf(service)})}
}

// clientByHTTP3 returns a client that reaches every service by HTTP/3.
func clientByHTTP3(t *testing.T, a *apron.Apron) func() *http.Client {
	t.Helper()
	roots := rootsOf(t, a)
	return func() *http.Client {
		return &http.Client{Timeout: time.Minute, Transport: &http3.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots},
			Dial: func(ctx context.Context, _ string, encrypted *tls.Config, config *quic.Config) (*quic.Conn, error) {
				return quic.DialAddrEarly(ctx, a.HTTPS, encrypted, config)
			},
		}}
	}
}

// streamByHTTP3 reads an answer that takes six seconds, and returns what is wrong with it.
func streamByHTTP3(client *http.Client, service *apron.Service) string {
	defer client.Transport.(io.Closer).Close()
	response, err := client.Get("https://" + hostOf(service) + "/stream?lines=60")
	if err != nil {
		return fmt.Sprintf("a stream by HTTP/3: %v", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if lines := strings.Count(string(body), "\n"); lines != 60 || err != nil {
		return fmt.Sprintf("a stream by HTTP/3 ends after %d of 60 lines: %v", lines, err)
	}
	return ""
}

// clientByHTTPS returns a client that reaches every service by HTTP/1.1 inside of TLS, and trusts what `apron ca` prints.
func clientByHTTPS(t *testing.T, a *apron.Apron) func() *http.Client {
	t.Helper()
	roots := rootsOf(t, a)
	return func() *http.Client {
		return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, a.HTTPS)
			},
			TLSClientConfig: &tls.Config{RootCAs: roots},
		}}
	}
}

// wantNothingByHTTPS fails the test if a host is answered on --https by anything but 404: there is no service for the public.
func wantNothingByHTTPS(t *testing.T, a *apron.Apron, hosts ...string) {
	t.Helper()
	client := clientByHTTPS(t, a)()
	client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
	defer client.CloseIdleConnections()
	for _, host := range hosts {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			continue // there is no certificate for the name
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s is answered with %d by HTTPS", host, response.StatusCode)
		}
	}
}

// byHTTPS asks a service as a client does that trusts what `apron ca` prints, after a restart too.
func byHTTPS(t *testing.T, a *apron.Apron) {
	service := a.MustCreate(t, fromImage("secure", "named:live", nil))
	host, root := hostOf(service), a.MustCommand(t, "ca")
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
