package proxy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// iceBox is a Freezer that remembers.
type iceBox struct {
	mu             sync.Mutex // guards the members below
	frozen         map[string]bool
	freezes, thaws int
	err            error
	stuck          string // a file by which nothing is thawed
}

func newIceBox() *iceBox { return &iceBox{frozen: map[string]bool{}} }

func (b *iceBox) Freeze(file string) error { return b.set(file, true) }
func (b *iceBox) Thaw(file string) error   { return b.set(file, false) }

func (b *iceBox) set(file string, isFrozen bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.err != nil:
		return b.err
	case file == b.stuck && !isFrozen:
		return errors.New("it does not work")
	}
	if isFrozen {
		b.freezes++
	} else {
		b.thaws++
	}
	b.frozen[file] = isFrozen
	return nil
}

func (b *iceBox) IsFrozen(file string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.frozen[file], b.err
}

func (b *iceBox) count() (frozen, freezes, thaws int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, isFrozen := range b.frozen {
		if isFrozen {
			frozen++
		}
	}
	return frozen, b.freezes, b.thaws
}

// freezing is a serving route whose instances can be frozen.
func freezing(after time.Duration, limit, instances int) platform.Route {
	made := serving(limit, 0, instances)
	made.Traffic.FreezeAfter = after
	for i := range made.Endpoints {
		made.Endpoints[i].Freezer = fmt.Sprint("file", i)
	}
	return made
}

// freezes runs the loop of a proxy that freezes.
func freezes(t *testing.T, config Config) *Proxy {
	p := New(config)
	ctx, cancel := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	loops.Go(func() { p.freezeIdle(ctx) })
	loops.Go(func() { p.measure(ctx) })
	t.Cleanup(func() { cancel(); loops.Wait() })
	return p
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen: " + what)
		}
	}
}

func (b *iceBox) has(frozen int) func() bool {
	return func() bool { n, _, _ := b.count(); return n == frozen }
}

func TestAnIdleInstanceIsFrozenAndThawedByItsNextRequest(t *testing.T) {
	box := newIceBox()
	p := freezes(t, Config{Freezer: box})
	p.SetRoutes([]platform.Route{freezing(10*time.Millisecond, 2, 2)})
	eventually(t, "both are frozen", box.has(2))
	for range 3 {
		one, two := newSeeking().find(p), newSeeking().find(p)
		if n, _, _ := box.count(); n != 0 && one.instance != two.instance || one.waited == 0 {
			t.Errorf("%d are frozen, and two have requests; the first has waited %s", n, one.waited)
		}
		time.Sleep(30 * time.Millisecond) // a request in flight keeps it warm
		if frozen, _ := box.IsFrozen(one.instance.Freezer); frozen {
			t.Error("an instance with a request is frozen")
		}
		p.release(one.instance)
		p.release(two.instance)
		eventually(t, "both are frozen again", box.has(2))
	}
	if report := p.everyLoad(); len(report.Services[0].Frozen) != 2 {
		t.Errorf("the load says %+v", report.Services)
	}
	if p.watches.queue.Len() > 0 {
		t.Errorf("%d frozen instances are looked at", p.watches.queue.Len())
	}
}

// A few requests wake one instance, and more wake the next.
func TestAWarmInstanceIsPreferredUntilItIsHalfFull(t *testing.T) {
	box := newIceBox()
	p := freezes(t, Config{Freezer: box})
	p.SetRoutes([]platform.Route{freezing(10*time.Millisecond, 8, 5)})
	eventually(t, "all are frozen", box.has(5))
	for i := range 8 {
		newSeeking().find(p)
		frozen, _, _ := box.count()
		if i < 4 && frozen != 4 || i == 7 && frozen != 3 {
			t.Errorf("%d are frozen with %d requests", frozen, i+1)
		}
	}
}

func TestWhatIsNotToBeFrozenIsThawed(t *testing.T) {
	box := newIceBox()
	p := freezes(t, Config{Freezer: box})
	p.SetRoutes([]platform.Route{freezing(time.Millisecond, 0, 3)})
	eventually(t, "all are frozen", box.has(3))
	p.SetRoutes([]platform.Route{freezing(0, 0, 3)})
	eventually(t, "all are thawed", box.has(0))
	p.SetRoutes([]platform.Route{freezing(time.Millisecond, 0, 3)})
	eventually(t, "all are frozen again", box.has(3))
}

