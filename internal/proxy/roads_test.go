package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/proxy"
)

// echo answers with the request's head as the app got it, in order, and its body.
func echo(t testing.TB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var lines []string
		for name, values := range r.Header {
			for _, value := range values {
				lines = append(lines, name+": "+value)
			}
		}
		slices.Sort(lines)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s %s %s %s\n%s\n%d %q\n%s", r.Method, r.RequestURI, r.Host, r.Proto, strings.Join(lines, "\n"), r.ContentLength, r.TransferEncoding, body)
	}
}

// varying is what differs from answer to answer.
var varying = regexp.MustCompile(`(?m)^(Date|Traceparent|X-Amzn-Trace-Id): [^\r\n]*`)

func TestBothRoadsSayTheSameToTheAppAndToTheClient(t *testing.T) {
	for name, config := range map[string]proxy.Config{
		"a client that nobody trusts": {}, "a trusted proxy": {TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	} {
		app := backend(t, echo(t))
		fast, standard := start(t, config), start(t, proxy.StandardOnly(config))
		for _, p := range []*running{fast, standard} {
			p.serve(route(app))
		}
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n",
			"GET /a%20b//c/../d?x=%zz&y#z HTTP/1.1\r\nhost: APP.test.:80\r\nCONNECTION: close, X-Gone,\r\nx-gone: 1\r\nX-Kept:   a  b \r\nX-Kept: c\r\nX-Empty:\r\n\r\n",
			"HEAD / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nContent-Length: 4\r\nKeep-Alive: 3\r\nProxy-Connection: x\r\nProxy-Authorization: y\r\nUpgrade: x\r\n\r\nbody",
			"POST / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n",
			"DELETE / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
			"PUT / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n1\r\nd\r\n0\r\nX-Not: said\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\nX_Forwarded_Host: a\r\nForwarded: for=1\r\nX-Real-IP: 1.1.1.1\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nTracestate: a=b\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nTraceparent: x\r\nTracestate: a=b\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade, close\r\nUpgrade: odd\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: unknown.test\r\nConnection: close\r\nAccept: text/html\r\n\r\n",
			"HEAD / HTTP/1.1\r\nHost: unknown.test\r\nConnection: close\r\n\r\n",
			"GET / HTTP/1.0\r\nHost: app.test\r\n\r\n",
		} {
			got, want := normal(fast.raw(t, request)), normal(standard.raw(t, request))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %q: the fast road differs (-standard +fast):\n%s", name, request, diff)
			}
		}
	}
}

// normal is an answer whose head's lines are in order, without what varies.
func normal(answer string) []string {
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	lines := strings.Split(varying.ReplaceAllString(head, "$1"), "\r\n")
	slices.Sort(lines[1:])
	return append(lines, strings.Split(varying.ReplaceAllString(body, "$1"), "\n")...)
}

func TestRequestsThatComeAtOnceAreAnsweredInTheirOrder(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s%s", r.URL.Path, body)
	})))
	conn := dial(t, p.address)
	var all strings.Builder
	const count = 200
	for i := range count {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: app.test\r\n\r\n", i)
		case 1:
			fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1\r\n\r\nx", i)
		case 2:
			fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", i)
		case 3:
			fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: unknown.test\r\nAccept: text/plain\r\n\r\n", i)
		}
	}
	go io.WriteString(conn, all.String())
	reader := bufio.NewReader(conn)
	for i := range count {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		body, err := io.ReadAll(response.Body)
		want := fmt.Sprintf("/%d%s", i, strings.Repeat("x", (i%4+1)/2%2))
		if err != nil || i%4 != 3 && string(body) != want || i%4 == 3 && response.StatusCode != 404 {
			t.Fatalf("request %d is answered %d %q (%v)", i, response.StatusCode, body, err)
		}
	}
}

func TestAConnectionGoesOnWhenItsRequestsTakeTheOtherRoad(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, body)
	})))
	conn := dial(t, p.address)
	fmt.Fprint(conn, "GET /one HTTP/1.1\r\nHost: app.test\r\n\r\n"+
		"POST http://app.test/two HTTP/1.1\r\nHost: app.test\r\nTE: trailers\r\nContent-Length: 4\r\n\r\nbody"+
		"GET /three HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
	answers, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/one ", "/two body", "/three "} {
		_, rest, found := bytes.Cut(answers, []byte(want))
		if !found {
			t.Fatalf("%q is not in %q", want, answers)
		}
		answers = rest
	}
}

