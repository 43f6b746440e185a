package operation

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

func codeService() platform.Service {
	configuration := platform.DefaultConfiguration()
	configuration.Source.Code = &platform.CodeSource{RepositoryURL: "https://git.test/app.git", Branch: "main", Directory: "/", UsesConfigurationFile: true}
	return newService("code", configuration)
}

func imageService() platform.Service {
	configuration := platform.DefaultConfiguration()
	configuration.Source.Image = &platform.ImageSource{Identifier: "registry.test/app:latest", RepositoryType: "ECR", Port: "8080"}
	return newService("image", configuration)
}

func newService(name string, configuration platform.Configuration) platform.Service {
	id := platform.NewServiceID()
	return platform.Service{
		ID: id, Name: name, ARN: "arn:aws:apprunner:us-east-1:000000000000:service/" + name + "/" + string(id),
		Subdomain: platform.NewSubdomain(), Configuration: configuration,
	}
}

// ended waits until the operation is terminal and returns it with its service.
func (w *world) ended(id platform.OperationID) (platform.Operation, platform.Service) {
	w.t.Helper()
	var operation platform.Operation
	w.eventually("the operation ends", func() bool {
		var err error
		if operation, err = w.store.OperationByID(w.t.Context(), id); err != nil {
			w.t.Fatal(err)
		}
		return operation.Status.IsTerminal()
	})
	service, err := w.store.ServiceByID(w.t.Context(), operation.ServiceID)
	if err != nil {
		w.t.Fatal(err)
	}
	return operation, service
}

func (w *world) eventually(what string, condition func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("did not happen in time: %s", what)
		}
	}
}

// created makes a service and waits until it runs.
func (w *world) created(a *apron, service platform.Service) platform.Service {
	w.t.Helper()
	_, operation, err := a.starter.Create(w.t.Context(), service, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	ended, service := w.ended(operation.ID)
	if ended.Status != platform.OperationStatusSucceeded || service.Status != platform.ServiceStatusRunning {
		w.t.Fatalf("create: operation %s, service %s, failure %+v", ended.Status, service.Status, ended.Failure)
	}
	return service
}

func (w *world) begin(a *apron, service platform.Service, kind platform.OperationType, change func(*platform.Service) error) platform.OperationID {
	w.t.Helper()
	_, operation, err := a.starter.Start(w.t.Context(), service.ID, kind, change)
	if err != nil {
		w.t.Fatal(err)
	}
	return operation.ID
}

func (w *world) do(a *apron, service platform.Service, kind platform.OperationType, change func(*platform.Service) error) (platform.Operation, platform.Service) {
	w.t.Helper()
	return w.ended(w.begin(a, service, kind, change))
}

func (w *world) routeOf(service platform.Service) platform.Route {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.routes[service.ID]
}

func stepNames(operation platform.Operation) string {
	var names []string
	for _, record := range operation.Steps {
		names = append(names, record.Name)
	}
	return strings.Join(names, ", ")
}

func TestAServiceGoesThroughItsLife(t *testing.T) {
	for _, test := range []struct {
		name    string
		service platform.Service
		acquire string
	}{
		{"from code", codeService(), "resolve, fetch, build"},
		{"from an image", imageService(), "resolve, pull"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			a := w.start()
			service := w.created(a, test.service)
			first := service.ActiveRevisionID
			if route := w.routeOf(service); route.State != platform.RouteStateServing || len(route.Endpoints) != 1 {
				t.Fatalf("route after the creation: %+v", route)
			}

			deployment, service := w.do(a, service, platform.OperationStartDeployment, nil)
			if got, want := stepNames(deployment), test.acquire+", start instances, health check, switch traffic, drain, stop instances"; got != want {
				t.Errorf("steps of a deployment: got %s, want %s", got, want)
			}
			if service.ActiveRevisionID == first {
				t.Error("a deployment made no new revision")
			}
			w.eventually("the old instance leaves", func() bool {
				all, _ := w.List(t.Context())
				return len(all) == 1 && all[0].RevisionID == service.ActiveRevisionID
			})

			_, service = w.do(a, service, platform.OperationPauseService, nil)
			if service.Status != platform.ServiceStatusPaused || w.routeOf(service).State != platform.RouteStatePaused {
				t.Errorf("after the pause: status %s, route %+v", service.Status, w.routeOf(service))
			}
			if all, _ := w.List(t.Context()); len(all) != 0 {
				t.Errorf("%d instances run while paused", len(all))
			}

			paused := service.ActiveRevisionID
			resumption, service := w.do(a, service, platform.OperationResumeService, nil)
			if service.Status != platform.ServiceStatusRunning || service.ActiveRevisionID != paused {
				t.Errorf("after the resumption: status %s, revision %s instead of %s", service.Status, service.ActiveRevisionID, paused)
			}
			if got, want := stepNames(resumption), "start instances, health check, switch traffic"; got != want {
				t.Errorf("steps of a resumption: got %s, want %s", got, want)
			}

			update, service := w.do(a, service, platform.OperationUpdateService, func(s *platform.Service) error {
				s.Configuration.Instance.CPUUnits = 2048
				return nil
			})
			if got, want := stepNames(update), "reuse image, start instances, health check, switch traffic, drain, stop instances"; got != want {
				t.Errorf("steps of an update of the size: got %s, want %s", got, want)
			}
			if service.Configuration.Instance.CPUUnits != 2048 {
				t.Errorf("CPU after the update: %d", service.Configuration.Instance.CPUUnits)
			}

			_, service = w.do(a, service, platform.OperationDeleteService, nil)
			if service.Status != platform.ServiceStatusDeleted || service.DeletedAt == nil {
				t.Errorf("after the deletion: status %s, deleted at %v", service.Status, service.DeletedAt)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.instances)+len(w.images)+len(w.routes) != 0 {
				t.Errorf("left behind: %d instances, %d images, %d routes", len(w.instances), len(w.images), len(w.routes))
			}
		})
	}
}

