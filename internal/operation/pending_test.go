package operation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
)

// waiting begins the creation of a service that waits for its build.
func (w *world) waiting(a *apron, name string) platform.OperationID {
	w.t.Helper()
	service := codeService()
	service.Name = name
	_, operation, err := a.starter.Create(w.t.Context(), service, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.eventually(name+" waits", func() bool { return w.detailOf(operation.ID) != "" })
	return operation.ID
}

// detailOf is what the operation says of its place in the queue; "" when it does not wait.
func (w *world) detailOf(id platform.OperationID) string {
	w.t.Helper()
	operation, err := w.store.OperationByID(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(operation.Steps) != 1 || operation.Steps[0].Name != stepQueue || operation.Status != platform.OperationStatusPending {
		return ""
	}
	return operation.Steps[0].Detail
}

func (w *world) hasEvent(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.events, func(event string) bool { return strings.Contains(event, text) })
}

func TestMoreBuildsThanMayRunArePending(t *testing.T) {
	w := newWorld(t)
	w.builds = 1
	a := w.start()
	service, image := w.created(a, codeService()), w.created(a, imageService())
	building := w.reach(a, service, "build")
	var ids []platform.OperationID
	for n := range maxRunning + 2 {
		ids = append(ids, w.waiting(a, fmt.Sprintf("service-%02d", n)))
	}
	for n, id := range ids[:3] {
		if got, want := w.detailOf(id), fmt.Sprintf("place %d in the queue of builds", n+1); got != want {
			t.Errorf("the operation says %q, want %q", got, want)
		}
	}
	if !w.hasEvent("Waiting for other builds; place 3 in the queue.") {
		t.Error("no event tells the place")
	}

	// They hold up nothing that does not build.
	for _, kind := range []platform.OperationType{"START_DEPLOYMENT", "PAUSE_SERVICE", "DELETE_SERVICE"} {
		if operation, _ := w.do(a, image, kind, nil); operation.Status != platform.OperationStatusSucceeded {
			t.Errorf("%s ended %s", kind, operation.Status)
		}
	}

	// One that is cancelled ends at once, and those behind it move up.
	if _, err := a.starter.Cancel(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	cancelled, after := w.ended(ids[0])
	if cancelled.Status != platform.OperationStatusFailed || after.Status != platform.ServiceStatusCreateFailed || cancelled.Failure.Step != stepQueue {
		t.Errorf("a cancelled creation: operation %s, service %s, failure %+v", cancelled.Status, after.Status, cancelled.Failure)
	}
	w.eventually("the next one moves up", func() bool { return w.detailOf(ids[1]) == "place 1 in the queue of builds" })

	// After a restart the one that builds goes on, and the others wait in the order in which they began.
	a.stop()
	w.set(func() { w.built = nil })
	w.start()
	w.eventually("the build goes on", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.built) > 0
	})
	w.release("build")
	want := []string{service.Name}
	for n, id := range ids[1:] {
		operation, _ := w.ended(id)
		if operation.Status != platform.OperationStatusSucceeded {
			t.Errorf("%s ended %s: %+v", id, operation.Status, operation.Failure)
		}
		want = append(want, fmt.Sprintf("service-%02d", n+1))
	}
	if operation, _ := w.ended(building); operation.Status != platform.OperationStatusSucceeded {
		t.Errorf("the one that built ended %s", operation.Status)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.built); diff != "" {
		t.Errorf("the order of builds (-want +got):\n%s", diff)
	}
}

// A deployment that waits is rolled back when it is cancelled.
func TestADeploymentThatWaitsForItsBuildIsCancelled(t *testing.T) {
	w := newWorld(t)
	w.builds = 1
	a := w.start()
	other := codeService()
	other.Name = "other"
	first, second := w.created(a, codeService()), w.created(a, other)
	w.reach(a, first, "build")
	id := w.begin(a, second, platform.OperationStartDeployment, nil)
	w.eventually("it waits", func() bool { return w.detailOf(id) != "" })
	if _, err := a.starter.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	operation, service := w.ended(id)
	if operation.Status != platform.OperationStatusRollbackSucceeded || service.Status != platform.ServiceStatusRunning {
		t.Errorf("operation %s, service %s", operation.Status, service.Status)
	}
	if steps := stepNames(operation); steps != stepQueue+", "+stepRollBack || operation.Steps[0].State != platform.StepStateFailed {
		t.Errorf("its steps are %+v", operation.Steps)
	}
}

// The time that an operation waits for its build is no part of its deadlines.
func TestNoDeadlineCountsInTheQueue(t *testing.T) {
	const deadline = time.Second
	w := newWorld(t)
	w.builds = 1
	a := w.start()
	service := w.created(a, codeService())
	a.stop()
	w.deadlines[nameOf(platform.OperationCreateService)] = deadline
	a = w.start()
	w.reach(a, service, "build")
	id := w.waiting(a, "patient")
	begun := time.Now()
	w.eventually("the deadline would be over", func() bool { return time.Since(begun) > deadline })
	w.release("build")
	operation, _ := w.ended(id)
	if had := operation.EndedAt.Sub(*operation.Steps[0].EndedAt); operation.Status != platform.OperationStatusSucceeded && had < deadline {
		t.Errorf("it ended %s after %s of its %s: %+v", operation.Status, had, deadline, operation.Failure)
	}
}

// The turn of a build ends with the build: health checks and drains hold up nobody's.
func TestABuildBeginsWhileAnotherDeploymentDrains(t *testing.T) {
	w := newWorld(t)
	w.builds = 1
	a := w.start()
	other := codeService()
	other.Name = "other"
	first, second := w.created(a, codeService()), w.created(a, other)
	w.reach(a, first, "drain")
	release := w.hold["drain"]
	w.set(func() { delete(w.hold, "drain") })
	if operation, _ := w.do(a, second, platform.OperationStartDeployment, nil); operation.Status != platform.OperationStatusSucceeded {
		t.Errorf("it ended %s", operation.Status)
	}
	close(release)
}
