package dataplane_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/apron-run/apron/internal/dataplane"
	"github.com/apron-run/apron/internal/platform"
)

// certificate is for example.com, and roots trust it.
var certificate, roots = func() (tls.Certificate, *x509.CertPool) {
	lender := httptest.NewTLSServer(nil)
	defer lender.Close()
	pool := x509.NewCertPool()
	pool.AddCert(lender.Certificate())
	return lender.TLS.Certificates[0], pool
}()

// echo answers with the body of the request.
func echo(w http.ResponseWriter, r *http.Request) {
	if body, err := io.ReadAll(r.Body); err == nil {
		w.Write(body)
	}
}

// h3 returns a client of HTTP/3.
func h3(t *testing.T) *http.Client {
	transport := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}}
	t.Cleanup(func() { transport.Close() })
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// h2 returns a client of HTTP/2.
func h2(t *testing.T) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// askUntil asks until ctx ends, over one connection if it is kept and otherwise over a new one each time.
func (p *plane) askUntil(t *testing.T, ctx context.Context, client *http.Client, isKept bool) {
	for ctx.Err() == nil {
		if got, err := p.ask(t, client, "/", strings.NewReader("x")); got != "x" || err != nil {
			t.Errorf("a request is answered %q, %v", got, err)
			return
		}
		if !isKept {
			client.CloseIdleConnections()
		}
	}
}

// ask sends a request to example.com and returns what is answered.
func (p *plane) ask(t *testing.T, client *http.Client, path string, body io.Reader) (string, error) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+p.https+path, body)
	if err != nil {
		return "", err
	}
	request.Host = "example.com"
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

func TestRequestsByHTTP3GoOnWhenADataPlaneFollowsAnother(t *testing.T) {
	const planes, pieces = 3, 20
	p := newPlane(t)
	p.start(t)
	client, _ := p.newClient(t)
	served := route("example.com", app(t, echo))
	client.SetRoute(served)
	flush(t, client)

	var uploads sync.WaitGroup
	goOn := make([]chan struct{}, planes)
	for i := range planes {
		if i > 0 { // each data plane begins an upload that ends long after the last one has followed
			before := p
			p = p.next(t, client)
			client.SetRoute(served)
			flush(t, client)
			client.Leave(t.Context(), before.pid)
			if i < planes-1 {
				defer before.wantEnd(t)
			}
		}
		goOn[i] = make(chan struct{})
		reader, writer := io.Pipe()
		own := h3(t)
		uploads.Go(func() {
			got, err := p.ask(t, own, "/", reader)
			if want := strings.Repeat("0123456789", 1000*pieces); got != want || err != nil {
				t.Errorf("upload %d: %d bytes came back, %v", i, len(got), err)
			}
		})
		for piece := range pieces {
			if piece == pieces/2 {
				break
			}
			fmt.Fprint(writer, strings.Repeat("0123456789", 1000))
		}
		uploads.Go(func() {
			<-goOn[i]
			for range pieces / 2 {
				fmt.Fprint(writer, strings.Repeat("0123456789", 1000))
			}
			writer.Close()
		})
	}
	if got, err := p.ask(t, h3(t), "/", strings.NewReader("new")); got != "new" || err != nil {
		t.Errorf("a new connection is answered %q, %v", got, err)
	}
	for _, each := range goOn {
		close(each)
	}
	uploads.Wait()
}

func TestClientsFindTheNextDataPlaneByEachProtocolAtOnce(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, _ := p.newClient(t)
	served := route("example.com", app(t, echo))
	client.SetRoute(served)
	flush(t, client)
	asking, done := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for i, client := range []*http.Client{h2(t), h2(t), h3(t), h3(t)} {
		isKept := i%2 == 0
		group.Go(func() { p.askUntil(t, asking, client, isKept) })
	}
	p.followed(t, client, served, 3)
	done()
	group.Wait()
}

func TestUploadsByHTTP3ThatCannotBeSentAgainAreNotLostWhenADataPlaneFollowsAnother(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, _ := p.newClient(t)
	served := route("example.com", app(t, echo))
	client.SetRoute(served)
	flush(t, client)
	asking, done := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for _, pause := range []time.Duration{0, 0, 20 * time.Millisecond, 500 * time.Millisecond} {
		kept := h3(t)
		group.Go(func() {
			for asking.Err() == nil {
				if got, err := p.ask(t, kept, "/", struct{ io.Reader }{strings.NewReader("x")}); got != "x" || err != nil {
					t.Errorf("an upload each %s is answered %q, %v", pause, got, err)
				}
				time.Sleep(pause)
			}
		})
	}
	p.followed(t, client, served, 3)
	done()
	group.Wait()
}

func TestAnAddressOfHTTPSThatOverlapsIsTakenWithoutHTTP3(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, _ := p.newClient(t)
	served := route("example.com", app(t, says("app")))
	client.SetRoute(served)
	flush(t, client)
	if err := client.SetAside(p.pid); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(p.https, ":")
	after := &plane{socket: p.socket, address: p.address, private: p.private, https: ":" + port, stop: func() {}}
	after.start(t)
	t.Cleanup(func() { after.stop() })
	client.SetRoute(served)
	flush(t, client)
	if got, err := p.ask(t, h2(t), "/", nil); got != "app" || err != nil {
		t.Errorf("it answers %q, %v", got, err)
	}
	p.wantEnd(t)
}

func TestADataPlaneWithoutHTTPSLeavesItsAddressToOthers(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, _ := p.newClient(t)
	served := route("example.com", app(t, says("app")))
	client.SetRoute(served)
	flush(t, client)
	address := p.https
	if got, err := p.ask(t, h3(t), "/", nil); got != "app" || err != nil {
		t.Fatalf("it answers %q, %v", got, err)
	}
	if err := client.SetAside(p.pid); err != nil {
		t.Fatal(err)
	}
	after := &plane{socket: p.socket, address: p.address, private: p.private, stop: func() {}}
	after.start(t)
	t.Cleanup(func() { after.stop() })
	client.SetRoute(served)
	flush(t, client)
	client.Leave(t.Context(), p.pid)
	p.wantEnd(t)
	free, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	if got := after.get("example.com"); got != "app" {
		t.Errorf("it answers %q", got)
	}
}

// followed has so many data planes follow p, each as soon as the one before has ended.
func (p *plane) followed(t *testing.T, client *dataplane.Client, served platform.Route, times int) {
	t.Helper()
	for last := p; times > 0; times-- {
		before := last
		last = last.next(t, client)
		client.SetRoute(served)
		flush(t, client)
		client.Leave(t.Context(), before.pid)
		before.wantEnd(t)
	}
}
