package proxy_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

var (
	_ deploy.Prober = proxy.Prober{}
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(bothRoads{m}) }

// bothRoads runs the tests twice: with the fast road before the standard one, and with the standard road alone.
type bothRoads struct{ *testing.M }

var isStandardOnly bool

func (m bothRoads) Run() int {
	if code := m.M.Run(); code != 0 {
		return code
	}
	isStandardOnly = true
	return m.M.Run()
}

// running is a proxy that serves on a port of its own.
type running struct {
	*proxy.Proxy
	address  string
	private  string // the private listener's address
	listener net.Listener
	stop     context.CancelFunc
	stopped  <-chan error
}

// start starts a proxy and stops it when the test ends.
func start(t testing.TB, config proxy.Config) *running {
	t.Helper()
	if isStandardOnly {
		config = proxy.StandardOnly(config)
	}
	for _, listener := range []*net.Listener{&config.Listener, &config.PrivateListener} {
		var err error
		if *listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	p := &running{
		Proxy: proxy.New(config), address: config.Listener.Addr().String(), private: config.PrivateListener.Addr().String(),
		listener: config.Listener, stop: cancel, stopped: stopped,
	}
	go func() {
		stopped <- p.Run(ctx)
		close(stopped)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err, ok := <-stopped:
			if ok && err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the proxy did not stop")
		}
	})
	return p
}

// backend starts a real server and returns it as an endpoint.
func backend(t testing.TB, handler http.HandlerFunc) platform.Endpoint {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return platform.Endpoint{InstanceID: platform.NewInstanceID(), Address: server.Listener.Addr().String()}
}

// says answers every request with text.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

// refusing is an endpoint that nothing listens on.
func refusing(t testing.TB) platform.Endpoint {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return platform.Endpoint{InstanceID: platform.NewInstanceID(), Address: listener.Addr().String()}
}

// route is a serving route of host "app.test".
func route(endpoints ...platform.Endpoint) platform.Route {
	return platform.Route{
		Hosts: []string{"app.test"}, ServiceID: "service-id", ServiceName: "shop", State: platform.RouteStateServing, Endpoints: endpoints,
	}
}

// privately is the proxy as who asks its private listener sees it.
func (p *running) privately() *running { return &running{Proxy: p.Proxy, address: p.private} }

// serve makes these the proxy's routes.
func (p *running) serve(routes ...platform.Route) { p.SetRoutes(routes) }

// client returns a client whose requests all go to the proxy, whatever their host.
func (p *running) client(t testing.TB) *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", p.address)
		},
		DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// get sends GET and returns the answer with its body.
func (p *running) get(t testing.TB, url string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p.do(t, request)
}

func (p *running) do(t testing.TB, request *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := p.client(t).Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", request.Method, request.URL, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	return response, string(body)
}

// raw sends text over a new connection and returns all that comes back until the proxy closes it.
func (p *running) raw(t testing.TB, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil && len(answer) == 0 {
		t.Fatalf("read the answer: %v", err)
	}
	return string(answer)
}

func TestARequestGoesToTheServiceThatHasItsHost(t *testing.T) {
	p := start(t, proxy.Config{})
	other := route(backend(t, says("other")))
	other.ServiceID, other.Hosts = "other-id", []string{"Other.Test."}
	p.serve(route(backend(t, says("app"))), other)
	for host, want := range map[string]string{
		"app.test": "app", "APP.test": "app", "app.test:8080": "app", "app.test.": "app", "App.Test.:80": "app", "other.test": "other",
	} {
		if response, body := p.get(t, "http://"+host+"/"); response.StatusCode != 200 || body != want {
			t.Errorf("%s answered %d %q, want 200 %q", host, response.StatusCode, body, want)
		}
	}
	p.serve(other)
	if response, _ := p.get(t, "http://app.test/"); response.StatusCode != 404 {
		t.Errorf("a removed host answered %d, want 404", response.StatusCode)
	}
}

func TestAnInstanceThatRefusesIsPassedOver(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(refusing(t), backend(t, says("app")), refusing(t)))
	for range 10 {
		response, err := p.client(t).Post("http://app.test/", "text/plain", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 200 {
			t.Errorf("answered %d, want 200", response.StatusCode)
		}
	}
}
