package proxy_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// secure is a proxy with TLS, whose certificate is for example.com and its subdomains.
type secure struct {
	*running
	https string
	roots *x509.CertPool
	port  string
}

func startTLS(t *testing.T, config proxy.Config) *secure {
	t.Helper()
	lender := httptest.NewTLSServer(nil) // has a certificate
	certificate, root := lender.TLS.Certificates[0], lender.Certificate()
	lender.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config.TLSListener = listener
	config.Certificates = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil }
	s := &secure{https: listener.Addr().String(), roots: x509.NewCertPool()}
	_, s.port, _ = net.SplitHostPort(s.https)
	config.HTTPSPort = s.port
	s.roots.AddCert(root)
	s.running = start(t, config)
	return s
}

func (s *secure) dial(t *testing.T, name string, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	config.RootCAs, config.ServerName = s.roots, name
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", s.https, config)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn, nil
}

func TestOnlyPublicHostsHaveACertificate(t *testing.T) {
	s := startTLS(t, proxy.Config{})
	endpoint := backend(t, says("app"))
	s.SetRoutes([]platform.Route{
		{ServiceID: "a", Hosts: []string{"example.com"}, State: platform.RouteStateServing, Endpoints: []platform.Endpoint{endpoint}},
		{ServiceID: "b", PrivateHosts: []string{"private.example.com"}, State: platform.RouteStateServing, Endpoints: []platform.Endpoint{endpoint}},
	})
	for _, protocols := range [][]string{{"http/1.1"}, {"h2", "http/1.1"}} {
		conn, err := s.dial(t, "example.com", &tls.Config{NextProtos: protocols})
		if err != nil {
			t.Fatal(err)
		}
		if state := conn.ConnectionState(); state.NegotiatedProtocol != protocols[0] || state.Version != tls.VersionTLS13 {
			t.Errorf("of %v it chose %q by version %x", protocols, state.NegotiatedProtocol, state.Version)
		}
	}
	for _, name := range []string{"private.example.com", "other.example.com"} {
		if _, err := s.dial(t, name, &tls.Config{}); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%s: the handshake ends with %v", name, err)
		}
	}
	// Who has come in as somebody else gets no further.
	conn, err := s.dial(t, "example.com", &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: private.example.com\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("a private host is answered %s", response.Status)
	}
}

func TestWhatIsNoTLSOrTooOldIsRefused(t *testing.T) {
	s := startTLS(t, proxy.Config{ReadHeaderTimeout: 300 * time.Millisecond})
	s.SetRoutes([]platform.Route{{ServiceID: "a", Hosts: []string{"example.com"}, State: platform.RouteStateServing}})
	response, err := http.Get("http://" + s.https)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "HTTPS") {
		t.Errorf("plain HTTP is answered %s: %s", response.Status, text)
	}
	if _, err := s.dial(t, "example.com", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is good enough")
	}
	old, err := s.dial(t, "example.com", &tls.Config{
		MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}, NextProtos: []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("HTTP/2 with a cipher that is not for it ends with %v", err)
	}
	silent, err := net.Dial("tcp", s.https)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_ = silent.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a client that begins no handshake sees %v", err)
	}
}

func TestAClientOfATrustedProxyWithTLSIsNotSentToHTTPS(t *testing.T) {
	s := startTLS(t, proxy.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	s.SetRoutes([]platform.Route{{
		ServiceID: "a", Hosts: []string{"example.com"}, State: platform.RouteStateServing,
		Endpoints: []platform.Endpoint{backend(t, says("app"))}, Traffic: platform.Traffic{RedirectsToHTTPS: true},
	}})
	for scheme, want := range map[string]int{"https": http.StatusOK, "http": http.StatusPermanentRedirect} {
		response := roundTrip(t, s.address, "GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-Proto: "+scheme+"\r\n\r\n")
		if response.StatusCode != want {
			t.Errorf("who came by %s is answered %s", scheme, response.Status)
		}
	}
}

func TestPlainHTTPIsSentToHTTPSWhereAServiceWantsThat(t *testing.T) {
	s := startTLS(t, proxy.Config{})
	s.SetRoutes([]platform.Route{{
		ServiceID: "a", Hosts: []string{"example.com", "*.example.com"}, PrivateHosts: []string{"in.test"}, State: platform.RouteStateServing,
		Endpoints: []platform.Endpoint{backend(t, says("app"))}, Traffic: platform.Traffic{RedirectsToHTTPS: true},
	}})
	for _, one := range []struct{ method, host, target, want string }{
		{"GET", "example.com", "/a%2fb?q=//x", "https://example.com:" + s.port + "/a%2fb?q=//x"},
		{"POST", "WWW.example.com:8080", "//evil.test/", "https://www.example.com:" + s.port + "//evil.test/"},
		{"OPTIONS", "example.com.", "*", "https://example.com:" + s.port + "/"},
		{"GET", "example.com", "http://example.com/x", "https://example.com:" + s.port + "/x"},
		{"GET", "example.com", "http://example.com?x", "https://example.com:" + s.port + "/?x"},
	} {
		response := roundTrip(t, s.address, one.method+" "+one.target+" HTTP/1.1\r\nHost: "+one.host+"\r\nContent-Length: 0\r\n\r\n")
		if got := response.Header.Get("Location"); response.StatusCode != http.StatusPermanentRedirect || got != one.want {
			t.Errorf("%s %s is answered %s to %q", one.host, one.target, response.Status, got)
		}
	}
	if response := roundTrip(t, s.private, "GET / HTTP/1.1\r\nHost: in.test\r\n\r\n"); response.StatusCode != http.StatusOK {
		t.Errorf("a private host is answered %s", response.Status)
	}
	conn, err := s.dial(t, "example.com", &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("with TLS it is answered %v, %v", response, err)
	}
	response.Body.Close()
}

// roundTrip sends a request as it stands and returns the answer.
func roundTrip(t *testing.T, address, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, request)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response
}

// HTTP/1.1 inside of TLS is read as strictly as without.
func TestRequestsInsideOfTLSAreReadStrictly(t *testing.T) {
	s := startTLS(t, proxy.Config{})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // an answer before the end of the body would come first
		fmt.Fprint(w, r.Header["X-Forwarded-Proto"])
	}))
	defer app.Close()
	s.SetRoutes([]platform.Route{{
		ServiceID: "a", Hosts: []string{"example.com"}, State: platform.RouteStateServing,
		Endpoints: []platform.Endpoint{{InstanceID: "i", Address: app.Listener.Addr().String()}},
	}})
	for request, want := range map[string]int{
		"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n": 200,
		"GET / HTTP/1.1\nHost: example.com\n\n":       400,
		"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
		"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n":                    400,
		"GET / HTTP/1.1\r\nHost: example.com\r\nX-A: b\r\n folded\r\n\r\n":                                         400,
		"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":          200,
	} {
		conn, err := s.dial(t, "example.com", &tls.Config{NextProtos: []string{"http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, request)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%q is not answered: %v", request, err)
			continue
		}
		text, _ := io.ReadAll(response.Body)
		if response.StatusCode != want || want == 200 && string(text) != "[https]" {
			t.Errorf("%q is answered %s %q, want %d", request, response.Status, text, want)
		}
	}
}
