package operation

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// shortLease is long enough for a busy machine to renew it.
const shortLease = 3 * time.Second

// ice stops an apron at a call, as a signal would: from then on all its calls of the store and the backend wait.
type ice struct {
	store.Store
	compute.Backend

	mu sync.Mutex // guards what follows
	at string
	// skip is how many such calls pass before.
	skip int
	// frozen is closed when the call came, melted when they go on.
	frozen, melted chan struct{}
}

func (i *ice) freezeAt(call string, skip int) (frozen chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.at, i.skip, i.frozen, i.melted = call, skip, make(chan struct{}), make(chan struct{})
	return i.frozen
}

func (i *ice) pass(call string) {
	i.mu.Lock()
	if i.at == call {
		if i.skip--; i.skip < 0 {
			i.at = ""
			close(i.frozen)
		}
	}
	frozen, melted := i.frozen, i.melted
	i.mu.Unlock()
	select {
	case <-frozen:
		<-melted
	default:
	}
}

func (i *ice) RenewLease(ctx context.Context, id platform.OperationID, term int, until time.Time) error {
	i.pass("renew")
	return i.Store.RenewLease(ctx, id, term, until)
}

func (i *ice) ClaimOperation(ctx context.Context, owner string, now, until time.Time) (platform.Operation, error) {
	i.pass("claim")
	return i.Store.ClaimOperation(ctx, owner, now, until)
}

func (i *ice) SaveOperation(ctx context.Context, operation platform.Operation, edit func(*platform.Service)) error {
	i.pass("save")
	return i.Store.SaveOperation(ctx, operation, edit)
}

func (i *ice) List(ctx context.Context, of ...platform.ServiceID) ([]platform.Instance, error) {
	i.pass("list")
	return i.Backend.List(ctx, of...)
}

func (i *ice) Close() error { return nil }

// An apron sleeps just before it looks for the instances to stop. When it wakes, another has ended its operation and resumed
// the service: the instances that it would find are those that serve.
func TestAnApronThatWakesUpStopsNothingOfLaterOperations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cold := &ice{Store: w.store, Backend: w}
	a := w.startAs("frozen", cold, cold, shortLease)
	service := w.created(a, imageService())
	frozen := cold.freezeAt("list", 1) // the first is that of the drain
	id := w.begin(a, service, platform.OperationPauseService, nil)
	<-frozen
	other := w.startAs("other", w.store, w, shortLease)
	operation, service := w.ended(id)
	if operation.Status != platform.OperationStatusSucceeded || operation.LeaseTerm != 2 {
		t.Fatalf("the pause ended %s with term %d", operation.Status, operation.LeaseTerm)
	}
	_, service = w.do(other, service, platform.OperationResumeService, nil)
	route := w.routeOf(service)
	close(cold.melted)
	a.stop() // waits for its run
	if _, err := w.Inspect(t.Context(), route.Endpoints[0].InstanceID); err != nil {
		t.Errorf("the instance that serves: %v", err)
	}
	if got := w.routeOf(service); !slices.Equal(got.Endpoints, route.Endpoints) {
		t.Errorf("the route is %+v, and was %+v", got, route)
	}
	if ended, _ := w.ended(id); !ended.UpdatedAt.Equal(operation.UpdatedAt) || ended.LeaseTerm != operation.LeaseTerm {
		t.Error("the record of the operation that had ended was written")
	}
}

// A creation fails, and its apron sleeps before it removes what it had started. Another must not go forward again, even if
// it could: what it would start is what the first one removes when it wakes.
func TestAFailureThatWasRecordedIsNotTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cold := &ice{Store: w.store, Backend: w}
	a := w.startAs("frozen", cold, cold, shortLease)
	w.set(func() { w.isSilent = true })
	frozen := cold.freezeAt("list", 0)
	_, created, err := a.starter.Create(t.Context(), imageService(), nil)
	if err != nil {
		t.Fatal(err)
	}
	<-frozen
	w.set(func() { w.isSilent = false })
	w.startAs("other", w.store, w, shortLease)
	operation, service := w.ended(created.ID)
	if operation.Status != platform.OperationStatusFailed || service.Status != platform.ServiceStatusCreateFailed || operation.LeaseTerm != 2 {
		t.Errorf("operation %s of term %d, service %s", operation.Status, operation.LeaseTerm, service.Status)
	}
	close(cold.melted)
	a.stop()
}

