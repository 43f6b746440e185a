package proxy_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// asked sends a request in the background and returns where its status comes.
func (p *running) asked(ctx context.Context, t *testing.T) <-chan int {
	t.Helper()
	status, client := make(chan int, 1), p.client(t)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://app.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		response, err := client.Do(request)
		if err != nil {
			status <- 0
			return
		}
		response.Body.Close()
		status <- response.StatusCode
	}()
	return status
}

// waits fails the test when a request that should wait was answered.
func waits(t *testing.T, status <-chan int) {
	t.Helper()
	select {
	case got := <-status:
		t.Fatalf("the request was answered with %d, and should have waited", got)
	case <-time.After(200 * time.Millisecond): // long for an answer on loopback
	}
}

func TestARequestWaitsForTheInstanceThatReplacesAnother(t *testing.T) {
	for name, before := range map[string][]platform.Endpoint{"which was taken away": nil, "which accepts no connections": {refusing(t)}} {
		t.Run(name, func(t *testing.T) {
			p := start(t, proxy.Config{})
			p.serve(route(before...))
			status := p.asked(t.Context(), t)
			waits(t, status)
			other := route()
			other.ServiceID, other.Hosts = "other-id", []string{"other.test"}
			p.serve(route(before...), other) // a change that brings nothing
			waits(t, status)
			p.serve(route(backend(t, says("hello"))))
			if got := <-status; got != http.StatusOK {
				t.Errorf("status %d", got)
			}
		})
	}
}

// A service that stays without an instance answers at once that it has none, after the first requests have waited.
func TestNobodyWaitsLongForAnInstance(t *testing.T) {
	const hold = 300 * time.Millisecond
	p := start(t, proxy.Config{HoldTimeout: hold})
	p.serve(route(backend(t, says("hello"))))
	p.serve(route())
	begun := time.Now()
	if got := <-p.asked(t.Context(), t); got != http.StatusServiceUnavailable || time.Since(begun) < hold/2 {
		t.Errorf("status %d after %s", got, time.Since(begun))
	}
	p.serve(route()) // the same again does not begin anew
	begun = time.Now()
	if got := <-p.asked(t.Context(), t); got != http.StatusServiceUnavailable || time.Since(begun) > hold {
		t.Errorf("later: status %d after %s", got, time.Since(begun))
	}
}

func TestOnlySoManyRequestsWait(t *testing.T) {
	p := start(t, proxy.Config{MaxHeld: 1, HoldTimeout: time.Minute})
	p.serve(route())
	first := p.asked(t.Context(), t)
	waits(t, first)
	if got := <-p.asked(t.Context(), t); got != http.StatusTooManyRequests {
		t.Errorf("one too many: status %d", got)
	}
	p.serve(route(backend(t, says("hello"))))
	if got := <-first; got != http.StatusOK {
		t.Errorf("the one that waited: status %d", got)
	}
}

// A client that leaves makes room.
func TestAClientLeavesWhileItsRequestWaits(t *testing.T) {
	p := start(t, proxy.Config{MaxHeld: 1, HoldTimeout: time.Minute})
	p.serve(route())
	ctx, leave := context.WithCancelCause(t.Context())
	first := p.asked(ctx, t)
	waits(t, first)
	leave(errors.New("enough"))
	<-first
	for {
		next := p.asked(t.Context(), t)
		select {
		case got := <-next:
			if got != http.StatusTooManyRequests {
				t.Fatalf("status %d", got)
			}
			continue // the proxy has not noticed yet
		case <-time.After(200 * time.Millisecond):
		}
		p.serve(route(backend(t, says("hello"))))
		if got := <-next; got != http.StatusOK {
			t.Errorf("status %d", got)
		}
		return
	}
}

// Whoever comes while the instances are full waits, and is served; no instance gets more than it may have.
func TestAnInstanceGetsOnlySoManyRequestsAtATime(t *testing.T) {
	const limit = 3
	p := start(t, proxy.Config{})
	var most, served atomic.Int64
	counting := func() platform.Endpoint {
		var inside atomic.Int64
		return backend(t, func(http.ResponseWriter, *http.Request) {
			n := inside.Add(1)
			for before := most.Load(); n > before && !most.CompareAndSwap(before, n); before = most.Load() {
			}
			time.Sleep(5 * time.Millisecond)
			inside.Add(-1)
		})
	}
	limited := route(counting(), counting())
	limited.MaxConcurrency = limit
	p.serve(limited)
	var asking sync.WaitGroup
	for range 60 {
		asking.Go(func() {
			if got := <-p.asked(t.Context(), t); got == http.StatusOK {
				served.Add(1)
			}
		})
	}
	asking.Wait()
	if served.Load() != 60 || most.Load() != limit {
		t.Errorf("%d of 60 requests are served, and an instance had %d at a time", served.Load(), most.Load())
	}
}
