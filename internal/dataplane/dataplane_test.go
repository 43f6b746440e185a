package dataplane_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/apron-run/apron/internal/dataplane"
	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

var _ deploy.Router = (*dataplane.Client)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var arguments = []string{"proxy", "--http", "here"}

// plane is a data plane that can be ended and started anew at the same addresses.
type plane struct {
	socket, address, private, https string
	// pid stands for the plane's process once it is set aside: all are in one.
	pid     int
	stop    func()
	ended   chan error
	freezer proxy.Freezer
}

var discard = slog.New(slog.DiscardHandler)

func newPlane(t *testing.T) *plane {
	t.Helper()
	dir, err := os.MkdirTemp("", "dp") // t.TempDir's path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &plane{socket: filepath.Join(dir, "s"), pid: 1, stop: func() {}}
	for _, address := range []*string{&p.address, &p.private, &p.https} {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer free.Close() // both at once, so that they differ
		*address = free.Addr().String()
	}
	t.Cleanup(func() { p.stop() })
	return p
}

// start runs the data plane until stop.
func (p *plane) start(t *testing.T) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	p.ended = ended
	go func() {
		ended <- dataplane.Serve(ctx, dataplane.ServerConfig{
			Socket: p.socket, Arguments: arguments, Log: log,
			PrivateAddress: p.private, HTTPSAddress: p.https,
			Proxy: proxy.Config{
				Address: p.address, ShutdownTimeout: 100 * time.Millisecond, Freezer: p.freezer, Log: log,
				Certificates: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil },
			},
		})
	}()
	p.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
		p.stop = func() {}
	}
}

// newClient returns a client that runs until the test ends, or until its stop is called.
func (p *plane) newClient(t *testing.T) (client *dataplane.Client, stop func()) {
	t.Helper()
	client = dataplane.NewClient(p.socket, slog.New(slog.NewTextHandler(t.Output(), nil)))
	return client, run(t, client)
}

// run runs a client until the test ends, or until stop is called.
func run(t *testing.T, client *dataplane.Client) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := client.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

// route is a route of host to one backend.
func route(host, address string) platform.Route {
	return platform.Route{
		Hosts: []string{host}, ServiceID: platform.ServiceID(host), State: platform.RouteStateServing,
		Endpoints: []platform.Endpoint{{InstanceID: platform.InstanceID("at-" + address), Address: address}},
	}
}

func app(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

// get asks the data plane over a connection of its own, and returns the body, or what went wrong.
func (p *plane) get(host string) string {
	return p.getBy(&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}, host, "/")
}

func (p *plane) getBy(client *http.Client, host, path string) string {
	request, err := http.NewRequest(http.MethodGet, "http://"+p.address+path, nil)
	if err != nil {
		return err.Error()
	}
	request.Host = host
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	if response.StatusCode != http.StatusOK {
		return response.Status
	}
	return string(body)
}

func flush(t *testing.T, client *dataplane.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := client.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestAChangeIsInForceWhenFlushReturns(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, _ := p.newClient(t)
	one, two := app(t, says("one")), app(t, says("two"))
	for i := range 50 {
		address, want := one, "one"
		if i%2 == 1 {
			address, want = two, "two"
		}
		client.SetRoute(route("app.test", address))
		flush(t, client)
		if got := p.get("app.test"); got != want {
			t.Fatalf("change %d: %q answers, want %q", i, got, want)
		}
	}
	client.RemoveRoute("app.test")
	flush(t, client)
	if got := p.get("app.test"); !strings.HasPrefix(got, "404") {
		t.Errorf("a removed host answers %q, want 404", got)
	}
}

func TestRoutesStayWhenTheirClientIsGone(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	first, stop := p.newClient(t)
	want := []platform.Route{route("app.test", app(t, says("app")))}
	first.SetRoute(want[0])
	flush(t, first)
	stop()
	if got := p.get("app.test"); got != "app" {
		t.Errorf("without a client it answers %q", got)
	}
	second := dataplane.NewClient(p.socket, discard)
	got, err := second.Routes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the routes that the next client finds (-want +got):\n%s", diff)
	}
}

func TestADataPlaneStartedAnewIsToldEverything(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, _ := p.newClient(t)
	for i := range 3 {
		client.SetRoute(route(fmt.Sprintf("app%d.test", i), app(t, says(fmt.Sprint(i)))))
	}
	flush(t, client)
	p.stop()
	p.start(t)
	// Who comes before the routes do has to wait, and is not told that there is no such service.
	for deadline := time.Now().Add(10 * time.Second); ; {
		got := p.get("app1.test")
		if got == "1" {
			break
		}
		if !strings.Contains(got, "connection refused") || time.Now().After(deadline) {
			t.Fatalf("the data plane that came back answers %q", got)
		}
	}
	for i := range 3 {
		if got := p.get(fmt.Sprintf("app%d.test", i)); got != fmt.Sprint(i) {
			t.Errorf("route %d answers %q", i, got)
		}
	}
}

func TestDrainWaitsForRequestsOnTheOldInstances(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, _ := p.newClient(t)
	arrived, finish := make(chan struct{}), make(chan struct{})
	old := route("app.test", app(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-finish
		io.WriteString(w, "finished")
	}))
	client.SetRoute(old)
	flush(t, client)
	answered := make(chan string, 1)
	go func() { answered <- p.get("app.test") }()
	<-arrived
	client.SetRoute(route("app.test", app(t, says("new"))))
	ids := []platform.InstanceID{old.Endpoints[0].InstanceID}

	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if left := client.Drain(short, ids); left != 1 {
		t.Errorf("%d requests are left in flight, want 1", left)
	}
	if got := p.get("app.test"); got != "new" {
		t.Errorf("a new request is answered %q", got)
	}
	long, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	close(finish)
	if left := client.Drain(long, ids); left != 0 {
		t.Errorf("%d requests are left in flight, want none", left)
	}
	if got := <-answered; got != "finished" {
		t.Errorf("the request in flight got %q", got)
	}
}

func TestAnotherProgramOrOtherArgumentsAreSeen(t *testing.T) {
	p := newPlane(t)
	client, _ := p.newClient(t)
	if _, err := client.Find(t.Context(), arguments); err == nil {
		t.Error("no data plane is there and one was found")
	}
	p.start(t)
	flush(t, client)
	for _, each := range []struct {
		arguments []string
		want      bool
	}{{arguments, true}, {append(arguments, "--more"), false}, {nil, false}} {
		want := dataplane.Found{PID: os.Getpid(), IsCurrent: each.want}
		if got, err := client.Find(t.Context(), each.arguments); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", each.arguments, got, err, want)
		}
	}
}

func TestAnAddressThatIsTakenIsNamed(t *testing.T) {
	p := newPlane(t)
	taken, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for flag, addresses := range map[string][2]string{"--http": {p.address, p.private}, "--private-http": {p.private, p.address}} {
		err := dataplane.Serve(t.Context(), dataplane.ServerConfig{
			Socket: p.socket, Proxy: proxy.Config{Address: addresses[0]}, PrivateAddress: addresses[1], Log: discard,
		})
		if err == nil || !strings.Contains(err.Error(), p.address) || !strings.Contains(err.Error(), " "+flag) {
			t.Errorf("the error is %v, want the address and the flag %s", err, flag)
		}
	}
}
