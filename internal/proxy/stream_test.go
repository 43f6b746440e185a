package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
	"github.com/apron-run/apron/internal/proxy/accesslog"
)

// rawBackend starts a TCP server that serves each connection with serve.
func rawBackend(t testing.TB, serve func(net.Conn)) platform.Endpoint {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(20 * time.Second))
				serve(conn)
			}()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return platform.Endpoint{InstanceID: platform.NewInstanceID(), Address: listener.Addr().String()}
}

// readHead reads a request's head from conn and returns it.
func readHead(conn net.Conn) string {
	reader := bufio.NewReaderSize(conn, 16) // takes little more than the head
	var head strings.Builder
	for {
		line, err := reader.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

// eventually polls a condition for up to ten seconds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestBodiesOfEverySizeArriveUnchangedBothWays(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(400)
			return
		}
		if r.Header.Get("Known") != "" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		w.Write(body)
	})))
	client := p.client(t)
	for _, size := range []int{0, 1, 2047, 2048, 4096, 32 << 10, 1 << 20} {
		for _, isChunked := range []bool{false, true} {
			content := make([]byte, size)
			for i := range content {
				content[i] = byte(rand.Uint32())
			}
			var body io.Reader = bytes.NewReader(content)
			if isChunked {
				body = struct{ io.Reader }{body}
			}
			request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://app.test/", body)
			if size%2 == 0 {
				request.Header.Set("Known", "1")
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("size %d, chunked %v: %d bytes came back (%v)", size, isChunked, len(got), err)
			}
		}
	}
}

func TestAnEventStreamIsFlushedAtOnce(t *testing.T) {
	next := make(chan string)
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		for event := range next {
			io.WriteString(w, event+"\n")
			w.(http.Flusher).Flush()
		}
	})))
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://app.test/", nil)
	response, err := p.client(t).Do(request) // the head comes before any event
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for _, event := range []string{"one", "two", "three"} {
		next <- event
		if line, err := lines.ReadString('\n'); line != event+"\n" {
			t.Errorf("read %q (%v), want %q", line, err, event)
		}
	}
	close(next)
}

func TestARequestBodyIsStreamedAsItComes(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		buffer := make([]byte, 64)
		for {
			n, err := r.Body.Read(buffer)
			w.Write(bytes.ToUpper(buffer[:n]))
			w.(http.Flusher).Flush()
			if err != nil {
				return
			}
		}
	})))
	reader, writer := io.Pipe()
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://app.test/", reader)
	response, err := p.client(t).Do(request) // answered while the body is still open
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	buffer := make([]byte, 4)
	for _, word := range []string{"ping", "pong"} {
		io.WriteString(writer, word)
		if _, err := io.ReadFull(response.Body, buffer); err != nil || string(buffer) != strings.ToUpper(word) {
			t.Fatalf("read %q (%v), want %q", buffer, err, strings.ToUpper(word))
		}
	}
	writer.Close()
	if rest, err := io.ReadAll(response.Body); len(rest) > 0 || err != nil {
		t.Errorf("read %q (%v) in the end, want nothing", rest, err)
	}
}

func TestAClientThatDoesNotReadSlowsTheInstanceDown(t *testing.T) {
	var sent atomic.Int64
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		piece := make([]byte, 64<<10)
		for sent.Load() < 1<<30 {
			n, err := w.Write(piece)
			if err != nil {
				return
			}
			sent.Add(int64(n))
		}
	})))
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
	eventually(t, "a standstill", func() bool {
		before := sent.Load()
		time.Sleep(200 * time.Millisecond) // the time over which nothing may be sent is what is looked at
		return before > 0 && sent.Load() == before
	})
	if total := sent.Load(); total > 64<<20 {
		t.Errorf("%d bytes were taken from the instance while nobody read them", total)
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Announced")
		io.WriteString(w, "body")
		w.Header().Set("X-Announced", r.Trailer.Get("X-Sum"))
		w.Header().Set(http.TrailerPrefix+"X-Sudden", "2")
	})))
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://app.test/", struct{ io.Reader }{strings.NewReader("body")})
	request.Trailer = http.Header{"X-Sum": {"1"}}
	response, body := p.do(t, request)
	if body != "body" || response.Trailer.Get("X-Announced") != "1" || response.Trailer.Get("X-Sudden") != "2" {
		t.Errorf("read %q with the trailers %v, want both trailers", body, response.Trailer)
	}
}