func TestAnOperationOnABusyServiceIsRefused(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, imageService())
	release := make(chan struct{})
	w.set(func() { w.hold["pull"] = release })
	running := w.begin(a, service, platform.OperationStartDeployment, nil)

	for kind := range allowedStatuses {
		_, _, err := a.starter.Start(t.Context(), service.ID, kind, nil)
		var status *store.StatusError
		if !errors.As(err, &status) || status.Status != platform.ServiceStatusOperationInProgress {
			t.Errorf("%s during a deployment: got %v, want a refusal that names the status", kind, err)
		}
	}
	close(release)
	if operation, _ := w.ended(running); operation.Status != platform.OperationStatusSucceeded {
		t.Errorf("the running deployment ended %s", operation.Status)
	}
}

func TestAFailureBeforeTheSwitchChangesNothing(t *testing.T) {
	explained := platform.Explain(errors.New("x"), "The branch main does not exist.").WithEvidence("fatal: no such ref")
	for _, test := range []struct {
		name      string
		fail      func(w *world)
		wantCause string
	}{
		{"a branch that does not exist", func(w *world) { w.fail["resolve"] = explained }, "The branch main does not exist."},
		{"a fetch that breaks", func(w *world) { w.fail["fetch"] = explained }, "The branch main does not exist."},
		{"a build that breaks", func(w *world) { w.fail["build"] = explained }, "The branch main does not exist."},
		{"an instance that does not start", func(w *world) { w.fail["start"] = explained }, "The branch main does not exist."},
		{"an app that exits", func(w *world) { w.exits = &platform.Exit{Code: 3} }, "ended with exit code 3; "},
		{"an app that is out of memory", func(w *world) { w.exits = &platform.Exit{Code: 137, IsOutOfMemory: true} }, "more than its 2048 MB of memory"},
		{"an app that listens on no port", func(w *world) { w.isSilent = true; w.lines["app"] = []string{"starting", "waiting for a database"} },
			"The application listened on no port: nothing answered on 8080 within 0.3 s; its last output was \"waiting for a database\"."},
		{"a reason of apron's own", func(w *world) { w.fail["build"] = errors.New("socket gone, password=hunter2") }, "for a reason that is apron's own"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			a := w.start()
			service := w.created(a, codeService())
			before := w.routeOf(service)
			w.set(func() { test.fail(w) })
			operation, after := w.do(a, service, platform.OperationUpdateService, func(s *platform.Service) error {
				s.Configuration.Source.Code.Branch = "next"
				return nil
			})
			if operation.Status != platform.OperationStatusRollbackSucceeded || after.Status != platform.ServiceStatusRunning {
				t.Fatalf("operation %s, service %s", operation.Status, after.Status)
			}
			if after.Configuration.Source.Code.Branch != "main" {
				t.Errorf("the configuration was not restored: branch %s", after.Configuration.Source.Code.Branch)
			}
			if operation.Failure == nil || !strings.Contains(operation.Failure.Cause, test.wantCause) {
				t.Errorf("cause: got %+v, want %q in it", operation.Failure, test.wantCause)
			}
			if strings.Contains(operation.Failure.Cause, "hunter2") {
				t.Error("the cause holds what nobody explained")
			}
			route := w.routeOf(service)
			if route.RevisionID != before.RevisionID || !slices.Equal(route.Endpoints, before.Endpoints) {
				t.Errorf("the route was touched: %+v, before %+v", route, before)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.instances) != 1 {
				t.Errorf("%d instances remain, want the old one alone", len(w.instances))
			}
		})
	}
}