// A data plane knows nothing of what the one before has frozen.
func TestANewDataPlaneThawsWhatTheOneBeforeHasFrozen(t *testing.T) {
	for name, run := range map[string]func(*testing.T, Config) *Proxy{
		"at once": func(_ *testing.T, c Config) *Proxy { return New(c) },
		"later":   freezes,
	} {
		t.Run(name, func(t *testing.T) {
			box := newIceBox()
			_ = box.Freeze("file0")
			p := run(t, Config{Freezer: box})
			p.SetRoutes([]platform.Route{freezing(time.Hour, 0, 1)})
			if name == "later" {
				eventually(t, "it is known", func() bool { return len(p.everyLoad().Services[0].Frozen) == 1 })
			}
			found := newSeeking().find(p)
			if frozen, _ := box.IsFrozen("file0"); frozen {
				t.Error("a request is sent to a frozen instance")
			}
			p.release(found.instance)
		})
	}
}

func TestNoneIsFrozenThatOthersHaveRequestsFor(t *testing.T) {
	box := newIceBox()
	var isAlone atomic.Bool
	var asked atomic.Int64
	p := freezes(t, Config{Freezer: box, IsAlone: func() bool { asked.Add(1); return isAlone.Load() }})
	p.SetRoutes([]platform.Route{freezing(time.Millisecond, 0, 1)})
	eventually(t, "it asks", func() bool { return asked.Load() > 0 })
	if n, _, _ := box.count(); n > 0 {
		t.Error("an instance is frozen while another data plane is there")
	}
	isAlone.Store(true)
	eventually(t, "it is frozen", box.has(1))
	p.StopFreezing()
	p.release(newSeeking().find(p).instance)
	_, before, _ := box.count()
	time.Sleep(20 * time.Millisecond)
	if frozen, after, _ := box.count(); after != before || frozen != 0 {
		t.Error("it freezes after it has stopped to")
	}
}

// An instance that cannot be frozen, or whose group is gone, loses no request.
func TestAFreezerThatFailsLosesNothing(t *testing.T) {
	box := newIceBox()
	p := freezes(t, Config{Freezer: box})
	p.SetRoutes([]platform.Route{freezing(time.Millisecond, 0, 1)})
	eventually(t, "it is frozen", box.has(1))
	box.mu.Lock()
	box.err = errors.New("no such group")
	box.mu.Unlock()
	p.release(newSeeking().find(p).instance)
	time.Sleep(10 * time.Millisecond)
	box.mu.Lock()
	box.err = nil
	box.mu.Unlock()
	p.release(newSeeking().find(p).instance)
	eventually(t, "it is frozen again", box.has(1))
}

// Requests come at the very moments at which instances are frozen, and the routes change. None is ever sent to a frozen instance.
func TestNoRequestIsSentToAFrozenInstance(t *testing.T) {
	box := newIceBox()
	p := freezes(t, Config{Freezer: box})
	route := freezing(50*time.Microsecond, 2, 3)
	p.SetRoutes([]platform.Route{route})
	stop := make(chan struct{})
	var changing, asking sync.WaitGroup
	changing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				next := route
				next.Endpoints = route.Endpoints[i%3:]
				p.SetRoutes([]platform.Route{next})
			}
		}
	})
	for range 8 {
		asking.Go(func() {
			for i := range 400 {
				found := newSeeking().find(p)
				if found.instance == nil {
					t.Errorf("refused: %+v", found.refusal)
					return
				}
				for range 3 {
					if frozen, _ := box.IsFrozen(found.instance.Freezer); frozen {
						t.Error("a request is in a frozen instance")
					}
					time.Sleep(10 * time.Microsecond)
				}
				p.release(found.instance)
				time.Sleep(time.Duration(i%8) * 50 * time.Microsecond)
			}
		})
	}
	asking.Wait()
	close(stop)
	changing.Wait()
	isIdle(t, p)
	if _, freezes, thaws := box.count(); freezes < 10 || thaws < 10 {
		t.Errorf("only %d freezes and %d thaws: the test shows nothing", freezes, thaws)
	}
}

