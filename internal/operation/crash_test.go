package operation

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// apron ends between the transaction of the switch and the route.
func TestAnOperationThatEndedInItsSwitchLeavesNoStepRunning(t *testing.T) {
	for _, kind := range []platform.OperationType{platform.OperationStartDeployment, platform.OperationPauseService, platform.OperationDeleteService} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t)
			a := w.start()
			service := w.created(a, imageService())
			w.set(func() { w.hold["flush"] = make(chan struct{}); delete(w.calls, "flush") })
			id := w.begin(a, service, kind, nil)
			w.eventually("the route is waited for", func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.calls["flush"] > 0
			})
			a.stop()
			w.set(func() { delete(w.hold, "flush") })
			w.start()
			operation, _ := w.ended(id)
			for _, step := range operation.Steps {
				if step.State != platform.StepStateSucceeded || step.EndedAt == nil {
					t.Errorf("the step %q is %s in an operation that is %s", step.Name, step.State, operation.Status)
				}
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if route, hasRoute := w.routes[service.ID]; hasRoute && kind == platform.OperationDeleteService {
				t.Errorf("the deleted service has the route %+v", route)
			}
		})
	}
}

// apron ends in the middle of the removal of what a failed creation had made, and the creation is run again.
func TestACreationFailsForTheSameReasonAfterARestart(t *testing.T) {
	w := newWorld(t)
	w.exits = &platform.Exit{Code: 3}
	a := w.start()
	w.set(func() { w.hold["remove"] = make(chan struct{}) })
	service, operation, err := a.starter.Create(t.Context(), imageService(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("the image is removed", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.calls["remove"] > 0
	})
	a.stop()
	w.set(func() { delete(w.hold, "remove") })
	w.start()
	ended, _ := w.ended(operation.ID)
	if ended.Status != platform.OperationStatusFailed || !strings.Contains(ended.Failure.Cause, "ended with exit code 3") {
		t.Errorf("the creation of %s ended %s: %+v", service.Name, ended.Status, ended.Failure)
	}
}

// tellingStore looks what was told when an operation's end is saved.
type tellingStore struct {
	store.Store
	w    *world
	told chan []string
}

func (s *tellingStore) SaveOperation(ctx context.Context, operation platform.Operation, edit func(*platform.Service)) error {
	if operation.Status.IsTerminal() {
		s.w.mu.Lock()
		s.told <- slices.Clone(s.w.events)
		s.w.mu.Unlock()
	}
	return s.Store.SaveOperation(ctx, operation, edit)
}

// apron may end right after the record of an operation's end, which nobody then takes up again.
func TestTheEndOfAnOperationIsToldWhenItIsRecorded(t *testing.T) {
	w := newWorld(t)
	telling := &tellingStore{Store: w.store, w: w, told: make(chan []string, 2)}
	w.store = telling
	a := w.start()
	service := w.created(a, imageService())
	w.set(func() { w.isSilent = true })
	w.do(a, service, platform.OperationStartDeployment, nil)
	for _, want := range []string{"Service creation completed successfully.", "Deployment failed. The previous version goes on serving."} {
		if told := <-telling.told; !slices.Contains(told, want) {
			t.Errorf("%q is not among what is told: %q", want, told)
		}
	}
}
