package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A client that never sends the body that it announced is answered all the same, and its connection ends.
func TestABodyThatDoesNotComeIsNotWaitedForWithoutEnd(t *testing.T) {
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusUnauthorized) })
	server := httptest.NewServer(awaitBodies(100*time.Millisecond, refuse))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: apron\r\nContent-Length: 100\r\n\r\n{")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		t.Fatalf("got %v, %v", response, err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.ReadByte(); err == nil || isTimeout(err) {
		t.Errorf("the connection goes on: %v", err)
	}
}

func TestNobodyIsSentToACleanPath(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/git/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "git ", r.URL.Path) })
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "api ", r.URL.Path) })
	mux.Handle("/", handler)
	for path, want := range map[string]string{
		"/": "api /", "//": "api //", "/./": "api /./", "/x/..": "api /x/..", "/x/": "api /x/", "/git/app/": "git /git/app/", "/git/../x": "api /git/../x",
	} {
		answer := httptest.NewRecorder()
		withoutRedirects(mux, handler).ServeHTTP(answer, httptest.NewRequest(http.MethodPost, path, nil))
		if got := answer.Body.String(); answer.Code != http.StatusOK || got != want {
			t.Errorf("%s answers %d %q, want %q", path, answer.Code, got, want)
		}
	}
}

func isTimeout(err error) bool {
	var failure net.Error
	return errors.As(err, &failure) && failure.Timeout()
}

// newTestServer returns a server of the handler alone, which runs until stop is called.
func newTestServer(t *testing.T, handler http.HandlerFunc) (s *server, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = &server{listener: listener, inFlight: map[*http.Request]struct{}{}}
	s.http = &http.Server{Handler: s.track(handler), ConnState: s.countConn}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

func TestAConnectionThatWasAcceptedBeforeTheStopIsAnswered(t *testing.T) {
	arrived, finish := make(chan struct{}), make(chan struct{})
	s, stop := newTestServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-finish
		}
		io.WriteString(w, r.URL.Path)
	})
	answers := make(chan string, 2)
	begin := func(path string) (send func()) {
		conn, err := net.Dial("tcp", s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		return func() {
			defer conn.Close()
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: apron\r\n\r\n", path)
			content, err := io.ReadAll(conn)
			_, body, _ := strings.Cut(string(content), "\r\n\r\n")
			answers <- fmt.Sprint(body, " ", err)
		}
	}
	sendUnread := begin("/unread")
	go begin("/slow")()
	<-arrived // and so the one before is accepted
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	await(t.Context(), func() bool {
		conn, err := net.Dial("tcp", s.listener.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	sendUnread()
	close(finish)
	<-stopped
	got := map[string]bool{<-answers: true, <-answers: true}
	if !got["/unread <nil>"] || !got["/slow <nil>"] {
		t.Errorf("the answers are %v", got)
	}
}

func TestSettlingWaitsForTheRequestsThatAreInFlightOnly(t *testing.T) {
	arrived := make(chan struct{})
	finish := map[string]chan struct{}{"/early": make(chan struct{}), "/late": make(chan struct{})}
	s, _ := newTestServer(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-finish[r.URL.Path]
	})
	var asking sync.WaitGroup
	defer asking.Wait()
	ask := func(path string) {
		asking.Go(func() {
			response, err := http.Get("http://" + s.listener.Addr().String() + path)
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
		})
		<-arrived
	}
	ask("/early")
	settled := make(chan struct{})
	go func() { defer close(settled); s.settle(t.Context()) }()
	select {
	case <-settled:
		t.Error("it does not wait for the request in flight")
	case <-time.After(50 * time.Millisecond):
	}
	ask("/late")
	defer close(finish["/late"])
	close(finish["/early"])
	<-settled
}