// Ten thousand instances that are frozen cost nothing, and those that were not looked at for long little.
func TestFrozenInstancesAreNotLookedAt(t *testing.T) {
	box := newIceBox()
	p := freezes(t, Config{Freezer: box})
	var routes []platform.Route
	for i := range 10_000 {
		each := serving(1, i, 1)
		each.ServiceID, each.Hosts = platform.ServiceID(fmt.Sprint(i)), []string{fmt.Sprint(i, ".test")}
		each.Endpoints[0].Freezer, each.Traffic.FreezeAfter = fmt.Sprint(i), time.Millisecond
		routes = append(routes, each)
	}
	p.SetRoutes(routes)
	eventually(t, "all are frozen", box.has(10_000))
	eventually(t, "none is looked at", func() bool {
		p.watches.mu.Lock()
		defer p.watches.mu.Unlock()
		p.gauges.mu.Lock()
		defer p.gauges.mu.Unlock()
		return p.watches.queue.Len() == 0 && len(p.gauges.active) == 0
	})
}

// Who counts the frozen instances learns that one is none of the service's any more, though no request has come.
func TestAFrozenInstanceThatLeavesIsToldToBeFrozenNoMore(t *testing.T) {
	box := newIceBox()
	p := freezes(t, Config{Freezer: box})
	p.SetRoutes([]platform.Route{freezing(10*time.Millisecond, 2, 2)})
	var report platform.LoadReport
	told := func(frozen int) func() bool {
		return func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if next, ok := p.Load(ctx, max(report.Serial, 1)); ok {
				report = next
			}
			return len(report.Services) == 1 && len(report.Services[0].Frozen) == frozen
		}
	}
	eventually(t, "both are told to be frozen", told(2))
	p.SetRoutes([]platform.Route{freezing(10*time.Millisecond, 2, 1)})
	eventually(t, "one is told to be frozen", told(1))
}

// An instance that stays frozen accepts connections all the same.
func TestARequestIsNotSentToAnInstanceThatStaysFrozen(t *testing.T) {
	box := newIceBox()
	p := freezes(t, Config{Freezer: box, HoldTimeout: 300 * time.Millisecond})
	p.SetRoutes([]platform.Route{freezing(10*time.Millisecond, 1, 2)})
	eventually(t, "both are frozen", box.has(2))
	stick := func(file string) {
		box.mu.Lock()
		defer box.mu.Unlock()
		box.stuck = file
	}
	stick("file0")
	for range 8 {
		found := newSeeking().find(p)
		if found.instance == nil || found.instance.Freezer != "file1" {
			t.Fatalf("a request gets %+v", found)
		}
		p.release(found.instance)
		eventually(t, "both are frozen again", box.has(2))
	}
	p.SetRoutes([]platform.Route{freezing(10*time.Millisecond, 1, 1)})
	if found := newSeeking().find(p); found.refusal == nil || found.refusal.status != 503 {
		t.Errorf("without another it gets %+v", found)
	}
	waiting := newSeeking()
	p.seek(&waiting.seeker)
	stick("")
	if found := <-waiting.told; found.instance == nil {
		t.Errorf("one that waited is told %+v", found.refusal)
	} else {
		p.release(found.instance)
	}
	eventually(t, "it is frozen again", box.has(1))
	isIdle(t, p)
}

// slowBox freezes when it is let.
type slowBox struct {
	*iceBox
	begun, let chan struct{}
}

func (b *slowBox) Freeze(file string) error {
	close(b.begun)
	<-b.let
	return b.iceBox.Freeze(file)
}

// Whoever stops an instance thaws it after the drain, so nothing may freeze it afterwards.
func TestADrainWaitsForAFreezeThatHadBegun(t *testing.T) {
	box := &slowBox{newIceBox(), make(chan struct{}), make(chan struct{})}
	p := freezes(t, Config{Freezer: box})
	p.SetRoutes([]platform.Route{freezing(10*time.Millisecond, 2, 1)})
	<-box.begun
	p.SetRoutes([]platform.Route{freezing(10*time.Millisecond, 2, 0)})
	drained := make(chan struct{})
	go func() { p.Drain(context.Background(), []platform.InstanceID{"i0"}); close(drained) }()
	select {
	case <-drained:
		t.Error("the drain is over, and the instance is about to be frozen")
	case <-time.After(200 * time.Millisecond):
	}
	close(box.let)
	<-drained
}
