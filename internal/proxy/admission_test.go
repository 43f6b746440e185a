package proxy

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const testHost = "app.test"

// serving is a route of the test host to so many instances, with their numbers from first on.
func serving(limit, first, instances int) platform.Route {
	made := platform.Route{
		ServiceID: "service", ServiceName: "shop", Hosts: []string{testHost}, State: platform.RouteStateServing, MaxConcurrency: limit,
	}
	for i := range instances {
		made.Endpoints = append(made.Endpoints, platform.Endpoint{InstanceID: platform.InstanceID(fmt.Sprint("i", first+i)), Address: "127.0.0.1:1"})
	}
	return made
}

// seeking is a request of a test and where it is told what it found.
type seeking struct {
	seeker
	told chan place
}

func newSeeking() *seeking {
	s := &seeking{told: make(chan place, 2)} // one more than there may be
	s.host, s.since = testHost, uptime()
	s.done = func(found place) { s.told <- found }
	return s
}

// find seeks and waits.
func (s *seeking) find(p *Proxy) place {
	if found, isNow := p.seek(&s.seeker); isNow {
		return found
	}
	return <-s.told
}

// queued is a request that must wait.
func queued(t *testing.T, p *Proxy) *seeking {
	t.Helper()
	s := newSeeking()
	if found, isNow := p.seek(&s.seeker); isNow {
		t.Fatalf("a request that should wait has found %+v", found)
	}
	return s
}

// isIdle fails the test when something of a request is left.
func isIdle(t *testing.T, p *Proxy) {
	t.Helper()
	if held := p.held.Load(); held != 0 {
		t.Errorf("%d requests are held", held)
	}
	for _, in := range p.instances {
		if n := in.inFlight.Load(); n != 0 {
			t.Errorf("%s has %d requests in flight", in.InstanceID, n)
		}
	}
	for _, each := range p.services {
		if each.waiting.Load() != 0 || each.first != nil || each.last != nil {
			t.Errorf("%d requests wait", each.waiting.Load())
		}
	}
}

func TestThoseThatWaitAreServedInTheirOrder(t *testing.T) {
	p := New(Config{})
	p.SetRoutes([]platform.Route{serving(1, 0, 1)})
	first := newSeeking().find(p)
	var waiting []*seeking
	for range 50 {
		waiting = append(waiting, queued(t, p))
	}
	holder := first.instance
	for i, each := range waiting {
		select {
		case found := <-each.told:
			t.Fatalf("request %d is served before there is room: %+v", i, found)
		default:
		}
		p.release(holder)
		found := <-each.told
		if found.waited <= 0 || found.instance != holder {
			t.Fatalf("request %d has found %+v", i, found)
		}
	}
	p.release(holder)
	isIdle(t, p)
}

// One whose instance did not take it is not older than before, but keeps its place before those that came later.
func TestARequestThatIsTriedAgainKeepsItsTurn(t *testing.T) {
	p := New(Config{})
	p.SetRoutes([]platform.Route{serving(1, 0, 1)})
	old := newSeeking()
	holder := old.find(p).instance
	young := queued(t, p)
	old.tried = append(old.tried, holder)
	p.release(holder)
	if found := <-young.told; found.instance != holder {
		t.Fatalf("found %+v", found)
	}
	younger := queued(t, p)
	if _, isNow := p.seek(&old.seeker); isNow {
		t.Fatal("served without room")
	}
	queue := p.services["service"]
	for mayHaveItAgain := false; !mayHaveItAgain; time.Sleep(time.Millisecond) {
		queue.mu.Lock()
		if queue.first != &old.seeker {
			t.Error("the older one is not the next")
		}
		mayHaveItAgain = len(old.tried) == 0
		queue.mu.Unlock()
	}
	p.release(holder)
	<-old.told
	p.release(holder)
	<-younger.told
	p.release(holder)
	isIdle(t, p)
}