func TestTheEvidenceIsWhatTheFailedStepPrinted(t *testing.T) {
	for _, test := range []struct {
		name string
		fail func(w *world)
		want []string
	}{
		{"nothing was printed", func(w *world) { w.fail["resolve"] = platform.Explain(nil, "The branch main does not exist.") }, nil},
		{"the build breaks", func(w *world) { w.fail["build"] = errors.New("socket gone") }, []string{"compile", "link"}},
		{"the app ends without a word after a build", func(w *world) { w.exits = &platform.Exit{Code: 3} }, nil},
		{"the app prints", func(w *world) { w.exits, w.lines["app"] = &platform.Exit{Code: 3}, []string{"no database"} }, []string{"no database"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			a := w.start()
			w.set(func() { w.lines["build"] = []string{"compile", "link"}; test.fail(w) })
			_, operation, err := a.starter.Create(t.Context(), codeService(), nil)
			if err != nil {
				t.Fatal(err)
			}
			ended, _ := w.ended(operation.ID)
			if ended.Failure == nil || !slices.Equal(ended.Failure.Evidence, test.want) {
				t.Errorf("the failure is %+v, want the evidence %q", ended.Failure, test.want)
			}
		})
	}
}

func TestAFirstDeploymentSaysNothingOfInstancesThatLeave(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	_, operation, err := a.starter.Create(t.Context(), imageService(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ended, service := w.ended(operation.ID)
	detail := func(operation platform.Operation) string { return operation.Steps[len(operation.Steps)-1].Detail }
	if got := detail(ended); got != "" {
		t.Errorf("the last step of a creation says %q", got)
	}
	again, _ := w.do(a, service, platform.OperationStartDeployment, nil)
	if got := detail(again); got != "1 instance leaving" {
		t.Errorf("the last step of a deployment says %q", got)
	}
}

func TestAFailedCreationCanBeMendedByAnUpdateOrDeleted(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	w.set(func() { w.exits = &platform.Exit{Code: 1} })
	_, operation, err := a.starter.Create(t.Context(), imageService(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ended, service := w.ended(operation.ID)
	if ended.Status != platform.OperationStatusFailed || service.Status != platform.ServiceStatusCreateFailed {
		t.Fatalf("operation %s, service %s", ended.Status, service.Status)
	}
	w.set(func() { w.exits = nil })
	if ended, service = w.do(a, service, platform.OperationUpdateService, nil); service.Status != platform.ServiceStatusRunning {
		t.Fatalf("after an update without a change: operation %s, service %s", ended.Status, service.Status)
	}
}

// Whoever asks a service that is being created is told to wait, and no longer once that has failed; also after a restart.
func TestAServiceSaysThatItIsStartingForAsLongAsItIs(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	pulled := make(chan struct{})
	w.set(func() { w.hold["pull"], w.exits = pulled, &platform.Exit{Code: 1} })
	service, operation, err := a.starter.Create(t.Context(), imageService(), nil)
	if err != nil {
		t.Fatal(err)
	}
	isStarting := func() bool { return w.routeOf(service).State == platform.RouteStateStarting }
	w.eventually("the service says that it is starting", isStarting)
	a.stop()
	w.set(func() { clear(w.routes) })
	a = w.start()
	w.eventually("it says so after a restart", isStarting)
	close(pulled)
	if ended, _ := w.ended(operation.ID); ended.Status != platform.OperationStatusFailed {
		t.Fatalf("the operation ended as %s", ended.Status)
	}
	for range 2 {
		if route := w.routeOf(service); route.State != "" {
			t.Errorf("the creation failed, and the route says %s", route.State)
		}
		a.stop()
		a = w.start()
	}
}

func TestAnInstanceThatDiesIsReplaced(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, imageService())
	dead := w.routeOf(service).Endpoints[0].InstanceID
	w.set(func() {
		w.die(dead, &platform.Exit{Code: 2})
	})
	w.eventually("another instance answers", func() bool {
		endpoints := w.routeOf(service).Endpoints
		return len(endpoints) == 1 && endpoints[0].InstanceID != dead
	})
}

// Instances may take minutes to leave: for the requests that they still have, and for an app that does not end when it is
// asked to. Nothing else of the service waits for that.
func TestAnInstanceIsReplacedWhileAnotherLeaves(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := imageService()
	service.Configuration.HealthCheck.IntervalSeconds, service.Configuration.HealthCheck.UnhealthyThreshold = 1, 1
	service = w.created(a, service)
	sick := w.routeOf(service).Endpoints[0].InstanceID
	leave := make(chan struct{})
	w.set(func() { w.hold["drain"], w.isSilent = leave, true })
	w.eventually("the sick instance leaves", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.calls["drain"] > 0
	})
	w.set(func() { w.isSilent = false })
	var second platform.InstanceID
	w.eventually("another instance answers", func() bool {
		endpoints := w.routeOf(service).Endpoints
		if len(endpoints) == 1 {
			second = endpoints[0].InstanceID
		}
		return second != "" && second != sick
	})
	w.set(func() {
		w.die(second, &platform.Exit{Code: 2})
	})
	w.eventually("a third answers, while the first still leaves", func() bool {
		endpoints := w.routeOf(service).Endpoints
		return len(endpoints) == 1 && endpoints[0].InstanceID != second
	})
	if _, err := w.Inspect(t.Context(), sick); err != nil {
		t.Errorf("the sick instance was stopped before its requests ended: %v", err)
	}
	close(leave)
	w.eventually("only the third is left", func() bool {
		all, _ := w.List(t.Context())
		return len(all) == 1
	})
}

// An app may take a minute until it listens, or never listen. Nothing else of the service waits for that.
func TestAnInstanceIsReplacedWhileAnotherIsNotReady(t *testing.T) {
	w := newWorld(t)
	w.healthTimeout = time.Minute
	a := w.start()
	service := imageService()
	service.Configuration.AutoScaling.MinSize = 2
	service = w.created(a, service)
	end := func(id platform.InstanceID) {
		w.set(func() {
			w.die(id, &platform.Exit{Code: 2})
		})
	}
	first, second := w.routeOf(service).Endpoints[0].InstanceID, w.routeOf(service).Endpoints[1].InstanceID
	w.set(func() { w.startsSilent = true })
	end(first)
	w.eventually("a replacement runs that does not listen", func() bool {
		_, err := w.Inspect(t.Context(), first)
		all, _ := w.List(t.Context())
		return errors.Is(err, compute.ErrNotFound) && len(all) == 2
	})
	w.set(func() { w.startsSilent = false })
	end(second)
	w.eventually("the other instance is replaced meanwhile", func() bool {
		endpoints := w.routeOf(service).Endpoints
		return len(endpoints) == 1 && endpoints[0].InstanceID != second
	})
	w.set(func() { clear(w.silent) })
	w.eventually("both answer", func() bool { return len(w.routeOf(service).Endpoints) == 2 })
	if all, _ := w.List(t.Context()); len(all) != 2 {
		t.Errorf("%d instances run, want 2", len(all))
	}
}

func TestAnOperationGoesOnAfterARestart(t *testing.T) {
	for _, at := range []string{"resolve", "fetch", "build", "start", "probe", "drain"} {
		t.Run("stopped during "+at, func(t *testing.T) {
			w := newWorld(t)
			a := w.start()
			service := w.created(a, codeService())
			id := w.reach(a, service, at)
			a.stop()
			if operation, err := w.store.OperationByID(t.Context(), id); err != nil || operation.Status.IsTerminal() {
				t.Fatalf("after the stop: %v, %v", operation.Status, err)
			}
			w.set(func() { delete(w.hold, at) })
			w.start()
			operation, service := w.ended(id)
			if operation.Status != platform.OperationStatusSucceeded || service.Status != platform.ServiceStatusRunning {
				t.Fatalf("operation %s, service %s, failure %+v", operation.Status, service.Status, operation.Failure)
			}
			w.eventually("one instance of the new revision answers alone", func() bool {
				all, _ := w.List(t.Context())
				route := w.routeOf(service)
				return len(all) == 1 && len(route.Endpoints) == 1 && route.Endpoints[0].InstanceID == all[0].ID &&
					all[0].RevisionID == platform.RevisionIDFor(id)
			})
		})
	}
}
