package proxy_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/proxy"
)

// TestAnAnswerBeforeTheEndOfTheBodyArrives has an app that refuses an upload from its head alone and closes.
func TestAnAnswerBeforeTheEndOfTheBodyArrives(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(rawBackend(t, func(conn net.Conn) {
		readHead(conn)
		io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge")
	})))
	for n := range 200 {
		status, body := upload(t, p.address, 100_000<<(n%8))
		if status != 413 || body != "large" {
			t.Fatalf("upload %d was answered %d %q, want the app's 413", n, status, body)
		}
	}
}

// upload sends a body of the given size as fast as it can, and reads the answer at the same time.
func upload(t testing.TB, address string, size int) (status int, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\n", size)
	go conn.Write(make([]byte, size)) // cut off by Close at the latest
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("read the answer's body: %v", err)
	}
	return response.StatusCode, string(content)
}

// TestAnUploadThatStallsAfterItsAnswerIsLetGo has a client that never sends the rest of its body.
func TestAnUploadThatStallsAfterItsAnswerIsLetGo(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(rawBackend(t, func(conn net.Conn) {
		readHead(conn)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nenough")
		io.Copy(io.Discard, conn)
	})))
	for _, host := range []string{"app.test", "unknown.test"} {
		for _, framing := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
			started := time.Now()
			answer := p.raw(t, "POST / HTTP/1.1\r\nHost: "+host+"\r\n"+framing+"\r\n\r\n")
			if !strings.HasPrefix(answer, "HTTP/1.1 ") || time.Since(started) > 5*time.Second {
				t.Errorf("%s, %s: answered %q after %s", host, framing, answer, time.Since(started))
			}
		}
	}
}

// TestTheRestOfABodyIsNeverTakenForARequest sends a second request inside a body that the app does not read.
func TestTheRestOfABodyIsNeverTakenForARequest(t *testing.T) {
	var paths atomic.Int64
	p := start(t, proxy.Config{})
	p.serve(route(rawBackend(t, func(conn net.Conn) {
		if strings.Contains(readHead(conn), "/inside") {
			paths.Add(1)
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
		io.Copy(io.Discard, conn)
	})))
	var clients sync.WaitGroup
	for range 50 {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		clients.Go(func() { // each waits a while for the end of its connection
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(conn, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10000\r\n\r\n")
			reader := bufio.NewReader(conn)
			if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
				t.Errorf("answered %q (%v)", line, err)
			}
			io.WriteString(conn, "GET /inside HTTP/1.1\r\nHost: app.test\r\n\r\n")
			io.Copy(io.Discard, reader)
		})
	}
	clients.Wait()
	if n := paths.Load(); n > 0 {
		t.Errorf("a part of a body was taken for a request %d times", n)
	}
}

func TestAClientThatLeavesAmidItsBodyEndsItsRequest(t *testing.T) {
	ended := make(chan error, 1)
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	})))
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000\r\n\r\nhalf")
	conn.Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the app took half a body for a whole one")
		}
	case <-time.After(10 * time.Second):
		t.Error("the instance went on waiting for a client that had left")
	}
}

// A client by HTTP/2 sends the rest of a body whose request is answered already, and the proxy reads it away after a while: to the app it
// is cut off, and has no hole.
func TestABodyHasNoHoleWhenItsRequestIsAnsweredEarly(t *testing.T) {
	type received struct {
		body    string
		isWhole bool
	}
	got := make(chan received, 1)
	p := start(t, proxy.Config{})
	p.serve(route(rawBackend(t, func(conn net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		body, err := io.ReadAll(request.Body)
		got <- received{string(body), err == nil}
	})))
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", p.address)
	}}
	defer transport.CloseIdleConnections()
	const want = "abcdefghij"
	for range 10 {
		reader, writer := io.Pipe()
		go func() {
			for _, letter := range want {
				io.WriteString(writer, string(letter))
				time.Sleep(4 * time.Millisecond)
			}
			writer.Close()
		}()
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://app.test/", reader)
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if got := <-got; got.isWhole && got.body != want || !strings.HasPrefix(want, got.body) {
			t.Errorf("the app has %+v", got)
		}
	}
}

// The proxy interrupts the body, and was told that the client had left.
func TestAnAppThatBreaksOffDuringAnUploadIsToldToTheClient(t *testing.T) {
	for _, body := range []string{"Content-Length: 8\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n8\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n"} {
		log := &accessLog{}
		p := start(t, proxy.Config{AccessLog: log})
		p.serve(route(rawBackend(t, func(conn net.Conn) {
			readHead(conn)
			time.Sleep(20 * time.Millisecond) // so that the proxy waits for the client
		})))
		conn := dial(t, p.address)
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: app.test\r\n"+body)
		if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || response.StatusCode != http.StatusBadGateway {
			t.Errorf("%q: got %+v, %v", body, response, err)
		}
		eventually(t, "the record", func() bool { return len(log.all()) == 1 })
		if record := log.all()[0]; record.Status != http.StatusBadGateway || strings.Contains(record.Problem, "client") {
			t.Errorf("%q: recorded are %d and %q", body, record.Status, record.Problem)
		}
		conn.Close()
	}
}

func TestALargeUploadNeedsLittleMemoryAndArrives(t *testing.T) {
	sum := make(chan string, 1)
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		io.Copy(hash, r.Body)
		sum <- hex.EncodeToString(hash.Sum(nil))
	})))
	const size = 64 << 20
	hash := sha256.New()
	content := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{}), size), hash)
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://app.test/", content)
	if response, _ := p.do(t, request); response.StatusCode != 200 {
		t.Errorf("answered %d", response.StatusCode)
	}
	if got, want := <-sum, hex.EncodeToString(hash.Sum(nil)); got != want {
		t.Errorf("the app got another body than was sent")
	}
}

// slowDeadlines is a ResponseWriter that takes a while to set a deadline, and tells when one is set after its handler has returned.
type slowDeadlines struct {
	*httptest.ResponseRecorder
	hasReturned, isLate atomic.Bool
	interrupt           func()
}

func (w *slowDeadlines) SetWriteDeadline(time.Time) error { return nil }

func (w *slowDeadlines) SetReadDeadline(at time.Time) error {
	if time.Until(at) > time.Minute {
		return nil // that of the whole request
	}
	w.interrupt()
	time.Sleep(20 * time.Millisecond)
	if w.hasReturned.Load() {
		w.isLate.Store(true)
	}
	return nil
}

// A server of HTTP/2 has nothing left of a request whose handler has returned: a deadline that was set then ended the process.
func TestNothingIsDoneToARequestAfterItsHandler(t *testing.T) {
	arrived := make(chan struct{}, 1)
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		io.Copy(io.Discard, r.Body)
	})))
	for range 10 {
		reader, writer := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		request := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://app.test/", reader)
		w := &slowDeadlines{ResponseRecorder: httptest.NewRecorder(), interrupt: func() { writer.CloseWithError(os.ErrDeadlineExceeded) }}
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			defer w.hasReturned.Store(true)
			defer func() { _ = recover() }() // the client has left
			p.ServeHTTP(w, request)
		}()
		<-arrived
		cancel()
		<-returned
		time.Sleep(40 * time.Millisecond) // for what is late
		if w.isLate.Load() {
			t.Fatal("a deadline was set after the handler had returned")
		}
	}
}
