package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
	"github.com/apron-run/apron/internal/proxy/trace"
)

// treated is a route whose requests are treated so.
func treated(traffic platform.Traffic, endpoints ...platform.Endpoint) platform.Route {
	to := route(endpoints...)
	to.Traffic = traffic
	return to
}

// drip sends a byte now and then, and never ends by itself.
func drip(every time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for control := http.NewResponseController(w); ; {
			if _, err := io.WriteString(w, "."); err != nil || control.Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(every):
			}
		}
	}
}

// silent sends the head of an answer, if it has one, and then nothing.
func silent(hasHead bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if hasHead {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}
}

func TestAServicesOwnTimeoutsHold(t *testing.T) {
	const short, long = 300 * time.Millisecond, 20 * time.Second
	tests := map[string]struct {
		traffic platform.Traffic
		app     http.HandlerFunc
		// status is the answer's; 200 for one that is cut short.
		status  int
		problem string
	}{
		"the default":                      {platform.Traffic{}, silent(false), 504, "did not answer within 300ms"},
		"a stream that takes too long":     {platform.Traffic{}, drip(20 * time.Millisecond), 200, "the request took too long"},
		"one on the standard road":         {platform.Traffic{Compresses: true}, silent(false), 504, "did not answer within 300ms"},
		"a longer one":                     {platform.Traffic{RequestTimeout: 2 * short}, drip(20 * time.Millisecond), 200, "the request took too long"},
		"an app that is silent":            {platform.Traffic{RequestTimeout: long, IdleTimeout: short}, silent(false), 504, "sent nothing for 300ms"},
		"an app that is silent in between": {platform.Traffic{RequestTimeout: long, IdleTimeout: short}, silent(true), 200, "neither the client nor the instance"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &accessLog{}
			p := start(t, proxy.Config{RequestTimeout: short, AccessLog: log})
			p.serve(treated(test.traffic, backend(t, test.app)))
			began := time.Now()
			response, err := p.client(t).Get("http://app.test/")
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if response.StatusCode != test.status || (test.status == 200) != (err != nil) {
				t.Errorf("got %s %q, %v", response.Status, body, err)
			}
			least := short
			if test.traffic.RequestTimeout > 0 && test.traffic.IdleTimeout == 0 {
				least = test.traffic.RequestTimeout
			}
			if took := time.Since(began); took < least || took > long/2 {
				t.Errorf("it took %s, want at least %s", took, least)
			}
			eventually(t, "a record", func() bool { return len(log.all()) == 1 })
			if record := log.all()[0]; !strings.Contains(record.Problem+string(body), test.problem) || !strings.Contains(record.Problem, " too long") {
				t.Errorf("the record has the problem %q, the answer is %q", record.Problem, body)
			}
		})
	}
}

// A stream lives for as long as bytes flow in one of the directions, and a service's time for one request does not count for the next.
func TestAStreamLivesWhileBytesFlow(t *testing.T) {
	const idle, tick = time.Second, 100 * time.Millisecond
	p := start(t, proxy.Config{RequestTimeout: time.Second})
	p.serve(treated(platform.Traffic{RequestTimeout: time.Hour, IdleTimeout: idle}, backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			size, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, size, err)
			return
		}
		drip(tick)(w, r)
	})))
	client := p.client(t)
	response, err := client.Get("http://app.test/")
	if err != nil {
		t.Fatal(err)
	}
	for range 16 { // longer than either side may be silent
		if _, err := response.Body.Read(make([]byte, 1)); err != nil {
			t.Fatalf("the answer: %v", err)
		}
	}
	response.Body.Close()
	body, writer := io.Pipe()
	go func() {
		for range 14 {
			time.Sleep(tick)
			if _, err := io.WriteString(writer, "x"); err != nil {
				return
			}
		}
		writer.Close()
	}()
	response, err = client.Post("http://app.test/", "text/plain", body)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if answer, _ := io.ReadAll(response.Body); string(answer) != "14 <nil>" {
		t.Errorf("the upload was answered %s %q", response.Status, answer)
	}
}

