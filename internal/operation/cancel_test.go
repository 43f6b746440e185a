package operation

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// reach begins a deployment that stays in a call, and returns it once it is there.
func (w *world) reach(a *apron, service platform.Service, call string) platform.OperationID {
	w.t.Helper()
	w.mu.Lock()
	before := w.calls[call]
	w.hold[call] = make(chan struct{})
	w.mu.Unlock()
	id := w.begin(a, service, platform.OperationStartDeployment, nil)
	w.eventually("the operation reaches "+call, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.calls[call] > before
	})
	return id
}

func TestACancelledOperationLeavesTheServiceAsItWas(t *testing.T) {
	for _, call := range []string{"resolve", "fetch", "build", "start", "probe"} {
		t.Run("during "+call, func(t *testing.T) {
			w := newWorld(t)
			a := w.start()
			service := w.created(a, codeService())
			before := w.routeOf(service)
			id := w.reach(a, service, call)
			asked := time.Now()
			if _, err := a.starter.Cancel(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			operation, after := w.ended(id)
			if took := time.Since(asked); took > 2*time.Second {
				t.Errorf("it took %s", took)
			}
			if operation.Status != platform.OperationStatusRollbackSucceeded || after.Status != platform.ServiceStatusRunning {
				t.Errorf("operation %s, service %s", operation.Status, after.Status)
			}
			if operation.Failure == nil || operation.Failure.Cause != errCancelled.Cause || len(operation.Failure.Evidence) > 0 {
				t.Errorf("the cause is %+v", operation.Failure)
			}
			if route := w.routeOf(service); route.RevisionID != before.RevisionID || after.ActiveRevisionID != service.ActiveRevisionID {
				t.Errorf("the route is of %s, before of %s", route.RevisionID, before.RevisionID)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.instances) != 1 {
				t.Errorf("%d instances remain, want the old one alone", len(w.instances))
			}
		})
	}
}

// From the switch on there is no going back: what is cancelled is the wait for old requests.
func TestAnOperationThatIsCancelledAfterTheSwitchFinishes(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	id := w.reach(a, service, "drain")
	if _, err := a.starter.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	operation, after := w.ended(id)
	if operation.Status != platform.OperationStatusSucceeded || after.ActiveRevisionID != platform.RevisionIDFor(id) {
		t.Errorf("operation %s, revision %s", operation.Status, after.ActiveRevisionID)
	}
	w.set(func() { delete(w.hold, "drain") })
}

func TestACancelledCreationHasFailed(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	w.set(func() { w.hold["pull"] = make(chan struct{}) })
	_, operation, err := a.starter.Create(t.Context(), imageService(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.starter.Cancel(t.Context(), operation.ID); err != nil {
		t.Fatal(err)
	}
	ended, service := w.ended(operation.ID)
	if ended.Status != platform.OperationStatusFailed || service.Status != platform.ServiceStatusCreateFailed {
		t.Errorf("operation %s, service %s", ended.Status, service.Status)
	}
	if _, err := a.starter.Cancel(t.Context(), operation.ID); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a second cancel: %v, want a conflict", err)
	}
}

// A cancel that comes while nobody runs the operation is not lost.
func TestAnOperationIsCancelledWhileApronIsDown(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	id := w.reach(a, service, "build")
	a.stop()
	w.set(func() { delete(w.hold, "build") })
	if _, err := a.starter.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	w.start()
	operation, _ := w.ended(id)
	cut := operation.Steps[len(operation.Steps)-2] // the last is what rolls back
	if operation.Status != platform.OperationStatusRollbackSucceeded || cut.State != platform.StepStateFailed {
		t.Errorf("the operation ended %s, with %q %s", operation.Status, cut.Name, cut.State)
	}
}

// An operation that nobody has begun is cancelled as one that runs.
func TestAnOperationIsCancelledBeforeItsWorkBegins(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	a.stop()
	id := w.begin(a, service, platform.OperationStartDeployment, nil)
	if _, err := a.starter.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	w.start()
	operation, after := w.ended(id)
	if operation.Status != platform.OperationStatusRollbackSucceeded || after.Status != platform.ServiceStatusRunning {
		t.Errorf("operation %s, service %s", operation.Status, after.Status)
	}
}

// A deletion is no exception: the service stays as it was.
func TestADeletionIsCancelledBeforeItsSwitch(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	before := w.routeOf(service)
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
	if route := w.routeOf(service); route.RevisionID != before.RevisionID {
		t.Errorf("the route is of %q, before of %q", route.RevisionID, before.RevisionID)
	}
}

// After its switch a deletion finishes, also when the cancel meets it while it looks what there is to drain.
func TestADeletionThatIsCancelledAfterItsSwitchFinishes(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	released := make(chan struct{})
	w.set(func() { w.hold["list"] = released })
	id := w.begin(a, service, platform.OperationDeleteService, nil)
	reaches := func(step string) {
		t.Helper()
		w.eventually("the operation reaches "+step, func() bool {
			operation, err := w.store.OperationByID(t.Context(), id)
			return err == nil && slices.ContainsFunc(operation.Steps, func(s platform.StepRecord) bool { return s.Name == step })
		})
	}
	reaches(stepDrain)
	if _, err := a.starter.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	w.eventually("the drain ends", func() bool {
		operation, err := w.store.OperationByID(t.Context(), id)
		return err == nil && (operation.Status.IsTerminal() || operation.Steps[len(operation.Steps)-1].Name != stepDrain)
	})
	close(released)
	if operation, after := w.ended(id); operation.Status != platform.OperationStatusSucceeded || after.Status != platform.ServiceStatusDeleted {
		t.Errorf("operation %s, service %s", operation.Status, after.Status)
	}
}

// An operation ends also when what it started cannot be removed.
func TestARollbackThatCannotRemoveTheNewInstancesEnds(t *testing.T) {
	w := newWorld(t)
	w.deadlines[rollback] = 300 * time.Millisecond
	a := w.start()
	service := w.created(a, codeService())
	w.set(func() { w.isSilent = true; w.fail["stop"] = errors.New("containerd does not answer") })
	operation, after := w.do(a, service, platform.OperationStartDeployment, nil)
	if operation.Status != platform.OperationStatusRollbackFailed || after.Status != platform.ServiceStatusRunning {
		t.Errorf("operation %s, service %s", operation.Status, after.Status)
	}
	w.set(func() { delete(w.fail, "stop"); w.isSilent = false })
	w.eventually("the new instance is removed all the same", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.instances) == 1
	})
}

