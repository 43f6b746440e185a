package proxy_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// settingsFrame and goAwayFrame are what apps that speak HTTP/2 alone send, whatever they were asked in.
const (
	settingsFrame = "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"
	goAwayFrame   = "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
)

// framing is an app that answers in frames, and waits for others.
func framing(t *testing.T) platform.Endpoint {
	return rawBackend(t, func(conn net.Conn) {
		io.WriteString(conn, settingsFrame)
		if strings.HasPrefix(readHead(conn), "PRI ") {
			io.WriteString(conn, goAwayFrame)
			return
		}
		conn.Read(make([]byte, 1))
	})
}

func TestAnAppThatAnswersInHTTP2IsToldOfTheTagThatItsServiceNeeds(t *testing.T) {
	log := &accessLog{}
	for name, p := range map[string]*running{
		"fast": start(t, proxy.Config{AccessLog: log}), "standard": start(t, proxy.StandardOnly(proxy.Config{AccessLog: log})),
	} {
		p.serve(route(framing(t)))
		response, body := p.get(t, "http://app.test/")
		if response.StatusCode != http.StatusBadGateway || !strings.Contains(body, "Give it the tag apron:protocol=h2c.") {
			t.Errorf("%s road: the answer is %d %s", name, response.StatusCode, body)
		}
	}
	eventually(t, "the records", func() bool { return len(log.all()) == 2 })
	for _, record := range log.all() {
		if !strings.Contains(record.Problem, "the service needs the tag apron:protocol=h2c") {
			t.Errorf("the problem is %q", record.Problem)
		}
	}
	check := platform.HealthCheck{Protocol: platform.HealthCheckHTTP, Path: "/", TimeoutSeconds: 5}
	if err := (proxy.Prober{}).Probe(t.Context(), framing(t).Address, check); err == nil || !strings.Contains(err.Error(), "needs the tag apron:protocol=h2c") {
		t.Errorf("the probe says %v", err)
	}
}

func TestAProbeAsksInTheProtocolThatTheAppSpeaks(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthy" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	h2c := httptest.NewUnstartedServer(handler)
	h2c.Config.Protocols = &http.Protocols{}
	h2c.Config.Protocols.SetUnencryptedHTTP2(true)
	h2c.Start()
	defer h2c.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	go func() {
		for conn, err := mute.Accept(); err == nil; conn, err = mute.Accept() {
			conn.Close()
		}
	}()
	for name, one := range map[string]struct{ address, path, want string }{
		"HTTP/1.1":           {backend(t, handler).Address, "/healthy", ""},
		"HTTP/1.1, sick":     {backend(t, handler).Address, "/sick", "GET /sick answered 500 Internal Server Error"},
		"HTTP/2":             {h2c.Listener.Addr().String(), "/healthy", ""},
		"HTTP/2, sick":       {h2c.Listener.Addr().String(), "/sick", "GET /sick answered 500 Internal Server Error, by HTTP/2: an app that speaks that alone needs the tag apron:protocol=h2c"},
		"neither":            {mute.Addr().String(), "/healthy", "GET /healthy got no answer"},
		"a port without app": {"127.0.0.1:1", "/healthy", "nothing listens on 127.0.0.1:1"},
	} {
		check := platform.HealthCheck{Protocol: platform.HealthCheckHTTP, Path: one.path, TimeoutSeconds: 5}
		err := proxy.Prober{}.Probe(t.Context(), one.address, check)
		if (err == nil) != (one.want == "") || err != nil && !strings.HasPrefix(err.Error(), one.want) {
			t.Errorf("%s: the probe says %v, want %q", name, err, one.want)
		}
	}
}
