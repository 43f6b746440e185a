package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
	"github.com/apron-run/apron/internal/proxy/accesslog"
)

// failing is an access log with which the program goes wrong for some requests.
type failing struct{}

func (failing) Access(record accesslog.Record) {
	if strings.HasPrefix(record.URI, "/fail") {
		panic("as a test wants it")
	}
}

func TestARequestThatFailsTheProxyHarmsNoOtherAndLeavesNothing(t *testing.T) {
	for name, request := range map[string]string{
		"when its answer has come":                  "GET /fail HTTP/1.1\r\nHost: app.test\r\n\r\n",
		"when it is refused":                        "GET /fail HTTP/1.1\r\nHost: unknown.test\r\n\r\n",
		"behind another, when its instance is free": "GET /fine HTTP/1.1\r\nHost: app.test\r\n\r\nGET /fail HTTP/1.1\r\nHost: unknown.test\r\n\r\n",
		"when its time is over within its answer":   "GET /fail/stall HTTP/1.1\r\nHost: app.test\r\n\r\n",
		"when it has waited for too long":           "GET /fail HTTP/1.1\r\nHost: busy.test\r\n\r\n",
		"when its connection is upgraded":           "GET /fail HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			log := slog.New(slog.DiscardHandler)
			p := start(t, proxy.Config{EventLoops: 1, AccessLog: failing{}, Log: log, RequestTimeout: 300 * time.Millisecond, QueueTimeout: 100 * time.Millisecond})
			over := make(chan struct{})
			defer close(over)
			app := route(rawBackend(t, func(conn net.Conn) {
				switch head := readHead(conn); {
				case strings.Contains(head, "/stall"):
					io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
					<-over
				case strings.Contains(head, "Upgrade"):
					io.WriteString(conn, "HTTP/1.1 101 Fine\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
				default:
					io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
					readHead(conn)
				}
			}))
			app.MaxConcurrency = 1
			busy := route(rawBackend(t, func(net.Conn) { <-over }))
			busy.ServiceID, busy.Hosts, busy.MaxConcurrency = "busy", []string{"busy.test"}, 1
			busy.Traffic.RequestTimeout = time.Minute
			p.serve(app, busy)
			hold := dial(t, p.address)
			fmt.Fprint(hold, "GET / HTTP/1.1\r\nHost: busy.test\r\n\r\n")
			other := dial(t, p.address)
			if response, _ := ask(t, other, "/"); response.StatusCode != 200 {
				t.Fatal(response.Status)
			}
			p.raw(t, request) // returns when the connection is closed
			for range 2 {
				if response, _ := ask(t, other, "/"); response.StatusCode != 200 {
					t.Errorf("another is answered %s", response.Status)
				}
			}
		})
	}
}

func TestARequestThatHasWaitedIsHandedOverWhenItsServiceHasChanged(t *testing.T) {
	var log bytes.Buffer // its handler writes one line after the other
	p := start(t, proxy.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	finish := make(chan struct{})
	served := route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-finish
		}
		io.WriteString(w, "hello")
	}))
	served.MaxConcurrency = 1
	p.serve(served)
	slow, waiting := dial(t, p.address), dial(t, p.address)
	fmt.Fprint(slow, "GET /slow HTTP/1.1\r\nHost: app.test\r\n\r\n")
	eventually(t, "the first is with the app", func() bool { return p.load(t).InFlight == 1 })
	fmt.Fprint(waiting, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
	eventually(t, "the second waits", func() bool { return p.load(t).Waiting == 1 })
	served.Traffic.Compresses = true // which the standard road knows
	p.serve(served)
	close(finish)
	response, err := http.ReadResponse(bufio.NewReader(waiting), nil)
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("answered %+v (%v)", response, err)
	}
	waiting.Close()
	p.stop()
	<-p.stopped
	if text := log.String(); strings.Contains(text, "panic") {
		t.Errorf("the proxy has failed:\n%s", text)
	}
}

func TestAClientThatTakesNoAnswerKeepsNoPlace(t *testing.T) {
	p := start(t, proxy.Config{RequestTimeout: 200 * time.Millisecond})
	raw, err := p.listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4<<10) }) // of the connections, too
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	defer close(over)
	served := route(rawBackend(t, func(conn net.Conn) {
		if strings.Contains(readHead(conn), "/flood") {
			io.WriteString(conn, strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("x", 1000)+"\r\n\r\n", 200))
			<-over
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}))
	served.MaxConcurrency = 1
	p.serve(served)
	flooded := dial(t, p.address) // and reads nothing
	flooded.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprint(flooded, "GET /flood HTTP/1.1\r\nHost: app.test\r\n\r\n")
	eventually(t, "it is with the app", func() bool { return p.load(t).InFlight == 1 })
	eventually(t, "its place is free", func() bool { return p.load(t).InFlight == 0 })
	if response, _ := p.get(t, "http://app.test/"); response.StatusCode != 200 {
		t.Errorf("the next one is answered %s", response.Status)
	}
}