func TestAWebSocketPassesBothWaysUntilEachSideHasEnded(t *testing.T) {
	log := &accessLog{}
	p := start(t, proxy.Config{AccessLog: log})
	p.serve(route(rawBackend(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		request, err := http.ReadRequest(reader)
		if err != nil || request.Header.Get("Upgrade") != "WebSocket" || request.Header.Get("Connection") != "Upgrade" {
			t.Errorf("the app gets %+v (%v)", request, err)
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX: y\r\n\r\nfirst ")
		io.Copy(conn, reader) // until the client has ended
		io.WriteString(conn, " last")
	})))
	conn := dial(t, p.address)
	io.WriteString(conn, "GET /socket HTTP/1.1\r\nHost: app.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\nearly ")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != 101 || response.Header.Get("X") != "y" || response.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("answered %+v (%v)", response, err)
	}
	const size = 4 << 20
	go func() {
		conn.Write(bytes.Repeat([]byte("x"), size))
		conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(reader)
	if want := "first early " + strings.Repeat("x", size) + " last"; err != nil || string(got) != want {
		t.Errorf("%d bytes came, want %d (%v)", len(got), len(want), err)
	}
	eventually(t, "the record", func() bool { return len(log.all()) == 1 })
	record := log.all()[0]
	if record.Status != 101 || record.URI != "/socket" || record.ResponseBytes < size || record.InstanceID == "" {
		t.Errorf("recorded %+v", record)
	}
}

func TestAnAnswerWithoutALengthEndsWithItsConnection(t *testing.T) {
	p := start(t, proxy.Config{})
	for _, head := range []string{"HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\nConnection: close\n\n"} {
		long := strings.Repeat("0123456789", 50_000)
		p.serve(route(rawBackend(t, func(conn net.Conn) {
			readHead(conn)
			io.WriteString(conn, head)
			io.WriteString(conn, long)
		})))
		if response, body := p.get(t, "http://app.test/"); response.StatusCode != 200 || body != long || response.Close {
			t.Errorf("answered %d with %d bytes, close %v", response.StatusCode, len(body), response.Close)
		}
	}
}

func TestARequestIsRepeatedOnlyWhenAKeptConnectionDied(t *testing.T) {
	var count atomic.Int64
	p := start(t, proxy.Config{})
	p.serve(route(rawBackend(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for isFirst := true; ; isFirst = false {
			request, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			if count.Add(1); !isFirst { // it ends without an answer
				return
			}
			body, _ := io.ReadAll(request.Body)
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})))
	for range 10 {
		if response, _ := p.get(t, "http://app.test/"); response.StatusCode != 200 {
			t.Errorf("GET is answered %d", response.StatusCode)
		}
	}
	before := count.Load()
	for range 10 { // each has a connection of its own
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://app.test/", strings.NewReader("body"))
		response, _ := p.do(t, request)
		if response.StatusCode != 200 {
			t.Errorf("POST is answered %d", response.StatusCode)
		}
	}
	if got := count.Load() - before; got != 10 {
		t.Errorf("10 requests came %d times", got)
	}
}

// Whoever closes a connection first has its port taken for a minute: all that the proxy has would be in use at some 470 requests a second.
func TestRequestsThatNeedAConnectionOfTheirOwnTakeNoPortAfterwards(t *testing.T) {
	for name, config := range map[string]proxy.Config{"the fast road": {}, "the standard road": proxy.StandardOnly(proxy.Config{})} {
		t.Run(name, func(t *testing.T) {
			app := backend(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if r.Method == http.MethodGet {
					w.Header().Set("Connection", "close")
				}
				io.WriteString(w, "answer")
			})
			p := start(t, config)
			p.serve(route(app))
			var clients sync.WaitGroup
			for range 8 { // so that answers come before it is noticed that a request was sent
				clients.Go(func() {
					for i := range 100 {
						request, _ := http.NewRequestWithContext(t.Context(), []string{http.MethodPost, http.MethodGet, http.MethodPut, http.MethodDelete}[i%4], "http://app.test/", nil)
						if i%2 == 0 {
							request.Body, request.ContentLength = io.NopCloser(strings.NewReader("body")), []int64{4, -1}[i/2%2]
						}
						if response, _ := p.do(t, request); response.StatusCode != 200 {
							t.Errorf("%s is answered %d", request.Method, response.StatusCode)
						}
					}
				})
			}
			clients.Wait()
			if taken := waiting(t, app.Address); taken > 0 {
				t.Errorf("%d ports are taken", taken)
			}
		})
	}
}

