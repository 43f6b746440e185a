package proxy_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// named is a serving route to one backend that says name, under these hosts.
func named(t testing.TB, name string, public, private []string) platform.Route {
	t.Helper()
	made := route(backend(t, says(name)))
	made.ServiceID, made.ServiceName, made.Hosts, made.PrivateHosts = platform.ServiceID(name), name, public, private
	return made
}

// wantBody fails the test unless host is answered with body; an empty body means 404.
func (p *running) wantBody(t testing.TB, host, want string) {
	t.Helper()
	response, body := p.get(t, "http://"+host+"/")
	if want == "" && response.StatusCode != http.StatusNotFound || want != "" && (response.StatusCode != http.StatusOK || body != want) {
		t.Errorf("%s is answered with %d %q, want %q", host, response.StatusCode, body, want)
	}
}

func TestTheMoreSpecificNameWins(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(
		named(t, "wild", []string{"*.example.test", "example.test"}, nil),
		named(t, "shop", []string{"shop.example.test", "www.shop.example.test"}, nil),
		named(t, "deep", []string{"*.api.example.test"}, nil),
	)
	for host, want := range map[string]string{
		"example.test": "wild", "any.example.test": "wild", "API.Example.Test.:80": "wild",
		"shop.example.test": "shop", "www.shop.example.test": "shop",
		"v1.api.example.test": "deep",
		"a.b.example.test":    "", "a.shop.example.test": "", "v1.x.api.example.test": "", ".example.test": "", "test": "", "other.test": "",
	} {
		p.wantBody(t, host, want)
	}
}

func TestEachListenerKnowsItsOwnHosts(t *testing.T) {
	p := start(t, proxy.Config{})
	paused := named(t, "resting", nil, []string{"resting.test"})
	paused.State = platform.RouteStatePaused
	p.serve(
		named(t, "open", []string{"open.test", "*.open.test"}, nil),
		named(t, "closed", nil, []string{"closed.test", "*.closed.test"}),
		named(t, "both", []string{"out.test"}, []string{"in.test"}),
		named(t, "nowhere", nil, nil), paused,
	)
	for host, want := range map[string]struct{ public, private string }{
		"open.test": {"open", ""}, "a.open.test": {"open", ""},
		"closed.test": {"", "closed"}, "a.closed.test": {"", "closed"},
		"out.test": {"both", ""}, "in.test": {"", "both"},
	} {
		p.wantBody(t, host, want.public)
		p.privately().wantBody(t, host, want.private)
	}
	p.wantBody(t, "resting.test", "")
	if response, _ := p.privately().get(t, "http://resting.test/"); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a paused service's private host is answered with %d", response.StatusCode)
	}
}

// A service moves between the listeners, again and again, while its private host or its public one is asked: it answers on
// one of the two, and a request that has begun ends well.
func TestAMoveBetweenTheListenersLosesNothing(t *testing.T) {
	p := start(t, proxy.Config{})
	app := named(t, "app", []string{"app.test", "steady.test"}, nil)
	closed := app
	closed.Hosts, closed.PrivateHosts = []string{"steady.test"}, []string{"app.test"}
	p.serve(app)
	done := make(chan struct{})
	var asking sync.WaitGroup
	for _, from := range []*running{p, p.privately()} {
		client := from.client(t)
		for _, host := range []string{"app.test", "steady.test"} {
			asking.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					response, err := client.Get("http://" + host + "/")
					if err != nil {
						t.Error(err)
						return
					}
					response.Body.Close()
					isSteady := host == "steady.test" && from == p
					if response.StatusCode != http.StatusOK && (isSteady || response.StatusCode != http.StatusNotFound) {
						t.Errorf("%s is answered with %d", host, response.StatusCode)
					}
				}
			})
		}
	}
	for range 50 {
		p.serve(closed)
		p.privately().wantBody(t, "app.test", "app")
		p.wantBody(t, "app.test", "")
		p.serve(app)
		p.wantBody(t, "app.test", "app")
		p.privately().wantBody(t, "app.test", "")
	}
	close(done)
	asking.Wait()
}