func TestANewTableServesThoseThatWait(t *testing.T) {
	for name, next := range map[string]platform.Route{"with another instance": serving(1, 0, 2), "with a higher limit": serving(2, 0, 1)} {
		t.Run(name, func(t *testing.T) {
			p := New(Config{})
			p.SetRoutes([]platform.Route{serving(1, 0, 1)})
			first := newSeeking().find(p)
			second, third := queued(t, p), queued(t, p)
			p.SetRoutes([]platform.Route{next})
			found := <-second.told
			if found.instance == nil || len(third.told) > 0 {
				t.Errorf("found %+v, and %d for the third", found, len(third.told))
			}
			p.release(first.instance)
			p.release(found.instance)
			p.release((<-third.told).instance)
			isIdle(t, p)
		})
	}
}

func TestThoseThatWaitAreToldWhenTheirServiceIsNoMore(t *testing.T) {
	paused := serving(1, 0, 0)
	paused.State = platform.RouteStatePaused
	other := serving(1, 7, 1)
	other.ServiceID = "other"
	for name, each := range map[string]struct {
		routes []platform.Route
		status int
	}{
		"paused": {[]platform.Route{paused}, http.StatusServiceUnavailable}, "removed": {nil, http.StatusNotFound}, "moved": {[]platform.Route{other}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(Config{})
			p.SetRoutes([]platform.Route{serving(1, 0, 1)})
			first := newSeeking().find(p)
			s := queued(t, p)
			p.SetRoutes(each.routes)
			found := <-s.told
			switch {
			case each.status == 0:
				if found.instance == nil || found.instance.InstanceID != "i7" {
					t.Errorf("found %+v", found)
				}
				p.release(found.instance)
			case found.refusal == nil || found.refusal.status != each.status:
				t.Errorf("refused with %+v", found.refusal)
			}
			p.release(first.instance)
			isIdle(t, p)
			if len(p.services) != len(each.routes) {
				t.Errorf("%d services are left of %d", len(p.services), len(each.routes))
			}
		})
	}
}

func TestNobodyWaitsForever(t *testing.T) {
	const short = 60 * time.Millisecond
	wakeable := serving(1, 0, 0)
	wakeable.IsWakeable = true
	for name, each := range map[string]struct {
		config   Config
		route    platform.Route
		deadline time.Duration
		status   int
	}{
		"for room":                                {Config{QueueTimeout: short}, serving(1, 0, 1), 0, http.StatusServiceUnavailable},
		"for room with a deadline of its own":     {Config{}, serving(1, 0, 1), short, http.StatusServiceUnavailable},
		"for an instance":                         {Config{HoldTimeout: short}, serving(1, 0, 0), 0, http.StatusServiceUnavailable},
		"for the first instance":                  {Config{HoldTimeout: time.Nanosecond}, wakeable, short, http.StatusServiceUnavailable},
		"for the first instance without deadline": {Config{RequestTimeout: short}, wakeable, 0, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(each.config)
			p.SetRoutes([]platform.Route{each.route})
			if len(each.route.Endpoints) > 0 {
				defer p.release(newSeeking().find(p).instance)
			}
			s := newSeeking()
			if each.deadline > 0 {
				s.deadline = s.since + each.deadline
			}
			found := s.find(p)
			if found.refusal == nil || found.refusal.status != each.status || found.refusal.retryAfter == 0 || found.waited < short/2 {
				t.Errorf("after %s: %+v", found.waited, found.refusal)
			}
			if len(p.services["service"].gauge.all()) > 0 {
				return
			}
			isIdle(t, p)
		})
	}
}

