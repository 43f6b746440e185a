package proxy_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

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
		"HTTP/2, sick":       {h2c.Listener.Addr().String(), "/sick", "GET /sick answered 500 Internal Server Error"},
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