// A process that slept, or whose clock jumped, finds its own lease run out and claims what it runs.
func TestAnApronThatClaimsWhatItRunsItselfRunsItOnceAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	id := w.reach(a, service, "build")
	for term := 2; term <= 4; term++ {
		if err := w.store.ReleaseLeases(t.Context(), "test"); err != nil {
			t.Fatal(err)
		}
		w.eventually("it is claimed again and builds", func() bool {
			operation, err := w.store.OperationByID(t.Context(), id)
			w.mu.Lock()
			defer w.mu.Unlock()
			return err == nil && operation.LeaseTerm == term && w.calls["build"] == term+1 && w.at["build"] == 1
		})
	}
	w.mu.Lock()
	most := w.most["build"]
	w.mu.Unlock()
	if most != 1 {
		t.Errorf("%d builds of one operation ran at a time", most)
	}
	if _, err := a.starter.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if operation, _ := w.ended(id); operation.Status != platform.OperationStatusRollbackSucceeded {
		t.Errorf("the cancelled operation ended %s", operation.Status)
	}
}

// The store does not answer: not with an error either. The steps end before somebody else may have the lease.
func TestALeaseIsTrustedNoLongerThanItIsSure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	silent := &ice{Store: w.store, Backend: w}
	a := w.startAs("frozen", silent, w, shortLease)
	service := w.created(a, codeService())
	silent.freezeAt("renew", 0)
	begun := time.Now()
	w.reach(a, service, "build")
	w.eventually("the build ends", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.at["build"] == 0
	})
	if took := time.Since(begun); took >= shortLease {
		t.Errorf("the build went on for %s, with a lease of %s", took, shortLease)
	}
	close(silent.melted)
}

// deafStore keeps the end of an operation and does not say so once, as a connection that breaks at the commit.
type deafStore struct {
	store.Store
	once sync.Once
}

func (s *deafStore) SaveOperation(ctx context.Context, operation platform.Operation, edit func(*platform.Service)) error {
	err := s.Store.SaveOperation(ctx, operation, edit)
	if operation.Status.IsTerminal() {
		s.once.Do(func() { err = errors.Join(err, errAway) })
	}
	return err
}

func TestAnEndWhoseAnswerWasLostIsReportedAllTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.startAs("test", &deafStore{Store: w.store}, w, leaseFor)
	w.created(a, imageService())
	w.eventually("the end is in the event log", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.Contains(w.events, "Service creation completed successfully.")
	})
}

func TestAStepIsTriedAgainWhenTheFaultIsAprons(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"resolve", "fetch", "build", "start"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.failOnce[call] = errAway
			w.created(w.start(), codeService())
		})
	}
}

func TestAPanicAfterTheSwitchIsNoWayBack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind platform.OperationType
		call string
		want platform.ServiceStatus
		ends platform.OperationStatus
	}{
		{platform.OperationStartDeployment, "drain", platform.ServiceStatusRunning, platform.OperationStatusSucceeded},
		{platform.OperationPauseService, "drain", platform.ServiceStatusPaused, platform.OperationStatusSucceeded},
		{platform.OperationDeleteService, "drain", platform.ServiceStatusDeleteFailed, platform.OperationStatusFailed},
		{platform.OperationStartDeployment, "build", platform.ServiceStatusRunning, platform.OperationStatusRollbackSucceeded},
	} {
		t.Run(string(test.kind)+" during "+test.call, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.start()
			service := w.created(a, codeService())
			w.set(func() { w.panics[test.call] = true })
			operation, service := w.do(a, service, test.kind, nil)
			if operation.Status != test.ends || service.Status != test.want {
				t.Errorf("operation %s, service %s", operation.Status, service.Status)
			}
			if _, err := w.store.RevisionByID(t.Context(), service.ActiveRevisionID); err != nil {
				t.Errorf("the active revision: %v", err)
			}
		})
	}
}

