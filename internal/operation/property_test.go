package operation

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// propertiesFor bounds the stories, each of which writes to a disk that other tests use too.
const propertiesFor = 5 * time.Second

// trouble is what happens to one operation.
type trouble struct {
	kind platform.OperationType
	// call is where it happens, and what is what: "" is nothing.
	call, what string
}

var (
	troubleCalls = []string{"resolve", "fetch", "build", "pull", "start", "probe", "drain", "stop"}
	troubleKinds = []string{"", "fails", "fails once", "is cancelled", "is cut off", "is cut off and cancelled", "panics"}
)

func drawTroubles(t *rapid.T) (isCode bool, troubles []trouble) {
	kinds := []platform.OperationType{
		platform.OperationStartDeployment, platform.OperationUpdateService, platform.OperationPauseService,
		platform.OperationResumeService, platform.OperationDeleteService,
	}
	for range rapid.IntRange(1, 5).Draw(t, "operations") {
		troubles = append(troubles, trouble{
			rapid.SampledFrom(kinds).Draw(t, "kind"), rapid.SampledFrom(troubleCalls).Draw(t, "call"), rapid.SampledFrom(troubleKinds).Draw(t, "trouble"),
		})
	}
	troubles[0].kind = platform.OperationCreateService
	return rapid.Bool().Draw(t, "code"), troubles
}

