package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/http2"

	"github.com/apron-run/apron/internal/proxy"
)

// full is a listener of a process that has all the files open that it may have, once.
type full struct {
	net.Listener
	fails atomic.Int32
}

func (l *full) Accept() (net.Conn, error) {
	if l.fails.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

// An error that passes ended the listener, and with it the data plane.
func TestTooManyOpenFilesDoNotEndTheProxy(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	short := &full{Listener: listener}
	short.fails.Store(1)
	lender := httptest.NewTLSServer(nil) // has a certificate
	certificate := lender.TLS.Certificates[0]
	lender.Close()
	p := start(t, proxy.Config{TLSListener: short, Certificates: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil }})
	select {
	case err := <-p.stopped:
		t.Fatalf("the proxy has ended: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
}

// The library stops its own timer when a stream begins, and knows no bound for its head.
func TestAnHTTP3ConnectionWithAnUnfinishedHeadIsLetGo(t *testing.T) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() }) // after the proxy
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lender := httptest.NewTLSServer(nil) // has a certificate
	certificate, root := lender.TLS.Certificates[0], lender.Certificate()
	lender.Close()
	roots := x509.NewCertPool()
	roots.AddCert(root)
	p := start(t, proxy.Config{
		TLSListener: listener, QUIC: packets, ReadHeaderTimeout: 300 * time.Millisecond, IdleTimeout: 500 * time.Millisecond, RequestTimeout: 300 * time.Millisecond,
		ShutdownTimeout: 2 * time.Second,
		Certificates:    func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil },
	})
	served := route(backend(t, says("ok")))
	served.Hosts = []string{"example.com"}
	p.serve(served)
	for _, isSilent := range []bool{true, false} {
		conn, err := quic.DialAddr(t.Context(), packets.LocalAddr().String(), &tls.Config{RootCAs: roots, ServerName: "example.com", NextProtos: []string{"h3"}},
			&quic.Config{KeepAlivePeriod: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseWithError(0, "")
		if !isSilent {
			stream, err := conn.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			stream.Write([]byte{1, 100, 0}) // HEADERS of 100 bytes, and then nothing
		}
		select {
		case <-conn.Context().Done():
		case <-time.After(5 * time.Second):
			t.Errorf("it is open after 5 s; silent: %v", isSilent)
		}
	}
}

// The windows of HTTP/2 are wide open, but nothing is taken off the connection.
func TestAClientByHTTP2ThatReadsNothingIsLetGo(t *testing.T) {
	p := start(t, proxy.Config{RequestTimeout: 300 * time.Millisecond, IdleTimeout: 300 * time.Millisecond, MaxConns: 1, ShutdownTimeout: 2 * time.Second})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			return
		}
		for {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})))
	conn := dial(t, p.address)
	defer conn.Close()
	conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, nil)
	framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	framer.WriteWindowUpdate(0, 1<<30)
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: aGet(), EndHeaders: true, EndStream: true})
	conn.Write(out.Bytes())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://app.test/other", nil)
	response, err := p.client(t).Do(request)
	if err != nil {
		t.Fatalf("the only connection is still that of the client that reads nothing: %v", err)
	}
	response.Body.Close()
}