func TestSilenceCountsFromTheInstanceThatHasTheRequest(t *testing.T) {
	p := start(t, proxy.Config{})
	to := refusing(t)
	p.serve(treated(platform.Traffic{RequestTimeout: time.Minute, IdleTimeout: 20 * time.Millisecond}, to))
	listening := make(chan net.Listener, 1)
	time.AfterFunc(80*time.Millisecond, func() { // longer than the silence that is allowed, in which the only instance refuses
		listener, err := net.Listen("tcp", to.Address)
		if err != nil {
			t.Error(err)
		}
		listening <- listener
	})
	got := p.raw(t, "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nAccept: text/plain\r\n\r\n")
	if listener := <-listening; listener != nil {
		listener.Close() // what it had accepted said nothing
	}
	if !strings.Contains(got, "sent nothing for 20ms") {
		t.Errorf("answered %q", got)
	}
}

func TestAWaitIsNoReasonToTakeLongerInAll(t *testing.T) {
	p := start(t, proxy.Config{})
	finish := make(chan struct{})
	over := make(chan struct{})
	defer close(over)
	served := treated(platform.Traffic{RequestTimeout: 1500 * time.Millisecond, IdleTimeout: 1400 * time.Millisecond}, rawBackend(t, func(conn net.Conn) {
		if strings.Contains(readHead(conn), "/first") {
			<-finish
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
		<-over
	}))
	served.MaxConcurrency = 1
	p.serve(served)
	fmt.Fprint(dial(t, p.address), "GET /first HTTP/1.1\r\nHost: app.test\r\n\r\n")
	eventually(t, "the first is with the app", func() bool { return p.load(t).InFlight == 1 })
	time.AfterFunc(700*time.Millisecond, func() { close(finish) })
	got := p.raw(t, "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nAccept: text/plain\r\n\r\n")
	if !strings.Contains(got, "did not answer within 1.5s") {
		t.Errorf("answered %q", got)
	}
}

// gate is an access log that holds up the loop while it has a record of a certain request.
type gate struct{ reached, opened chan struct{} }

func (g gate) Access(record accesslog.Record) {
	if record.Host == "gate.test" {
		g.reached <- struct{}{}
		<-g.opened
	}
}

// What an app says that nobody has asked for comes in the very moment in which its connection is to be used again.
func TestWhatNobodyAskedForIsNoAnswerToTheNextRequest(t *testing.T) {
	for name, stray := range map[string]string{"an answer": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray", "half an answer": "HTTP/1.1 2", "the end": ""} {
		t.Run(name, func(t *testing.T) {
			log := gate{make(chan struct{}), make(chan struct{})}
			p := start(t, proxy.Config{EventLoops: 1, AccessLog: log})
			apps := make(chan net.Conn, 10)
			p.serve(route(rawBackend(t, func(conn net.Conn) {
				apps <- conn
				for reader := bufio.NewReader(conn); ; {
					request, err := http.ReadRequest(reader)
					if err != nil {
						return
					}
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(request.URL.Path), request.URL.Path)
				}
			})))
			one, two := dial(t, p.address), dial(t, p.address)
			ask(t, one, "/one")
			app := <-apps
			fmt.Fprint(two, "GET / HTTP/1.1\r\nHost: gate.test\r\n\r\n")
			<-log.reached
			fmt.Fprint(one, "GET /two HTTP/1.1\r\nHost: app.test\r\n\r\n")
			if io.WriteString(app, stray); stray == "" {
				app.(*net.TCPConn).CloseWrite()
			}
			close(log.opened)
			response, err := http.ReadResponse(bufio.NewReader(one), nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(response.Body); string(body) != "/two" {
				t.Errorf("answered %s with %q (%v)", response.Status, body, err)
			}
		})
	}
}

func TestTheBodyOfAnAnswerToHEADIsNotTheNextAnswer(t *testing.T) {
	p := start(t, proxy.Config{EventLoops: 1})
	p.serve(route(rawBackend(t, func(conn net.Conn) {
		switch head := readHead(conn); {
		case strings.HasPrefix(head, "HEAD"):
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n")
			readHead(conn)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray")
		default:
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")
		}
	})))
	conn := dial(t, p.address)
	fmt.Fprint(conn, "HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n")
	request := &http.Request{Method: http.MethodHead}
	if response, err := http.ReadResponse(bufio.NewReader(conn), request); err != nil || response.ContentLength != 44 {
		t.Fatalf("answered %+v (%v)", response, err)
	}
	if _, body := ask(t, conn, "/"); body != "fine" {
		t.Errorf("the next answer is %q", body)
	}
}

// load is what the proxy tells of its first service.
func (p *running) load(t *testing.T) platform.Load {
	t.Helper()
	report, _ := p.Load(t.Context(), 0)
	if len(report.Services) == 0 {
		t.Fatal("there is no service")
	}
	return report.Services[0]
}
