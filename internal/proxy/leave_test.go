package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/proxy"
)

// ask sends one request over conn and returns the answer with its body.
func ask(t *testing.T, conn net.Conn, path string) (*http.Response, string) {
	t.Helper()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: app.test\r\n\r\n", path)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func TestAProxyThatLeavesAnswersEachConnectionOnceMore(t *testing.T) {
	arrived, finish := make(chan struct{}), make(chan struct{})
	instance := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-finish
		}
		io.WriteString(w, r.URL.Path)
	})
	p := start(t, proxy.Config{})
	p.serve(route(instance))
	// They are accepted in this order, so that the second is when the third is answered.
	idle, unread, busy := dial(t, p.address), dial(t, p.address), dial(t, p.address)
	if response, body := ask(t, idle, "/one"); response.Close || body != "/one" {
		t.Errorf("before, the answer is %q with close %v", body, response.Close)
	}
	slow := make(chan string, 1)
	go func() {
		response, body := ask(t, busy, "/slow")
		slow <- fmt.Sprint(body, response.Close)
	}()
	<-arrived
	p.Leave()
	p.Leave()
	if conn, err := net.Dial("tcp", p.address); err == nil {
		conn.Close()
		t.Error("it takes a connection after it has left")
	}
	for name, conn := range map[string]net.Conn{"idle": idle, "unread": unread} {
		if response, body := ask(t, conn, "/two"); !response.Close || body != "/two" {
			t.Errorf("the %s connection is answered %q with close %v", name, body, response.Close)
		}
	}
	select {
	case err := <-p.stopped:
		t.Fatalf("it ends before its last request: %v", err)
	default:
	}
	close(finish)
	if got := <-slow; got != "/slowtrue" {
		t.Errorf("the request in flight is answered %q", got)
	}
	if err := <-p.stopped; err != nil {
		t.Error(err)
	}
}

func TestAProxyThatLeavesWaitsForAnIdleConnectionAsLongAsEver(t *testing.T) {
	p := start(t, proxy.Config{IdleTimeout: 300 * time.Millisecond})
	p.serve(route(backend(t, says("app"))))
	ask(t, dial(t, p.address), "/")
	begun := time.Now()
	p.Leave()
	if err := <-p.stopped; err != nil || time.Since(begun) < 200*time.Millisecond {
		t.Errorf("it ends after %s: %v", time.Since(begun), err)
	}
}

func TestAProxyThatStopsLosesNoRequestOfABusyConnection(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, says("app"))))
	lost := make(chan string, 8)
	asked := make(chan struct{}, 8)
	for range cap(lost) {
		conn := dial(t, p.address)
		go func() {
			for n := 0; ; n++ {
				fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\n\r\nbody")
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					lost <- fmt.Sprintf("request %d: %v", n, err)
					return
				}
				io.Copy(io.Discard, response.Body)
				if response.Close {
					lost <- ""
					return
				}
				if n == 0 {
					asked <- struct{}{}
				}
				time.Sleep(time.Millisecond) // the connection is idle now and then
			}
		}()
	}
	for range cap(asked) {
		<-asked
	}
	p.stop()
	for range cap(lost) {
		if got := <-lost; got != "" {
			t.Error(got)
		}
	}
}
