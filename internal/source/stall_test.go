package source_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/source"
)

const idle = 150 * time.Millisecond

func serveStalled(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(source.EndStalled(idle, handler))
	t.Cleanup(server.Close)
	return server
}

func TestABodyThatComesSlowlyButSteadilyIsReadWhole(t *testing.T) {
	server := serveStalled(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %v", len(body), err)
	})
	reader, writer := io.Pipe()
	go func() {
		for range 6 { // together longer than idle
			time.Sleep(idle / 3)
			io.WriteString(writer, "x")
		}
		writer.Close()
	}()
	response, err := http.Post(server.URL, "text/plain", reader)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); string(body) != "6 <nil>" {
		t.Errorf("answer %q", body)
	}
}

func TestABodyThatStopsIsAnError(t *testing.T) {
	ended := make(chan error, 1)
	server := serveStalled(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		ended <- err
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
	select {
	case err := <-ended:
		var timeout net.Error
		if err == nil || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("error %v, want a time-out", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still reading")
	}
}

func TestAHandlerMayWorkLongerThanAClientMayBeSilent(t *testing.T) {
	server := serveStalled(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
			io.WriteString(w, "cancelled")
		case <-time.After(3 * idle):
			io.WriteString(w, "done")
		}
	})
	for range 2 { // the second on the same connection: no deadline is left behind
		response, err := http.Post(server.URL, "text/plain", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if string(body) != "done" {
			t.Errorf("answer %q, %v", body, err)
		}
	}
}

func TestAConnectionStaysUsableLongerThanAClientMayBeSilent(t *testing.T) {
	server := serveStalled(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for i := range 2 {
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		time.Sleep(2 * idle) // what is tested: time passing between requests
	}
}

func TestAClientThatStopsReadingIsLetGo(t *testing.T) {
	ended := make(chan error, 1)
	server := serveStalled(t, func(w http.ResponseWriter, _ *http.Request) {
		block := make([]byte, 1<<20)
		for {
			if _, err := w.Write(block); err != nil {
				ended <- err
				return
			}
		}
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("still writing")
	}
}

func TestWritesArriveAsTheyHappen(t *testing.T) {
	seen := make(chan struct{})
	server := serveStalled(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "first")
		<-seen
		io.WriteString(w, "second")
	})
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	first := make([]byte, 5)
	if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("%q, %v", first, err)
	}
	close(seen)
	if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "second" {
		t.Errorf("%q, %v", rest, err)
	}
}