func TestOnlyAFullQueueRefusesAtOnce(t *testing.T) {
	few := serving(1, 0, 1)
	few.MaxWaiting = 2
	for name, each := range map[string]struct {
		config Config
		route  platform.Route
	}{
		"of the service": {Config{}, few}, "by default": {Config{MaxWaiting: 2}, serving(1, 0, 1)}, "of all services": {Config{MaxHeld: 2}, serving(1, 0, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(each.config)
			p.SetRoutes([]platform.Route{each.route})
			holder := newSeeking().find(p).instance
			waiting := []*seeking{queued(t, p), queued(t, p)}
			found := newSeeking().find(p)
			if found.refusal == nil || found.refusal.status != http.StatusTooManyRequests || found.refusal.retryAfter == 0 {
				t.Errorf("one too many has found %+v", found)
			}
			if !p.abandon(&waiting[0].seeker) || p.abandon(&waiting[0].seeker) {
				t.Error("abandoned not exactly once")
			}
			waiting[0] = queued(t, p) // there is room again
			p.release(holder)
			p.release((<-waiting[1].told).instance)
			p.release((<-waiting[0].told).instance)
			isIdle(t, p)
		})
	}
}

// Many seek, hold, release and abandon while instances come and go and the limit changes. An instance never has more than its limit,
// nobody is told twice or never, and nothing is left.
func TestNothingIsLostInTheCrowd(t *testing.T) {
	const crowd, rounds = 64, 300
	p := New(Config{MaxWaiting: crowd, QueueTimeout: 20 * time.Second})
	const limit = 3
	p.SetRoutes([]platform.Route{serving(limit, 0, 2)})
	var inside sync.Map // counts by instance
	var served, abandoned atomic.Int64
	stop := make(chan struct{})
	var changing, asking sync.WaitGroup
	changing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
				p.SetRoutes([]platform.Route{serving(limit, rand.IntN(4), i%4)}) // sometimes none
			}
		}
	})
	for range crowd {
		asking.Go(func() {
			for i := range rounds {
				s := newSeeking()
				found, isNow := p.seek(&s.seeker)
				if !isNow && i%7 == 0 {
					if p.abandon(&s.seeker) {
						abandoned.Add(1)
						continue
					}
				}
				if !isNow {
					select {
					case found = <-s.told:
					case <-time.After(20 * time.Second):
						t.Error("a request is never told anything")
						return
					}
				}
				if found.instance == nil {
					t.Errorf("refused: %+v", found.refusal)
					return
				}
				count, _ := inside.LoadOrStore(found.instance, new(atomic.Int64))
				if n := count.(*atomic.Int64).Add(1); n > limit {
					t.Errorf("%d requests in an instance", n)
				}
				if i%3 == 0 {
					time.Sleep(10 * time.Microsecond)
				}
				count.(*atomic.Int64).Add(-1)
				p.release(found.instance)
				served.Add(1)
				if len(s.told) > 0 {
					t.Error("told twice")
				}
			}
		})
	}
	asking.Wait()
	close(stop)
	changing.Wait()
	if total := served.Load() + abandoned.Load(); total != crowd*rounds {
		t.Errorf("%d served and %d abandoned of %d", served.Load(), abandoned.Load(), crowd*rounds)
	}
	p.SetRoutes(nil)
	isIdle(t, p)
	if len(p.instances) > 0 || len(p.services) > 0 {
		t.Errorf("%d instances and %d services are left", len(p.instances), len(p.services))
	}
}

func BenchmarkSeek(b *testing.B) {
	for _, instances := range []int{1, 10, 100} {
		bench := func(limit int) (*Proxy, func(pb *testing.PB)) {
			p := New(Config{MaxWaiting: 1 << 20, MaxHeld: 1 << 20})
			p.SetRoutes([]platform.Route{serving(limit, 0, instances)})
			return p, func(pb *testing.PB) {
				s := newSeeking()
				for pb.Next() {
					s.since = uptime()
					p.release(s.find(p).instance)
				}
			}
		}
		b.Run(fmt.Sprintf("uncontended/%d", instances), func(b *testing.B) {
			_, run := bench(100)
			b.ReportAllocs()
			b.RunParallel(run)
		})
		b.Run(fmt.Sprintf("contended/%d", instances), func(b *testing.B) {
			_, run := bench(1)
			b.SetParallelism(2 * instances) // so that about half of them wait
			b.ReportAllocs()
			b.RunParallel(run)
		})
	}
}