// Whatever ends apron itself each time is left out in the end.
func TestAnOperationEndsThatEndsApronAfterItsSwitch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	id := w.reach(a, service, "drain")
	a.stop()
	for range 2 * maxClaims {
		if err := w.store.ReleaseLeases(t.Context(), "test"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.ClaimOperation(t.Context(), "test", time.Now(), time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	w.start()
	if operation, service := w.ended(id); operation.Status != platform.OperationStatusSucceeded || service.ActiveRevisionID != platform.RevisionIDFor(id) {
		t.Errorf("operation %s, revision %s", operation.Status, service.ActiveRevisionID)
	}
	w.set(func() { delete(w.hold, "drain") })
}

func TestADeletionThatIsCancelledBeforeItsSwitchLeavesTheServiceAsItWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start()
	service := w.created(a, imageService())
	a.stop()
	id := w.begin(a, service, platform.OperationDeleteService, nil)
	if _, err := a.starter.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	w.start()
	operation, after := w.ended(id)
	if operation.Status != platform.OperationStatusRollbackSucceeded || after.Status != platform.ServiceStatusRunning {
		t.Errorf("operation %s, service %s", operation.Status, after.Status)
	}
	if len(w.routeOf(service).Endpoints) != 1 {
		t.Error("it does not answer any more")
	}
}

// forgetfulStore keeps the switch and breaks then, for longer than the lease.
type forgetfulStore struct {
	store.Store
	once  sync.Once
	until atomic.Int64 // in nanoseconds
}

func (s *forgetfulStore) isAway() bool { return time.Now().UnixNano() < s.until.Load() }

func (s *forgetfulStore) SaveOperation(ctx context.Context, operation platform.Operation, edit func(*platform.Service)) error {
	if s.isAway() {
		return errAway
	}
	err := s.Store.SaveOperation(ctx, operation, edit)
	if operation.Progress.HasSwitched && operation.Previous != nil {
		s.once.Do(func() {
			s.until.Store(time.Now().Add(shortLease).UnixNano())
			err = errors.Join(err, errAway)
		})
	}
	return err
}

func (s *forgetfulStore) RenewLease(ctx context.Context, id platform.OperationID, term int, until time.Time) error {
	if s.isAway() {
		return errAway
	}
	return s.Store.RenewLease(ctx, id, term, until)
}

func TestTheRouteFollowsASwitchOfWhichNobodyWasTold(t *testing.T) {
	t.Parallel()
	for kind, want := range map[platform.OperationType]platform.RouteState{
		platform.OperationStartDeployment: platform.RouteStateServing,
		platform.OperationPauseService:    platform.RouteStatePaused,
		platform.OperationDeleteService:   "",
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.startAs("test", &forgetfulStore{Store: w.store}, w, shortLease)
			service := w.created(a, imageService())
			operation, service := w.do(a, service, kind, nil)
			if operation.Status != platform.OperationStatusSucceeded || operation.LeaseTerm < 2 {
				t.Fatalf("%s after %d claims: %+v", operation.Status, operation.LeaseTerm, operation.Failure)
			}
			route := w.routeOf(service)
			if route.State != want || want == platform.RouteStateServing && (route.RevisionID != service.ActiveRevisionID || len(route.Endpoints) != 1) {
				t.Errorf("the route is %+v", route)
			}
		})
	}
}

func TestADeletionThatGoesOnAfterARestartLeavesNoRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start()
	service := w.created(a, imageService())
	w.set(func() { w.hold["drain"] = make(chan struct{}) })
	id := w.begin(a, service, platform.OperationDeleteService, nil)
	w.eventually("it drains", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.at["drain"] > 0
	})
	a.stop()
	w.set(func() { delete(w.hold, "drain") })
	w.start()
	w.ended(id)
	if route := w.routeOf(service); route.State != "" {
		t.Errorf("the route of the deleted service is %+v", route)
	}
}
