package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// patience bounds every wait of a test.
const patience = 20 * time.Second

// host is the service's that the tests ask.
const host = "app.test"

// road is a way that requests take through the proxy.
type road struct {
	name string
	// choose makes the configuration one whose requests take this road.
	choose func(*proxy.Config)
}

// roads are all that there are. What a test says of one must hold for each.
var roads = []road{
	{"fast", func(*proxy.Config) {}},
	{"standard", func(c *proxy.Config) { // there is no event loop for what is no plain socket
		c.Listener, c.PrivateListener = struct{ net.Listener }{c.Listener}, struct{ net.Listener }{c.PrivateListener}
	}},
}

// onEachRoad runs a test on a proxy of each road.
func onEachRoad(t *testing.T, config proxy.Config, test func(*testing.T, *running)) {
	for _, each := range roads {
		t.Run(each.name, func(t *testing.T) {
			chosen := config
			chosen.Listener, chosen.PrivateListener = listen(t), listen(t)
			each.choose(&chosen)
			test(t, start(t, chosen))
		})
	}
}

// running is a proxy that serves on a port of its own.
type running struct {
	*proxy.Proxy
	// address takes requests for public hosts, private those for private ones.
	address, private string
	// stop begins the proxy's end, and stopped tells of it.
	stop    context.CancelFunc
	stopped <-chan error
}

// start starts a proxy in this process. It ends with the test.
func start(t testing.TB, config proxy.Config) *running {
	t.Helper()
	if config.Listener == nil {
		config.Listener, config.PrivateListener = listen(t), listen(t)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	p := &running{
		Proxy: proxy.New(config), address: config.Listener.Addr().String(), private: config.PrivateListener.Addr().String(),
		stop: cancel, stopped: stopped,
	}
	go func() {
		stopped <- p.Run(ctx)
		close(stopped)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-stopped:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			t.Error("the proxy did not stop")
		}
	})
	return p
}

// serve makes the instances those of the service, and of no other.
func (p *running) serve(instances ...platform.Endpoint) {
	p.SetRoutes([]platform.Route{routeTo(instances...)})
}

// routeTo is a route of the host to instances.
func routeTo(instances ...platform.Endpoint) platform.Route {
	return platform.Route{
		Hosts: []string{host}, ServiceID: "service-id", ServiceName: "shop", State: platform.RouteStateServing, Endpoints: instances,
	}
}

// dial returns a connection to the proxy, which ends with the test and waits for nothing longer than patience.
func (p *running) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

// client returns a client whose requests all go to the proxy, whatever their host.
func (p *running) client(t testing.TB) *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", p.address)
		},
		DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// handled is an app of Go's own server.
func handled(t testing.TB, handler http.HandlerFunc) platform.Endpoint {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return endpoint(server.Listener)
}

// wired is an app that is nothing but what it does with each connection. It ends with the test.
func wired(t testing.TB, serve func(net.Conn)) platform.Endpoint {
	t.Helper()
	listener := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			conn.SetDeadline(time.Now().Add(patience))
			all.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		listener.Close()
		all.Wait()
	})
	return endpoint(listener)
}

func endpoint(listener net.Listener) platform.Endpoint {
	return platform.Endpoint{InstanceID: platform.NewInstanceID(), Address: listener.Addr().String()}
}

// listen returns a listener on a free port of loopback, which is closed at the end of the test at the latest.
func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// until asks again and again, until done says so.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// TestARequestReachesTheApp shows that the roads lead somewhere.
func TestARequestReachesTheApp(t *testing.T) {
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		p.serve(handled(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }))
		response, err := p.client(t).Get("http://" + host + "/path")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); string(body) != "/path" || err != nil {
			t.Errorf("answered %q, %v", body, err)
		}
	})
}
