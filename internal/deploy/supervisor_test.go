package deploy

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// fakeMachine is a backend, a store, a data plane and a prober around one service.
type fakeMachine struct {
	compute.Backend
	compute.Images
	store.Revisions
	Records
	eventLog
	supervisor *Supervisor
	startTime  time.Duration
	listTime   time.Duration // after which a list comes that was right at its beginning
	service    platform.Service
	revision   platform.Revision
	freezers   string
	feed       chan platform.LoadReport
	exits      chan platform.InstanceID

	mu        sync.Mutex // guards what follows
	instances map[platform.InstanceID]platform.Instance
	// starting and most count the starts at a time; starts and lists all there were.
	starting, most, starts, lists int
	isSick                        bool
	isStuck                       bool // nothing can be removed
	isAway                        bool // of what runs, nothing is told
	probes                        map[string]int
	route                         platform.Route
	drained                       []platform.InstanceID
	cpu                           map[platform.InstanceID]time.Duration
	serial                        uint64
}

func (m *fakeMachine) RevisionByID(context.Context, platform.RevisionID) (platform.Revision, error) {
	return m.revision, nil
}
func (m *fakeMachine) ServiceByID(context.Context, platform.ServiceID) (platform.Service, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.service, nil
}
func (m *fakeMachine) ListServices(context.Context, store.ServicePage) ([]platform.Service, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return []platform.Service{m.service}, nil
}
func (m *fakeMachine) ListImages(context.Context) ([]string, error) { return nil, nil }
func (m *fakeMachine) Sweep(context.Context) error                  { return nil }
func (m *fakeMachine) Exits(context.Context) (<-chan platform.InstanceID, error) {
	return m.exits, nil
}

func (m *fakeMachine) Start(ctx context.Context, spec compute.InstanceSpec) (platform.Instance, error) {
	m.mu.Lock()
	m.starts++
	m.starting++
	m.most = max(m.most, m.starting)
	m.mu.Unlock()
	time.Sleep(m.startTime)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.starting--
	one := platform.Instance{
		ID: spec.ID, ServiceID: spec.ServiceID, RevisionID: spec.RevisionID, State: platform.InstanceStateRunning, StartedAt: time.Now(),
		Address: string(spec.ID), Freezer: filepath.Join(m.freezers, string(spec.ID), "freezer.state"),
	}
	m.instances[spec.ID] = one
	return one, errors.Join(os.Mkdir(filepath.Dir(one.Freezer), 0o700), os.WriteFile(one.Freezer, []byte("THAWED\n"), 0o600))
}

func (m *fakeMachine) Stop(_ context.Context, id platform.InstanceID, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.isStuck {
		return errors.New("it cannot be removed")
	}
	delete(m.instances, id)
	return nil
}

func (m *fakeMachine) Usage(_ context.Context, id platform.InstanceID) (compute.Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, isThere := m.instances[id]; !isThere {
		return compute.Usage{}, compute.ErrNotFound
	}
	return compute.Usage{CPU: m.cpu[id]}, nil
}

// burn has those that answer share so much of a processor, for so many seconds.
func (m *fakeMachine) burn(processors float64, seconds int) {
	for range seconds {
		time.Sleep(time.Second)
		m.mu.Lock()
		if m.cpu == nil {
			m.cpu = map[platform.InstanceID]time.Duration{}
		}
		for _, each := range m.route.Endpoints {
			m.cpu[each.InstanceID] += time.Duration(processors * float64(time.Second) / float64(len(m.route.Endpoints)))
		}
		m.mu.Unlock()
	}
}

func (m *fakeMachine) List(_ context.Context, of ...platform.ServiceID) (all []platform.Instance, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists++
	for _, one := range m.instances {
		all = append(all, one)
	}
	wait := m.listTime
	m.mu.Unlock()
	time.Sleep(wait)
	m.mu.Lock()
	return all, nil
}

func (m *fakeMachine) Inspect(_ context.Context, id platform.InstanceID) (platform.Instance, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one, isThere := m.instances[id]
	switch {
	case m.isAway:
		return one, errors.New("it does not answer")
	case !isThere:
		return one, compute.ErrNotFound
	}
	return one, nil
}

func (m *fakeMachine) Probe(_ context.Context, address string, _ platform.HealthCheck) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.probes[address]++
	if m.isSick {
		return errors.New("it does not answer")
	}
	return nil
}

