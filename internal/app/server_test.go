package app

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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