// Every operation ends, whatever step of it fails, hangs, panics, is cancelled or cut off by a restart, and leaves the service
// in one of the states that it may.
func TestEveryOperationEndsWhereItMay(t *testing.T) {
	begun := time.Now()
	stories := 0
	defer func() { t.Logf("%d stories", stories) }()
	rapid.Check(t, func(rt *rapid.T) {
		isCode, troubles := drawTroubles(rt)
		if time.Since(begun) > propertiesFor {
			return
		}
		var problem string
		stories++
		synctest.Test(t, func(t *testing.T) { problem = tell(t, isCode, troubles) })
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

// tell lets the operations happen one after the other, each with its trouble, and says what is wrong then.
func tell(t *testing.T, isCode bool, troubles []trouble) string {
	w := newWorld(t)
	a := w.start()
	service := imageService()
	if isCode {
		service = codeService()
	}
	for _, each := range troubles {
		before, isCut := service.Status, each.what == "is cut off" || each.what == "is cut off and cancelled"
		kind := each.kind
		hold := make(chan struct{})
		w.set(func() {
			switch each.what {
			case "fails":
				w.fail[each.call] = platform.Explain(nil, "The test wants it.")
			case "fails once":
				w.failOnce[each.call] = errAway
			case "panics":
				// The others are called elsewhere too, where a panic ends apron.
				w.panics[each.call] = slices.Contains([]string{"resolve", "fetch", "build", "pull", "drain"}, each.call)
			case "is cancelled", "is cut off", "is cut off and cancelled":
				w.hold[each.call] = hold
			}
		})
		var operation platform.Operation
		var err error
		if kind == platform.OperationCreateService {
			service, operation, err = a.starter.Create(t.Context(), service, nil)
		} else {
			_, operation, err = a.starter.Start(t.Context(), service.ID, kind, nil)
		}
		if isAllowed := kind == platform.OperationCreateService || slices.Contains(allowedStatuses[kind], before); isAllowed != (err == nil) {
			return fmt.Sprintf("%s of a service that is %s: %v", kind, before, err)
		}
		if err == nil {
			time.Sleep(time.Second) // it is where it is held, or has ended, or waits until an instance is ready
			synctest.Wait()
			if isCut {
				a.stop()
			}
			if each.what == "is cancelled" || each.what == "is cut off and cancelled" {
				if _, err := a.starter.Cancel(t.Context(), operation.ID); err != nil && !isEnded(t, w, operation.ID) {
					return fmt.Sprintf("cancel: %v", err)
				}
			}
			if isCut {
				w.set(func() { delete(w.hold, each.call) })
				a = w.start()
			}
			var problem string
			if operation, service, problem = settled(t, w, operation.ID); problem == "" {
				problem = judge(operation, service, before)
			}
			if problem != "" {
				return fmt.Sprintf("%+v: %s; steps: %s", each, problem, stepNames(operation))
			}
		}
		w.set(func() {
			delete(w.fail, each.call)
			delete(w.failOnce, each.call)
			delete(w.panics, each.call)
			delete(w.hold, each.call)
			close(hold)
		})
		time.Sleep(100 * time.Second) // the Supervisor's, also after some failures
		synctest.Wait()
		if problem := rest(w, service); problem != "" {
			return fmt.Sprintf("%+v: %s", each, problem)
		}
	}
	a.stop()
	return ""
}

func isEnded(t *testing.T, w *world, id platform.OperationID) bool {
	operation, err := w.store.OperationByID(t.Context(), id)
	return err == nil && operation.Status.IsTerminal()
}

// settled waits for the end of an operation, which no deadline is longer than.
func settled(t *testing.T, w *world, id platform.OperationID) (operation platform.Operation, service platform.Service, problem string) {
	for range 2 * 3600 {
		if isEnded(t, w, id) {
			break
		}
		time.Sleep(time.Second)
	}
	operation, err := w.store.OperationByID(t.Context(), id)
	if err != nil {
		return operation, service, err.Error()
	}
	if service, err = w.store.ServiceByID(t.Context(), operation.ServiceID); err != nil {
		return operation, service, err.Error()
	}
	if !operation.Status.IsTerminal() {
		return operation, service, fmt.Sprintf("after two hours it is %s", operation.Status)
	}
	if all, err := w.store.ListOperations(t.Context(), service.ID, store.OperationPage{}); err != nil || all[0].ID != id {
		return operation, service, fmt.Sprintf("it is not the newest: %v", err)
	}
	return operation, service, ""
}

// judge says whether an operation and its service may have come to this end.
func judge(operation platform.Operation, service platform.Service, before platform.ServiceStatus) string {
	succeeded := map[platform.OperationType]platform.ServiceStatus{
		platform.OperationPauseService: platform.ServiceStatusPaused, platform.OperationDeleteService: platform.ServiceStatusDeleted,
	}
	want, hasFailed := platform.ServiceStatusRunning, operation.Failure != nil
	switch operation.Status {
	case platform.OperationStatusSucceeded:
		if other, ok := succeeded[operation.Type]; ok {
			want = other
		}
		if hasFailed {
			return "it succeeded and has a failure"
		}
	case platform.OperationStatusFailed:
		want = platform.ServiceStatusCreateFailed
		if operation.Type == platform.OperationDeleteService {
			want = platform.ServiceStatusDeleteFailed
		} else if operation.Type != platform.OperationCreateService && before != platform.ServiceStatusCreateFailed {
			return "it failed and was not rolled back"
		}
	default:
		want = before
		if operation.Progress.HasSwitched {
			return "it was rolled back after its switch"
		}
	}
	switch {
	case service.Status != want:
		return fmt.Sprintf("it is %s and the service %s, which was %s", operation.Status, service.Status, before)
	case operation.Status != platform.OperationStatusSucceeded && (!hasFailed || operation.Failure.Cause == ""):
		return fmt.Sprintf("it is %s without a cause", operation.Status)
	case operation.EndedAt == nil:
		return "it has no end"
	}
	return ""
}

// rest says what is wrong with a service with which nothing happens.
func rest(w *world, service platform.Service) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	route, running := w.routes[service.ID], 0
	for _, instance := range w.instances {
		if instance.RevisionID != service.ActiveRevisionID || !service.IsServing {
			return fmt.Sprintf("an instance of %s is left, and the service, %s, has %s", instance.RevisionID, service.Status, service.ActiveRevisionID)
		}
		running++
	}
	want := map[platform.ServiceStatus]platform.RouteState{
		platform.ServiceStatusRunning: platform.RouteStateServing, platform.ServiceStatusPaused: platform.RouteStatePaused,
	}[service.Status]
	if service.Status == platform.ServiceStatusDeleteFailed {
		return "" // it answers or not: its deletion may have failed on either side of the switch
	}
	if route.State != want || service.IsServing != (want == platform.RouteStateServing) {
		return fmt.Sprintf("the service is %s (serving: %v), and its route %q", service.Status, service.IsServing, route.State)
	}
	if service.IsServing && (running < 1 || len(route.Endpoints) < 1 || route.RevisionID != service.ActiveRevisionID) {
		return fmt.Sprintf("the service has %d instances, %d of them answer", running, len(route.Endpoints))
	}
	return ""
}
