package operation

import (
	"testing"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// deployments returns the service's START_DEPLOYMENT operations, newest first.
func (w *world) deployments(service platform.Service) []platform.Operation {
	w.t.Helper()
	all, err := w.store.ListOperations(w.t.Context(), service.ID, store.OperationPage{})
	if err != nil {
		w.t.Fatal(err)
	}
	var deployments []platform.Operation
	for _, operation := range all {
		if operation.Type == platform.OperationStartDeployment {
			deployments = append(deployments, operation)
		}
	}
	return deployments
}

// deployed waits until so many deployments of the service have ended and none waits, and returns the newest.
func (w *world) deployed(service platform.Service, count int) platform.Operation {
	w.t.Helper()
	var deployments []platform.Operation
	w.eventually("the deployments end", func() bool {
		service, err := w.store.ServiceByID(w.t.Context(), service.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		deployments = w.deployments(service)
		return service.WaitingTrigger == "" && service.Status != platform.ServiceStatusOperationInProgress && len(deployments) >= count
	})
	if len(deployments) != count {
		w.t.Fatalf("%d deployments, want %d", len(deployments), count)
	}
	return append(deployments, platform.Operation{})[0]
}

func (w *world) ask(a *apron, service platform.Service, trigger platform.Trigger) {
	w.t.Helper()
	if err := a.starter.Ask(w.t.Context(), service.ID, platform.Wish{Trigger: trigger}); err != nil {
		w.t.Fatal(err)
	}
}

// release lets the calls go on that reach made wait.
func (w *world) release(call string) {
	w.set(func() {
		close(w.hold[call])
		delete(w.hold, call)
	})
}

func TestADeploymentThatIsAskedForBeginsAtOnce(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	w.ask(a, service, "push of main")
	operation := w.deployed(service, 1)
	if operation.Trigger != "push of main" || operation.Status != platform.OperationStatusSucceeded {
		t.Errorf("the deployment is %s, by %q", operation.Status, operation.Trigger)
	}
	if !w.hasEvent("Triggering event : SERVICE_DEPLOY") || !w.hasEvent("The deployment is automatic (push of main).") || w.hasEvent("A deployment waits") {
		t.Errorf("the events are %q", w.events)
	}
	if other, _ := w.do(a, service, platform.OperationStartDeployment, nil); other.Trigger != "" {
		t.Errorf("a deployment by a client has the trigger %q", other.Trigger)
	}
}

// However many pushes come during a deployment, one more follows, and it deploys the newest.
func TestPushesDuringADeploymentLeadToOneMore(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	first := w.reach(a, service, "build")
	for _, trigger := range []platform.Trigger{"push of one", "push of two", "push of three"} {
		w.ask(a, service, trigger)
	}
	const newest = "3333333333333333333333333333333333333333"
	w.set(func() { w.commit = newest })
	if !w.hasEvent("A deployment waits for the end of the running operation (push of three).") {
		t.Errorf("the events are %q", w.events)
	}
	w.release("build")
	second := w.deployed(service, 2)
	if second.ID == first || second.Trigger != "push of three" || second.Progress.Commit != newest {
		t.Errorf("the second deployment: %+v", second)
	}
}

// A deployment that has not looked yet what is newest finds it, and what is pushed back and forth meanwhile is not deployed twice.
func TestAPushThatTheRunningDeploymentFindsLeadsToNoOther(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	w.reach(a, service, "resolve")
	const newest = "3333333333333333333333333333333333333333"
	wish := platform.Wish{Trigger: "push of main", For: newest, Considered: platform.Change(service.Found, newest)}
	ask := func() {
		t.Helper()
		if err := a.starter.Ask(t.Context(), service.ID, wish); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	w.set(func() { w.commit = newest })
	w.release("resolve")
	w.deployed(service, 1)
	ask()
	if operation := w.deployed(service, 1); operation.Progress.Commit != newest {
		t.Errorf("it deployed %s", operation.Progress.Commit)
	}
	stored, err := w.store.ServiceByID(t.Context(), service.ID)
	if err != nil || stored.Found != newest || stored.Considered != wish.Considered {
		t.Errorf("the service has found %q, and considered is %q, %v", stored.Found, stored.Considered, err)
	}
}

// What was asked for is not lost with the process, whatever the process was at.
func TestADeploymentThatWaitsOutlivesARestart(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	w.reach(a, service, "build")
	w.ask(a, service, "push of main")
	a.stop()
	w.release("build")
	a = w.start()
	w.deployed(service, 2)
	a.stop()
	w.ask(a, service, "push of main") // as if apron had ended before it could begin
	w.start()
	w.deployed(service, 3)
}

func TestADeploymentWaitsUntilTheServiceIsResumed(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, imageService())
	w.do(a, service, platform.OperationPauseService, nil)
	w.ask(a, service, "push of app:latest")
	if !w.hasEvent("A deployment waits until the service is resumed (push of app:latest).") {
		t.Errorf("the events are %q", w.events)
	}
	if got := w.deployments(service); len(got) != 0 {
		t.Errorf("a paused service is deployed: %+v", got)
	}
	w.do(a, service, platform.OperationResumeService, nil)
	w.deployed(service, 1)
}

// A client's own deployment is the one that was waited for: it deploys the newest, too.
func TestADeploymentByAClientIsTheOneThatWaits(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	a.stop()
	w.ask(a, service, "push of main")
	w.begin(a, service, platform.OperationStartDeployment, nil)
	w.start()
	w.deployed(service, 1)
}

// A push may mend what made the creation fail.
func TestAServiceWhoseCreationFailedIsDeployedWhenThatIsAskedFor(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := failedCreation(w, a)
	w.ask(a, service, "push of app:latest")
	if operation := w.deployed(service, 1); operation.Status != platform.OperationStatusSucceeded {
		t.Errorf("it ended %s", operation.Status)
	}
}

func TestADeletedServiceWantsNoDeployment(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, imageService())
	w.set(func() { w.hold["drain"] = make(chan struct{}) })
	id := w.begin(a, service, platform.OperationDeleteService, nil)
	w.ask(a, service, "push of app:latest")
	w.release("drain")
	if operation, _ := w.ended(id); operation.Status != platform.OperationStatusSucceeded {
		t.Errorf("the deletion ended %s", operation.Status)
	}
	w.ask(a, service, "push of app:latest")
	w.deployed(service, 0)
}

// A wish is for one deployment, also when that fails.
func TestAFailedDeploymentIsNotTriedAgain(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	w.set(func() { w.fail["build"] = platform.Explain(nil, "The build failed.") })
	w.ask(a, service, "push of main")
	if operation := w.deployed(service, 1); operation.Status != platform.OperationStatusRollbackSucceeded {
		t.Errorf("it ended %s", operation.Status)
	}
}