func TestTheWaitForAnInstanceIsNoSilence(t *testing.T) {
	p := start(t, proxy.Config{})
	traffic := platform.Traffic{IdleTimeout: 200 * time.Millisecond}
	p.serve(treated(traffic, refusing(t)))
	go func() {
		time.Sleep(time.Second)
		p.serve(treated(traffic, backend(t, says("hello"))))
	}()
	if response, body := p.get(t, "http://app.test/"); response.StatusCode != 200 {
		t.Errorf("got %s %s", response.Status, body)
	}
}

func TestAClientThatReadsNothingIsLetGoAfterTheIdleTimeout(t *testing.T) {
	log := &accessLog{}
	p := start(t, proxy.Config{AccessLog: log})
	p.serve(treated(platform.Traffic{IdleTimeout: 300 * time.Millisecond}, backend(t, func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, 1<<20); ; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})))
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
	eventually(t, "the end of the request", func() bool { return len(log.all()) == 1 })
}

func TestATunnelEndsWhenNothingPassesForItsServicesTime(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(treated(platform.Traffic{RequestTimeout: time.Second, IdleTimeout: time.Second}, rawBackend(t, func(conn net.Conn) {
		readHead(conn)
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(conn, conn)
	})))
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	if head := readHead(conn); !strings.HasPrefix(head, "HTTP/1.1 101") {
		t.Fatal(head)
	}
	for range 12 { // longer than a request may take
		time.Sleep(100 * time.Millisecond)
		io.WriteString(conn, "x")
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
		t.Errorf("at the end came %q, %v", rest, err)
	}
}

func TestRulesOfAServiceDecideBeforeItsInstances(t *testing.T) {
	log := &accessLog{}
	config := proxy.Config{AccessLog: log, HTTPSPort: "8443", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	p := start(t, config)
	app := backend(t, says("hello"))
	p.serve(treated(platform.Traffic{
		AllowIPs:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		PathRules: []platform.PathRule{{Prefix: "/admin", Action: platform.PathActionDeny}, {Prefix: "/login", Action: platform.PathActionHTTPS}},
	}, app))
	tests := []struct {
		path, from, proto string
		status            int
		location          string
	}{
		{"/", "10.1.2.3", "", 200, ""},
		{"/", "11.1.2.3", "", 403, ""},
		{"/", "", "", 403, ""}, // the proxy's own address is not allowed either
		{"/", "10.1.2.3, 12.1.1.1", "", 403, ""},
		{"/x/%2e%2e/Admin?a=b", "10.1.2.3", "", 403, ""},
		{"/login?next=%2Fx", "10.1.2.3", "", 308, "https://app.test:8443/login?next=%2Fx"},
		{"/login", "10.1.2.3", "https", 200, ""},
	}
	client := p.client(t)
	for i, test := range tests {
		request, err := http.NewRequest("GET", "http://app.test"+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"X-Forwarded-For": test.from, "X-Forwarded-Proto": test.proto} {
			if value != "" {
				request.Header.Set(name, value)
			}
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.status || response.Header.Get("Location") != test.location {
			t.Errorf("%s from %q by %q: %s, location %q", test.path, test.from, test.proto, response.Status, response.Header.Get("Location"))
		}
		eventually(t, "a record", func() bool { return len(log.all()) > i })
		record := log.all()[i]
		if (record.Problem != "") != (test.status != 200) || record.ServiceID == "" || (record.InstanceID == "") != (test.status != 200) || record.TraceID == (trace.ID{}) {
			t.Errorf("%s from %q: the record is %+v", test.path, test.from, record)
		}
	}
	// A change of the rules needs no other instances.
	p.serve(treated(platform.Traffic{}, app))
	if response, body := p.get(t, "http://app.test/admin"); response.StatusCode != 200 {
		t.Errorf("without rules: %s %s", response.Status, body)
	}
}