// waiting counts the connections to an address that are over, and whose port is taken on this side (TIME-WAIT).
func waiting(t *testing.T, address string) (count int) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(address).Port()
	for line := range strings.Lines(string(table)) {
		const remoteAddress, state, timeWait = 2, 3, "06"
		if fields := strings.Fields(line); fields[state] == timeWait && strings.HasSuffix(fields[remoteAddress], fmt.Sprintf(":%04X", port)) {
			count++
		}
	}
	return count
}

func TestMalformedRequestsAreRefusedAndEndTheirConnection(t *testing.T) {
	var count atomic.Int64
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			count.Add(1)
		}
	})))
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: app.test\r\nA : b\r\n\r\n", "GET / HTTP/1.1\nHost: app.test\n\n", "GET / HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n",
	} {
		if isStandardOnly && !strings.Contains(request, "Host: app.test\r\nHost") {
			continue // net/http takes some of these for what they may mean
		}
		answer := p.raw(t, request+"GET /inside HTTP/1.1\r\nHost: app.test\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 400 ") || strings.Count(answer, "HTTP/1.1 ") != 1 {
			t.Errorf("%q is answered %q", request, answer)
		}
	}
	if n := count.Load(); n > 0 {
		t.Errorf("%d of them came to the app", n)
	}
	long := p.raw(t, "GET / HTTP/1.1\r\nHost: app.test\r\nX: "+strings.Repeat("x", 100_000)+"\r\n\r\n")
	if !strings.HasPrefix(long, "HTTP/1.1 431 ") {
		t.Errorf("a head of 100 kB is answered %.100q", long)
	}
}

func TestNoMoreConnectionsAreOpenThanMayBe(t *testing.T) {
	p := start(t, proxy.Config{MaxConns: 2})
	p.serve(route(backend(t, says("app"))))
	one, two, three := dial(t, p.address), dial(t, p.address), dial(t, p.address)
	for _, conn := range []net.Conn{one, two} {
		ask(t, conn, "/")
	}
	fmt.Fprint(three, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
	three.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // long for an answer on loopback
	if n, err := three.Read(make([]byte, 1)); err == nil {
		t.Fatalf("the third connection is answered with %d bytes", n)
	}
	one.Close()
	three.SetReadDeadline(time.Now().Add(10 * time.Second))
	if response, err := http.ReadResponse(bufio.NewReader(three), nil); err != nil || response.StatusCode != 200 {
		t.Errorf("after one has closed: %v", err)
	}
}

func TestAnAppThatDoesNotReadSlowsTheClientDown(t *testing.T) {
	p := start(t, proxy.Config{})
	finish := make(chan struct{})
	p.serve(route(rawBackend(t, func(conn net.Conn) {
		readHead(conn)
		<-finish
	})))
	defer close(finish)
	conn := dial(t, p.address)
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\n", 1<<30)
	var sent atomic.Int64
	go func() {
		for piece := make([]byte, 64<<10); ; {
			n, err := conn.Write(piece)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	}()
	eventually(t, "a standstill", func() bool {
		before := sent.Load()
		time.Sleep(200 * time.Millisecond) // the time over which nothing may be sent is what is looked at
		return before > 0 && sent.Load() == before
	})
	if total := sent.Load(); total > 64<<20 {
		t.Errorf("%d bytes were taken from the client while nobody read them", total)
	}
}

func TestTheHeadsOfAnAnswerHaveABound(t *testing.T) {
	p := start(t, proxy.Config{})
	for name, head := range map[string]string{
		"one line": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10), "many lines": "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: xxxxxxxxxxxxxxxx\r\n", 15_000),
		"interim answers": strings.Repeat("HTTP/1.1 100 Continue\r\nX: xxxxxxxxxxxxxxxx\r\n\r\n", 8_000),
	} {
		p.serve(route(rawBackend(t, func(conn net.Conn) {
			readHead(conn)
			io.WriteString(conn, head+"\r\nContent-Length: 4\r\n\r\nbody")
		})))
		if response, _ := p.get(t, "http://app.test/"); response.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: answered %d", name, response.StatusCode)
		}
	}
}
