package dataplane_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/dataplane"
	"github.com/apron-run/apron/internal/platform"
)

// watched is what WatchLoad has told of one service.
type watched struct {
	mu   sync.Mutex // guards the members below
	last platform.Load
	// short counts the reports that said so, reports all of them.
	short, reports int
}

// watch watches the load of a service until the test ends.
func watch(t *testing.T, client *dataplane.Client, service platform.ServiceID) *watched {
	t.Helper()
	w := &watched{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = client.WatchLoad(ctx, func(report platform.LoadReport) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, each := range report.Services {
				if each.ServiceID == service {
					w.last = each
					w.reports++
					if each.IsShort {
						w.short++
					}
				}
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return w
}

// until waits for a load of that kind.
func (w *watched) until(t *testing.T, what string, is func(platform.Load) bool) platform.Load {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		last := w.last
		w.mu.Unlock()
		if is(last) {
			return last
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is not told that %s; the last load is %+v", what, last)
		}
	}
}

func inFlight(inFlight, waiting int) func(platform.Load) bool {
	return func(l platform.Load) bool { return l.InFlight == inFlight && l.Waiting == waiting }
}

// slowRoute is a route to an app that answers when finish is closed, with room for one request.
func slowRoute(t *testing.T, finish <-chan struct{}) platform.Route {
	made := route("app.test", app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			<-finish
		}
		io.WriteString(w, "app")
	}))
	made.MaxConcurrency = 1
	return made
}

func TestTheLoadIsToldAsItChanges(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, _ := p.newClient(t)
	finish := make(chan struct{})
	served := slowRoute(t, finish)
	client.SetRoute(served)
	flush(t, client)
	told := watch(t, client, served.ServiceID)
	told.until(t, "the service is there", func(l platform.Load) bool { return l.ServiceID != "" })
	var asking sync.WaitGroup
	for range 2 {
		asking.Go(func() { p.get("app.test") })
	}
	full := told.until(t, "one request waits", inFlight(1, 1))
	if !full.IsShort || full.Peak != 2 || full.Requests != 2 || full.LastRequestAt.IsZero() {
		t.Errorf("with one request that waits: %+v", full)
	}
	close(finish)
	asking.Wait()
	idle := told.until(t, "there is none", func(l platform.Load) bool { return l.InFlight+l.Waiting == 0 && l.Average == 0 })
	if idle.IsShort || idle.Requests != 2 {
		t.Errorf("without requests: %+v", idle)
	}
	told.mu.Lock()
	before := told.reports
	told.mu.Unlock()
	time.Sleep(1200 * time.Millisecond) // more than a report each second takes
	told.mu.Lock()
	if told.reports > before {
		t.Errorf("%d reports without a change", told.reports-before)
	}
	told.mu.Unlock()

	// A data plane that is started anew is found, and counts anew.
	p.stop()
	p.start(t)
	for p.getBy(http.DefaultClient, "app.test", "/quick") != "app" {
		time.Sleep(10 * time.Millisecond) // until it listens and has the route
	}
	told.until(t, "the one started anew has had a request", func(l platform.Load) bool { return l.Requests == 1 })
	if now, err := client.Load(t.Context()); err != nil || len(now.Services) != 1 || now.Services[0].Requests != 1 {
		t.Errorf("the load now: %+v, %v", now, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// One that was started anew and has no table yet knows no service. What the one before has told must not stay true for that.
func TestNoLoadIsToldBeforeTheFirstTable(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client := dataplane.NewClient(p.socket, discard)
	client.SetRoute(route("app.test", app(t, says("app"))))
	for client.Check(t.Context()) != nil {
		time.Sleep(10 * time.Millisecond)
	}
	told := watch(t, client, "app.test")
	time.Sleep(300 * time.Millisecond) // it is asked meanwhile
	run(t, client)
	told.until(t, "the service is at rest", func(l platform.Load) bool { return l.ServiceID != "" })
}

func TestTheLoadOfADataPlaneThatIsLeavingCounts(t *testing.T) {
	p := newPlane(t)
	p.start(t)
	client, _ := p.newClient(t)
	finish := make(chan struct{})
	served := slowRoute(t, finish)
	client.SetRoute(served)
	flush(t, client)
	told := watch(t, client, served.ServiceID)
	var asking sync.WaitGroup
	asking.Go(func() { p.get("app.test") })
	told.until(t, "one request is there", inFlight(1, 0))
	p.next(t, client)
	client.SetRoute(served)
	flush(t, client)
	client.Leave(t.Context(), p.pid)
	asking.Go(func() { p.get("app.test") })
	told.until(t, "both data planes have one", inFlight(2, 0))
	close(finish)
	asking.Wait()
	p.wantEnd(t)
	told.until(t, "there is none", inFlight(0, 0))
}

// counter is a Freezer that counts, for one instance.
type counter struct {
	mu       sync.Mutex // guards isFrozen
	isFrozen bool
}

func (c *counter) set(isFrozen bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isFrozen = isFrozen
	return nil
}

func (c *counter) Freeze(string) error { return c.set(true) }
func (c *counter) Thaw(string) error   { return c.set(false) }

func (c *counter) IsFrozen(string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isFrozen, nil
}

func TestOnlyTheDataPlaneThatStaysFreezesAndNotBeforeTheOtherHasLeft(t *testing.T) {
	p := newPlane(t)
	freezer := &counter{}
	p.freezer = freezer
	p.start(t)
	client, _ := p.newClient(t)
	finish := make(chan struct{})
	served := slowRoute(t, finish)
	served.MaxConcurrency, served.Traffic.FreezeAfter, served.Endpoints[0].Freezer = 0, 10*time.Millisecond, "file"
	client.SetRoute(served)
	flush(t, client)
	told := watch(t, client, served.ServiceID)
	isFrozen := func(l platform.Load) bool { return len(l.Frozen) == 1 }
	told.until(t, "it is frozen", isFrozen)
	slow := make(chan string, 1)
	go func() { slow <- p.get("app.test") }()
	told.until(t, "a request has thawed it", func(l platform.Load) bool { return l.InFlight == 1 && len(l.Frozen) == 0 })

	p.next(t, client)
	client.SetRoute(served)
	flush(t, client)
	client.Leave(t.Context(), p.pid)
	time.Sleep(100 * time.Millisecond) // ten times what freezes it
	if frozen, _ := freezer.IsFrozen("file"); frozen {
		t.Error("it is frozen while the data plane that is leaving has a request for it")
	}
	close(finish)
	if got := <-slow; got != "app" {
		t.Errorf("the request is answered %q", got)
	}
	p.wantEnd(t)
	told.until(t, "it is frozen by the one that stays", isFrozen)
}