func TestAClientThatAsksIsToldToContinueWhenTheAppReads(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(401)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})))
	for path, want := range map[string]string{"/": "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK", "/refuse": "HTTP/1.1 401 Unauthorized"} {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", path)
		reader := bufio.NewReader(conn)
		first, err := reader.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(first, "100") {
			io.WriteString(conn, "body")
		}
		rest, _ := io.ReadAll(reader)
		if answer := first + string(rest); !strings.HasPrefix(answer, want) || path == "/" && !strings.HasSuffix(answer, "body") {
			t.Errorf("%s answered %q, want %q", path, answer, want)
		}
	}
}

func TestEarlyHintsPass(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		io.WriteString(w, "body")
	})))
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, header.Get("Link")))
		return nil
	}})
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://app.test/", nil)
	response, body := p.do(t, request)
	if len(hints) != 1 || hints[0] != "103</style.css>; rel=preload" {
		t.Errorf("hints %q, want one", hints)
	}
	if body != "body" || response.Header.Get("Link") != "" {
		t.Errorf("answered %q with the link %q, want none", body, response.Header.Get("Link"))
	}
	// HTTP/1.0 has no interim answers.
	if answer := p.raw(t, "GET / HTTP/1.0\r\nHost: app.test\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.0 200") {
		t.Errorf("HTTP/1.0 was answered %q", answer)
	}
}

func TestAnAnswerThatIsCutShortIsCutShortForTheClient(t *testing.T) {
	p := start(t, proxy.Config{})
	for name, answer := range map[string]string{
		"known length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"chunked":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
	} {
		p.serve(route(rawBackend(t, func(conn net.Conn) {
			readHead(conn)
			io.WriteString(conn, answer)
		})))
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://app.test/", nil)
		response, err := p.client(t).Do(request)
		if err == nil {
			_, err = io.ReadAll(response.Body)
			response.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: the client took half an answer for a whole one", name)
		}
	}
}

func TestAClientThatLeavesEndsItsRequest(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		began, ended := make(chan struct{}), make(chan struct{})
		log := &accessLog{}
		p := start(t, proxy.Config{AccessLog: log})
		p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			close(began)
			<-r.Context().Done()
			close(ended)
		})))
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			request, _ := http.NewRequestWithContext(ctx, method, "http://app.test/", strings.NewReader("body"))
			response, err := p.client(t).Do(request)
			if err == nil {
				response.Body.Close()
			}
			failed <- err
		}()
		<-began
		cancel()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: the instance went on working for a client that had left", method)
		}
		<-failed
		eventually(t, "the record", func() bool { return len(log.all()) == 1 })
		if status := log.all()[0].Status; status != accesslog.StatusClientGone {
			t.Errorf("%s: recorded status %d, want %d", method, status, accesslog.StatusClientGone)
		}
	}
}

// All of them together were bounded, which ended streams on the fast road.
func TestBlanksBesideTheSizesOfChunksAreNotTooMuch(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(rawBackend(t, func(conn net.Conn) {
		readHead(conn)
		w := bufio.NewWriter(conn)
		io.WriteString(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range 6000 {
			fmt.Fprintf(w, "a   \r\n0123456789\r\n")
		}
		io.WriteString(w, "0\r\n\r\n")
		w.Flush()
	})))
	conn := dial(t, p.address)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if len(body) != 60000 || err != nil {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}
