package operation

import (
	"errors"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// Every status but DELETED has a way on.
func TestWhatEachStatusAllows(t *testing.T) {
	const (
		update, deployment, pause = platform.OperationUpdateService, platform.OperationStartDeployment, platform.OperationPauseService
		resume, deletion          = platform.OperationResumeService, platform.OperationDeleteService
		running, paused, deleted  = platform.ServiceStatusRunning, platform.ServiceStatusPaused, platform.ServiceStatusDeleted
	)
	broken := errors.New("broken")
	fails := func(w *world, a *apron, service platform.Service, call string, kind platform.OperationType) platform.Service {
		w.set(func() { w.fail[call] = broken })
		_, service = w.do(a, service, kind, nil)
		w.set(func() { delete(w.fail, call) })
		return service
	}
	created := func(w *world, a *apron) platform.Service { return w.created(a, imageService()) }
	for _, test := range []struct {
		name   string
		reach  func(w *world, a *apron) platform.Service
		status platform.ServiceStatus
		// leads says which status an operation leads to; one that is not there is refused.
		leads map[platform.OperationType]platform.ServiceStatus
	}{
		{"that runs", created, running, map[platform.OperationType]platform.ServiceStatus{
			update: running, deployment: running, pause: paused, deletion: deleted,
		}},
		{"whose update failed", func(w *world, a *apron) platform.Service { return fails(w, a, created(w, a), "start", update) },
			running, map[platform.OperationType]platform.ServiceStatus{update: running, deployment: running, pause: paused, deletion: deleted}},
		{"whose deployment failed", func(w *world, a *apron) platform.Service { return fails(w, a, created(w, a), "pull", deployment) },
			running, map[platform.OperationType]platform.ServiceStatus{update: running, deployment: running, pause: paused, deletion: deleted}},
		{"that is paused", func(w *world, a *apron) platform.Service {
			_, service := w.do(a, created(w, a), pause, nil)
			return service
		}, paused, map[platform.OperationType]platform.ServiceStatus{resume: running, deletion: deleted}},
		{"whose resumption failed", func(w *world, a *apron) platform.Service {
			_, service := w.do(a, created(w, a), pause, nil)
			return fails(w, a, service, "start", resume)
		}, paused, map[platform.OperationType]platform.ServiceStatus{resume: running, deletion: deleted}},
		{"whose creation failed", failedCreation, platform.ServiceStatusCreateFailed,
			map[platform.OperationType]platform.ServiceStatus{update: running, deployment: running, deletion: deleted}},
		{"whose deletion failed", func(w *world, a *apron) platform.Service { return fails(w, a, created(w, a), "stop", deletion) },
			platform.ServiceStatusDeleteFailed, map[platform.OperationType]platform.ServiceStatus{deletion: deleted}},
		{"that is deleted", func(w *world, a *apron) platform.Service {
			_, service := w.do(a, created(w, a), deletion, nil)
			return service
		}, deleted, nil},
	} {
		t.Run("a service "+test.name, func(t *testing.T) {
			var w *world // reached anew after each operation
			var a *apron
			var service platform.Service
			for kind := range allowedStatuses {
				if w == nil {
					w = newWorld(t)
					a = w.start()
					service = test.reach(w, a)
				}
				if service.Status != test.status {
					t.Fatalf("the service is %s, want %s", service.Status, test.status)
				}
				_, operation, err := a.starter.Start(t.Context(), service.ID, kind, nil)
				want, isAllowed := test.leads[kind]
				var refused *store.StatusError
				switch {
				case !isAllowed && (!errors.As(err, &refused) || refused.Status != test.status):
					t.Errorf("%s: %v, want a refusal that names the status", kind, err)
				case !isAllowed:
				case err != nil:
					t.Errorf("%s: %v", kind, err)
				default:
					if ended, service := w.ended(operation.ID); ended.Status != platform.OperationStatusSucceeded || service.Status != want {
						t.Errorf("%s: operation %s, service %s, want %s; %+v", kind, ended.Status, service.Status, want, ended.Failure)
					}
					w = nil
				}
			}
		})
	}
}

// failedCreation makes a service that is CREATE_FAILED.
func failedCreation(w *world, a *apron) platform.Service {
	w.t.Helper()
	w.set(func() { w.fail["pull"] = platform.Explain(nil, "There is no such image.") })
	_, operation, err := a.starter.Create(w.t.Context(), imageService(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	_, service := w.ended(operation.ID)
	w.set(func() { delete(w.fail, "pull") })
	return service
}

// What fails again has failed, and not been rolled back: there is nothing that goes on serving.
func TestADeploymentAfterAFailedCreationThatFailsToo(t *testing.T) {
	for _, kind := range []platform.OperationType{platform.OperationStartDeployment, platform.OperationUpdateService} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t)
			a := w.start()
			service := failedCreation(w, a)
			w.set(func() { w.fail["pull"] = platform.Explain(nil, "There is still no such image.") })
			operation, after := w.do(a, service, kind, func(service *platform.Service) error {
				service.Configuration.Instance.CPUUnits *= 2
				return nil
			})
			if operation.Status != platform.OperationStatusFailed || after.Status != platform.ServiceStatusCreateFailed {
				t.Errorf("operation %s, service %s", operation.Status, after.Status)
			}
			if operation.Failure == nil || operation.Failure.Cause != "There is still no such image." || operation.Failure.Step != stepPull {
				t.Errorf("the failure is %+v", operation.Failure)
			}
			if after.Configuration.Instance != service.Configuration.Instance {
				t.Error("the configuration is not what it was before")
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, event := range w.events {
				if strings.Contains(event, "goes on serving") {
					t.Errorf("the event log says %q", event)
				}
			}
			if len(w.instances)+len(w.routes) != 0 {
				t.Errorf("left behind: %d instances, %d routes", len(w.instances), len(w.routes))
			}
		})
	}
}