func (m *fakeMachine) SetRoute(route platform.Route) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.route = route
}
func (m *fakeMachine) RemoveRoute(platform.ServiceID)                   {}
func (m *fakeMachine) Flush(context.Context) error                      { return nil }
func (m *fakeMachine) Routes(context.Context) ([]platform.Route, error) { return nil, nil }
func (m *fakeMachine) Drain(_ context.Context, ids []platform.InstanceID) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drained = append(m.drained, ids...)
	return 0
}

func (m *fakeMachine) EndTunnels(context.Context, []platform.InstanceID) {}

func (m *fakeMachine) WatchLoad(ctx context.Context, each func(platform.LoadReport)) error {
	for {
		select {
		case report := <-m.feed:
			each(report)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// noSecrets seals and opens nothing.
type noSecrets struct{ Secrets }

func (noSecrets) Open(platform.RevisionID, []byte) (map[string]string, error) { return nil, nil }

// supervised runs a Supervisor over a machine until the test ends.
func supervised(t *testing.T, tags map[string]string) *fakeMachine {
	m := &fakeMachine{
		startTime: 500 * time.Millisecond, service: serving("r1"), freezers: t.TempDir(), feed: make(chan platform.LoadReport),
		exits: make(chan platform.InstanceID), instances: map[platform.InstanceID]platform.Instance{}, probes: map[string]int{},
	}
	m.service.Tags = tags
	m.revision = platform.Revision{ID: "r1", ServiceID: "s", Process: platform.Process{Port: 80}, Configuration: platform.Configuration{
		AutoScaling: platform.AutoScaling{MaxConcurrency: 10, MinSize: 1, MaxSize: 30},
		HealthCheck: platform.HealthCheck{IntervalSeconds: 5, TimeoutSeconds: 2, HealthyThreshold: 1, UnhealthyThreshold: 3},
	}}
	log := slog.New(slog.DiscardHandler)
	m.supervisor = NewSupervisor(&Executor{
		Store: m, Backend: m, Images: m, Secrets: noSecrets{}, Prober: m, Router: m, Loads: m, Logs: m, Log: log, Scaler: NewScaler(m),
		Routes: NewRoutes(m, func(platform.Service) string { return "host" }), HealthTimeout: time.Minute, SourcesDir: t.TempDir(),
	}, m, log)
	ctx, cancel := context.WithCancel(t.Context())
	if err := m.supervisor.Restore(ctx); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = m.supervisor.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return m
}

// tell sends what the data plane says of the service.
func (m *fakeMachine) tell(requests int, frozen ...platform.InstanceID) {
	m.serial++
	m.feed <- platform.LoadReport{Serial: m.serial, At: time.Now(), Services: []platform.Load{{
		ServiceID: "s", InFlight: requests, Peak: requests, LastRequestAt: time.Now(), Frozen: frozen,
	}}}
}

// seen is what a fakeMachine has come to.
type seen struct {
	routed                       []platform.InstanceID
	route                        platform.Route
	instances                    map[platform.InstanceID]platform.Instance
	most, starts, lists, drained int
	probes                       map[string]int
}

func (m *fakeMachine) look() seen {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := seen{
		route: m.route, instances: maps.Clone(m.instances), most: m.most, starts: m.starts, lists: m.lists, drained: len(m.drained),
		probes: maps.Clone(m.probes),
	}
	for _, each := range m.route.Endpoints {
		found.routed = append(found.routed, each.InstanceID)
	}
	return found
}

func TestABurstIsAnsweredByInstancesThatStartSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, nil)
		time.Sleep(2 * time.Second)
		if got := m.look(); len(got.routed) != 1 {
			t.Fatalf("%d instances answer, want 1", len(got.routed))
		}
		m.tell(0)
		m.tell(300)
		rounds := (29 + maxStarts - 1) / maxStarts // each half a second
		time.Sleep(time.Duration(rounds)*500*time.Millisecond + 200*time.Millisecond)
		if got := m.look(); len(got.routed) != 30 || got.most != maxStarts || got.starts != 30 {
			t.Errorf("%d instances answer, %d were started, %d at most at a time", len(got.routed), got.starts, got.most)
		}
		// The wait for the first round is no part of how long an instance takes.
		m.supervisor.executor.Scaler.edit("s", func(one *scaled) {
			if one.startTime < m.startTime || one.startTime > m.startTime*3/2 {
				t.Errorf("an instance takes %s to start", one.startTime)
			}
		})
		m.tell(0)
		time.Sleep(10 * time.Minute)
		if got := m.look(); len(got.routed) != 1 || len(got.instances) != 1 || got.drained < 29 {
			t.Errorf("after a quiet time %d instances answer of %d, and %d were drained", len(got.routed), len(got.instances), got.drained)
		}
	})
}

func TestNoMoreAreStartedBecauseAListIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, nil)
		time.Sleep(2 * time.Second)
		m.mu.Lock()
		m.listTime = 700 * time.Millisecond
		m.mu.Unlock()
		m.tell(0)
		m.tell(300)
		for range 40 { // looks, while instances start and are admitted
			m.supervisor.Wake("s")
			time.Sleep(150 * time.Millisecond)
		}
		if got := m.look(); len(got.routed) != 30 || got.starts != 30 {
			t.Errorf("%d instances answer, %d were started", len(got.routed), got.starts)
		}
	})
}

func TestAServiceAtZeroIsWokenByARequestAndSleepsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, map[string]string{platform.TagMinSize: "0", platform.TagScaleToZeroAfter: "1m"})
		m.tell(0)
		time.Sleep(time.Hour)
		if got := m.look(); got.starts != 0 || !got.route.IsWakeable || got.route.State != platform.RouteStateServing {
			t.Fatalf("%d instances were started, and the route is %+v", got.starts, got.route)
		}
		m.tell(1)
		time.Sleep(1100 * time.Millisecond)
		if got := m.look(); len(got.routed) != 1 || got.route.IsWakeable {
			t.Fatalf("%d instances answer, and the route is %+v", len(got.routed), got.route)
		}
		m.tell(0)
		time.Sleep(2 * time.Minute)
		if got := m.look(); len(got.routed) != 0 || len(got.instances) != 0 || !got.route.IsWakeable || got.starts != 1 {
			t.Errorf("it does not sleep: %v answer, %d run, %d were started", got.routed, len(got.instances), got.starts)
		}
		before := m.look()
		m.mu.Lock()
		m.isSick = true
		m.mu.Unlock()
		time.Sleep(5 * time.Minute)
		if after := m.look(); !maps.Equal(after.probes, before.probes) {
			t.Errorf("what has been stopped is probed: %v, and before %v", after.probes, before.probes)
		}
	})
}

// Who waits for the first instance goes on waiting for it when the service may not be at zero any more.
func TestAServiceAtZeroIsWokenThoughItMayNotSleepAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, map[string]string{platform.TagMinSize: "0"})
		time.Sleep(2 * time.Second)
		awake, routes := m.service, m.supervisor.executor.Routes
		awake.Tags = nil
		routes.SetWakeable(awake)
		if !m.look().route.IsWakeable {
			t.Error("its requests are held no more")
		}
		routes.Add(awake, platform.Endpoint{InstanceID: "i"})
		routes.Remove(awake, "i")
		if m.look().route.IsWakeable {
			t.Error("it sleeps again")
		}
	})
}

func TestAFrozenInstanceIsNotProbedUntilItIsThawed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, nil)
		time.Sleep(2 * time.Second)
		id := m.look().routed[0]
		write := func(state string) {
			if err := os.WriteFile(m.look().instances[id].Freezer, []byte(state+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("FROZEN") // it is not told yet
		m.mu.Lock()
		m.isSick = true
		m.mu.Unlock()
		time.Sleep(time.Minute)
		m.tell(0, id)
		before := m.look()
		time.Sleep(time.Hour)
		after := m.look()
		if probes := after.probes[string(id)] - before.probes[string(id)]; probes != 0 || !slices.Contains(after.routed, id) {
			t.Errorf("while it was frozen it was probed %d times; routed: %v", probes, after.routed)
		}
		if looks := after.lists - before.lists; looks > int(time.Hour/superviseEvery)+2 {
			t.Errorf("in an hour at rest the instances were listed %d times", looks)
		}
		write("THAWED")
		m.tell(0)
		time.Sleep(20 * time.Second)
		if got := m.look(); slices.Contains(got.routed, id) {
			t.Errorf("it was thawed and does not answer, and was probed %d times", got.probes[string(id)]-after.probes[string(id)])
		}
	})
}

func TestAnInstanceThatEndsIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, nil)
		time.Sleep(2 * time.Second)
		id := m.look().routed[0]
		m.exits <- id // the list says only later how it ended
		time.Sleep(150 * time.Millisecond)
		m.mu.Lock()
		one := m.instances[id]
		one.State, one.Exit = platform.InstanceStateExited, &platform.Exit{Code: 137, At: time.Now()}
		m.instances[id] = one
		m.mu.Unlock()
		time.Sleep(1200 * time.Millisecond)
		if got := m.look().routed; len(got) != 1 || got[0] == id {
			t.Errorf("%v answer", got)
		}
	})
}

