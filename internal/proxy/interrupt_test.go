package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// endsSlowly is a body whose reader learns of its end when goOn is closed.
type endsSlowly struct {
	io.ReadCloser
	atEnd, goOn chan struct{}
}

func (b *endsSlowly) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		close(b.atEnd)
		<-b.goOn
	}
	return n, err
}

// interruptAtItsEnd interrupts the reader of a request's body that has come to its end, and returns when the interruption is undone.
func interruptAtItsEnd(t *testing.T, w http.ResponseWriter, r *http.Request) {
	slow := &endsSlowly{r.Body, make(chan struct{}), make(chan struct{})}
	r.Body = slow
	body := newRequestBody(r, http.NewResponseController(w))
	go io.Copy(io.Discard, body)
	<-slow.atEnd
	if err := body.interrupt(); err != nil {
		t.Error(err)
	}
	strict := r.Context().Value(connKey{}).(*strictConn)
	eventually(t, "the interruption is undone", func() bool {
		strict.deadline.mu.Lock()
		defer strict.deadline.mu.Unlock()
		return !strict.deadline.isInterrupted
	})
	close(slow.goOn)
	body.end()
}

// The server ended the context of a request, and of all later ones on its connection, when the read of its body was interrupted in the
// moment in which it came to the end: the client was cut off, in place of a 502.
func TestABodyThatIsInterruptedAtItsEndIsNotTakenForAClientThatLeaves(t *testing.T) {
	for name, request := range map[string]string{
		"of a known length": "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\n\r\nbody",
		"in chunks":         "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := serveStrictly(t, func(w http.ResponseWriter, r *http.Request) {
				interruptAtItsEnd(t, w, r)
				fmt.Fprint(w, r.Context().Err())
			})
			reader := bufio.NewReader(conn)
			for range 2 {
				io.WriteString(conn, request)
				response, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatal(err)
				}
				if said, _ := io.ReadAll(response.Body); string(said) != "<nil>" {
					t.Errorf("the request's context has ended: %s", said)
				}
			}
		})
	}
}

// The same, where the beginning of the next request was read with the body's end.
func TestABodyThatIsInterruptedAtItsEndWithAnotherRequestBehindIt(t *testing.T) {
	undone := make(chan struct{})
	conn := serveStrictly(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			interruptAtItsEnd(t, w, r)
			close(undone)
		}
		fmt.Fprint(w, r.Context().Err())
	})
	reader := bufio.NewReader(conn)
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\n\r\nbodyGET / HTTP/1.1\r\nHo")
	select {
	case <-undone:
	case <-time.After(20 * time.Second):
		t.Fatal("it was not undone")
	}
	io.WriteString(conn, "st: app.test\r\n\r\n")
	for range 2 {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if said, _ := io.ReadAll(response.Body); string(said) != "<nil>" {
			t.Errorf("the request's context has ended: %s", said)
		}
	}
}

// A body that waits for its client is interrupted all the same.
func TestABodyThatWaitsIsInterrupted(t *testing.T) {
	conn := serveStrictly(t, func(w http.ResponseWriter, r *http.Request) {
		body := newRequestBody(r, http.NewResponseController(w))
		ended := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, body)
			ended <- err
		}()
		eventually(t, "half of the body has come", func() bool { return body.bytesRead.Load() == 4 })
		body.end()
		fmt.Fprint(w, <-ended != nil)
	})
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 8\r\n\r\nbody")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if said, _ := io.ReadAll(response.Body); string(said) != "true" {
		t.Error("half a body was taken for a whole one")
	}
}

// serveStrictly has a handler answer on a connection that is strict, and returns the client's end of one.
func serveStrictly(t *testing.T, handler http.HandlerFunc) net.Conn {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ConnContext: connContext, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		handler(w, r)
	})}
	go server.Serve(strictListener{limitConns(listener, 10), New(Config{})})
	t.Cleanup(func() { server.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}