// An operation whose work takes too long in all is stopped, however patient each of its steps is.
func TestAnOperationHasADeadlineInAll(t *testing.T) {
	const kind = platform.OperationStartDeployment
	w := newWorld(t)
	w.deadlines[nameOf(kind)] = 100 * time.Millisecond
	a := w.start()
	service := w.created(a, codeService())
	// In the first step: on a busy machine the time could be over before a later one.
	w.set(func() { w.hold["resolve"] = make(chan struct{}) })
	operation, after := w.do(a, service, kind, nil)
	if operation.Status != platform.OperationStatusRollbackSucceeded || after.Status != platform.ServiceStatusRunning {
		t.Errorf("operation %s, service %s", operation.Status, after.Status)
	}
	if want := `The operation took longer than 100ms in all and was stopped in the step "resolve".`; operation.Failure.Cause != want {
		t.Errorf("the cause is %q, want %q", operation.Failure.Cause, want)
	}
}

func TestDeadlinesAreSettings(t *testing.T) {
	deadlines := DefaultDeadlines()
	for _, wrong := range []string{"", "build", "build=", "build=10", "build=0s", "build=-1m", "biuld=1m"} {
		if err := deadlines.Set(wrong); err == nil || !strings.Contains(err.Error(), "deadline ") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := deadlines.Set("health-check=5m"); err != nil || deadlines.HealthCheck() != 5*time.Minute {
		t.Errorf("%s, %v", deadlines.HealthCheck(), err)
	}
	for _, kind := range []platform.OperationType{"CREATE_SERVICE", "START_DEPLOYMENT", "UPDATE_SERVICE", "PAUSE_SERVICE", "RESUME_SERVICE", "DELETE_SERVICE"} {
		for _, s := range append(roadFor(platform.Operation{Type: kind}, codeService()).before, roadFor(platform.Operation{Type: kind}, imageService()).after...) {
			if (&run{Worker: &Worker{deadlines: deadlines}}).deadlineOf(s) <= 0 || deadlines[nameOf(kind)] <= 0 {
				t.Errorf("%s, or its step %q, has no deadline", kind, s.name)
			}
		}
	}
}