func TestAnEndWhoseServiceCannotBeToldIsNoticedAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, nil)
		time.Sleep(2 * time.Second)
		before := m.look()
		m.mu.Lock()
		m.isAway = true
		m.mu.Unlock()
		m.exits <- "of an operation"
		time.Sleep(5 * time.Second)
		if after := m.look(); after.lists == before.lists {
			t.Error("nobody has looked")
		}
	})
}

// A look at all services may take long. What it read of one that serves since then is not what counts.
func TestAServiceThatServesSinceIsNotForgottenByAnOlderLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, nil)
		began := time.Now()
		time.Sleep(2 * time.Second)
		m.tell(0)
		was := m.service
		was.IsServing = false
		m.supervisor.supervise(t.Context(), began, was, nil)
		m.tell(35)
		time.Sleep(2 * time.Second)
		if got := m.look(); len(got.routed) != 4 {
			t.Errorf("%d instances answer, want 4", len(got.routed))
		}
	})
}

func TestAnInstanceThatIsStoppedWithItsServiceIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, nil)
		time.Sleep(2 * time.Second)
		m.mu.Lock()
		m.isSick = true // the next one is not ready soon
		m.mu.Unlock()
		m.tell(0)
		m.tell(15)
		time.Sleep(time.Second)
		m.supervisor.executor.Routes.Pause(m.service)
		for id := range m.look().instances {
			_ = m.Stop(t.Context(), id, 0)
		}
		time.Sleep(2 * time.Second)
		if n := m.told("did not become healthy"); n > 0 {
			t.Errorf("it is told %d times", n)
		}
	})
}

// told counts the events that say something.
func (m *fakeMachine) told(what string) (times int) {
	m.writing.Lock()
	defer m.writing.Unlock()
	for _, line := range m.lines {
		if strings.Contains(line, what) {
			times++
		}
	}
	return times
}

func TestAnInstanceWhoseRemainsStayIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, nil)
		time.Sleep(2 * time.Second)
		id := m.look().routed[0]
		m.mu.Lock()
		one := m.instances[id]
		one.State, one.Exit = platform.InstanceStateExited, &platform.Exit{Code: 1, At: time.Now()}
		m.instances[id], m.isStuck = one, true
		m.mu.Unlock()
		m.exits <- id
		time.Sleep(time.Minute)
		if n, got := m.told("ended"), m.look(); n != 1 || len(got.routed) != 1 || got.lists > 100 {
			t.Errorf("it is told %d times, %v answer, and there were %d looks", n, got.routed, got.lists)
		}
	})
}

func TestAnInstanceThatStartsIsStoppedWhenItsServiceIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, nil)
		time.Sleep(2 * time.Second)
		m.mu.Lock()
		m.isSick = true // the next one is not ready soon
		m.mu.Unlock()
		m.tell(0)
		m.tell(15)
		time.Sleep(time.Second)
		m.supervisor.executor.Routes.Pause(m.service)
		running := m.look().instances
		m.mu.Lock()
		m.service.IsServing, m.service.Status = false, platform.ServiceStatusPaused
		m.mu.Unlock()
		m.supervisor.Wake("s")
		time.Sleep(time.Second)
		if got := m.look(); len(running) != 2 || len(got.instances) != 0 || m.told("did not become healthy") > 0 {
			t.Errorf("of %d instances %d run on", len(running), len(got.instances))
		}
	})
}

// One that was sick, could not be stopped and has recovered is as good as new: its end is to be told.
func TestAnInstanceThatAnswersAgainIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, nil)
		time.Sleep(2 * time.Second)
		one := m.look().instances[m.look().routed[0]]
		m.supervisor.mu.Lock()
		state := m.supervisor.state("s")
		state.told[one.ID] = true
		m.supervisor.mu.Unlock()
		m.supervisor.admit(t.Context(), state, m.service, m.revision, one)
		m.supervisor.mu.Lock()
		defer m.supervisor.mu.Unlock()
		if state.told[one.ID] {
			t.Error("its end would not be told")
		}
	})
}

func TestAServiceThatDoesNotServeIsNotMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, map[string]string{platform.TagScaleOn: "cpu"})
		time.Sleep(10 * time.Second)
		was := m.service
		was.IsServing = false
		m.supervisor.supervise(t.Context(), time.Now(), was, nil)
		time.Sleep(10 * time.Second)
		m.supervisor.mu.Lock()
		defer m.supervisor.mu.Unlock()
		if at := m.supervisor.states["s"].sampleAt; !at.IsZero() {
			t.Errorf("it is measured at %s", at)
		}
	})
}
