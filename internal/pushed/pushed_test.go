package pushed_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/pushed"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/telemetry"
)

// world is a store and its logs, in which things happen after their times.
type world struct {
	mu         sync.Mutex // guards all: what happens, happens whole
	services   []platform.Service
	operations []platform.Operation // oldest first
	lines      []string
	fail       error
}

func (w *world) ListServices(context.Context, store.ServicePage) ([]platform.Service, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.services), w.fail
}

func (w *world) ServiceByID(_ context.Context, id platform.ServiceID) (platform.Service, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, service := range w.services {
		if service.ID == id {
			return service, w.fail
		}
	}
	return platform.Service{}, store.ErrNotFound
}

func (w *world) OperationByID(_ context.Context, id platform.OperationID) (platform.Operation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, operation := range w.operations {
		if operation.ID == id {
			return operation, w.fail
		}
	}
	return platform.Operation{}, store.ErrNotFound
}

func (w *world) ListOperations(_ context.Context, id platform.ServiceID, page store.OperationPage) (found []platform.Operation, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, operation := range slices.Backward(w.operations) {
		if operation.ServiceID == id && len(found) < page.Limit {
			found = append(found, operation)
		}
	}
	return found, w.fail
}

func (w *world) Read(_ context.Context, _ platform.ServiceID, _, token string, _ int) (lines []telemetry.Line, next string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if token != telemetry.FromStart {
		return nil, token, w.fail
	}
	for _, line := range w.lines {
		lines = append(lines, telemetry.Line{Message: line})
	}
	return lines, "end", w.fail
}

// service adds a service of the branch main.
func (w *world) service(name string, edit func(*platform.Service)) {
	service := platform.Service{ID: platform.ServiceID(name), Name: name, ARN: "arn:" + name, Status: platform.ServiceStatusRunning}
	service.Configuration.Source = platform.Source{Code: &platform.CodeSource{Branch: "main"}, IsAutoDeployed: true}
	if edit != nil {
		edit(&service)
	}
	w.services = append(w.services, service)
}

// begin begins a deployment of the service, and end ends it.
func (w *world) begin(service, id, commit string) {
	w.services[w.index(service)].Status = platform.ServiceStatusOperationInProgress
	w.services[w.index(service)].WaitingTrigger = ""
	w.operations = append(w.operations, platform.Operation{
		ID: platform.OperationID(id), ServiceID: platform.ServiceID(service), Type: platform.OperationStartDeployment,
		Status: platform.OperationStatusInProgress, Trigger: "push of main", Progress: platform.Progress{Commit: commit},
	})
}

func (w *world) end(status platform.OperationStatus) {
	last := &w.operations[len(w.operations)-1]
	last.Status = status
	if status != platform.OperationStatusSucceeded {
		last.Failure = &platform.Failure{Cause: "The build commands failed", Remedy: "Mend it.", Evidence: []string{"no such file"}}
	}
	w.services[w.index(string(last.ServiceID))].Status = platform.ServiceStatusRunning
}

func (w *world) index(name string) int {
	return slices.IndexFunc(w.services, func(service platform.Service) bool { return service.Name == name })
}

func (w *world) ask(name string) { w.services[w.index(name)].WaitingTrigger = "push of main" }

const newest = "1234567890"

// tell pushes commit newest of a branch to the repository shop, for which asked are asked, lets happen what comes after,
// and returns what was told, and after how long.
func (w *world) tell(t *testing.T, branch string, asked []string, after func()) (string, time.Duration) {
	t.Helper()
	return w.tellUntil(t, t.Context(), t.Context(), branch, asked, after)
}

func (w *world) tellUntil(t *testing.T, ctx, leaving context.Context, branch string, asked []string, after func()) (string, time.Duration) {
	t.Helper()
	teller := pushed.Teller{Store: w, Logs: w, Leaving: leaving, URL: func(service platform.Service) string { return "http://" + service.Name + ".test" }}
	push := &pushed.Push{Repository: "shop", Branch: branch, Commit: newest, IsSource: func(service platform.Service) bool { return service.Name != "foreign" }}
	if err := teller.Begin(ctx, push); err != nil {
		t.Fatal(err)
	}
	for _, name := range asked {
		w.ask(name)
	}
	begun := time.Now()
	if after != nil {
		after()
	}
	var told strings.Builder
	teller.Tell(ctx, push, &told)
	return strings.Trim(told.String(), "\n"), time.Since(begun)
}

// later lets something happen.
func (w *world) later(after time.Duration, what func()) {
	time.AfterFunc(after, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		what()
	})
}

func want(t *testing.T, told, wanted string) {
	t.Helper()
	if diff := cmp.Diff(strings.Trim(wanted, "\n"), told); diff != "" {
		t.Error(diff)
	}
}

func TestADeploymentIsToldToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{lines: []string{"[Build] + make"}}
		w.service("web", nil)
		w.begin("web", "earlier", "0")
		w.end(platform.OperationStatusSucceeded)
		told, _ := w.tell(t, "main", []string{"web"}, func() {
			w.later(time.Second, func() { w.begin("web", "3f2a", newest) })
			w.later(2*time.Second, func() { w.end(platform.OperationStatusSucceeded) })
		})
		want(t, told, "Deploying web (apron operation 3f2a):\n    │ [Build] + make\nweb is live at http://web.test")
	})
}

func TestADeploymentThatFailedSaysWhyAndThatThePushIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		w.service("web", nil)
		told, _ := w.tell(t, "main", []string{"web"}, func() {
			w.later(0, func() { w.begin("web", "3f2a", newest) })
			w.later(2*time.Second, func() { w.end(platform.OperationStatusRollbackSucceeded) })
		})
		want(t, told, `
Deploying web (apron operation 3f2a):

The deployment of web failed: The build commands failed.
  The last lines of output:
    │ no such file
  To try: Mend it.
  Rolled back: the service is as it was before.
  The whole log: apron logs web --deployment 3f2a
The push is kept: push what mends it. To deploy it once more as it is:
  aws apprunner start-deployment --service-arn arn:web`)
	})
}

func TestServicesAreToldOfOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		w.service("web", nil)
		w.service("jobs", nil)
		w.service("foreign", nil)
		w.service("manual", func(s *platform.Service) { s.Configuration.Source.IsAutoDeployed = false })
		w.service("stage", func(s *platform.Service) { s.Configuration.Source.Code.Branch = "stage" })
		w.service("untouched", nil)
		told, _ := w.tell(t, "main", []string{"web", "jobs"}, func() {
			w.later(0, func() { w.begin("jobs", "b", newest); w.end(platform.OperationStatusSucceeded) })
			w.later(time.Second, func() { w.begin("web", "a", newest); w.end(platform.OperationStatusSucceeded) })
		})
		want(t, told, `
Deploying web (apron operation a):
web is live at http://web.test
Deploying jobs (apron operation b):
jobs is live at http://jobs.test
untouched stays as it is: nothing that it is made from has changed.
manual is not deployed by a push: its AutoDeploymentsEnabled is off. To deploy this:
  aws apprunner start-deployment --service-arn arn:manual`)
	})
}

// A push waits for the operation that runs. One that began before it was asked for may have taken an older commit, or this one.
func TestAPushThatWaitsIsToldOfTheDeploymentThatTakesItUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		w.service("web", nil)
		w.begin("web", "earlier", "0")
		told, took := w.tell(t, "main", []string{"web"}, func() {
			w.later(40*time.Second, func() { w.end(platform.OperationStatusSucceeded) })
			w.later(41*time.Second, func() { w.begin("web", "mine", newest); w.end(platform.OperationStatusSucceeded) })
		})
		want(t, told, `
web has an operation that runs (START_DEPLOYMENT, apron operation earlier). The push is deployed after it.
  … waiting for its end, for 30.1 s
Deploying web (apron operation mine):
web is live at http://web.test`)
		if took > 42*time.Second {
			t.Errorf("it took %v", took)
		}

		w = &world{}
		w.service("web", nil)
		told, _ = w.tell(t, "main", []string{"web"}, func() {
			w.begin("web", "beside", "older00")
			w.ask("web")
			w.later(time.Second, func() { w.end(platform.OperationStatusSucceeded) })
			w.later(2*time.Second, func() { w.begin("web", "mine", newest); w.end(platform.OperationStatusSucceeded) })
		})
		want(t, told, `
Deploying web (apron operation beside):
That was commit older00; another deployment follows.
Deploying web (apron operation mine):
web is live at http://web.test`)

		w = &world{}
		w.service("web", nil)
		told, _ = w.tell(t, "main", []string{"web"}, func() { w.begin("web", "later", "newer00"); w.end(platform.OperationStatusSucceeded) })
		want(t, told, "Deploying web (apron operation later):\nweb is live at http://web.test, with commit newer00, which was pushed later")
	})
}

func TestAPushThatIsNotDeployedSaysWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			name, branch string
			arrange      func(*world) (asked []string)
			want         string
		}{
			{"no service", "main", func(*world) []string { return nil }, `
The push is kept, but no service is deployed from shop yet. Create one, from the folder that you push:
  apron deploy --name shop
From then on a push deploys: git push apron main`},
			{"another branch", "next", func(w *world) []string { w.service("web", nil); return nil },
				"web is deployed from the branch main, not from next. To deploy this: git push apron next:main"},
			{"paused", "main", func(w *world) []string {
				w.service("web", func(s *platform.Service) { s.Status = platform.ServiceStatusPaused })
				return []string{"web"}
			}, "web is paused. The push is deployed when it is resumed: apron resume web"},
		} {
			w := &world{}
			told, took := w.tell(t, test.branch, test.arrange(w), nil)
			t.Log(test.name)
			want(t, told, test.want)
			if took != 0 {
				t.Errorf("%s: it took %v", test.name, took)
			}
		}
		w := &world{}
		w.service("web", nil)
		told, _ := w.tell(t, "main", []string{"web"}, func() {
			w.later(time.Second, func() { w.services[0].Status = platform.ServiceStatusDeleted })
		})
		want(t, told, "web is deleted; the push is not deployed.")
	})
}

func TestNobodyIsToldForEver(t *testing.T) {
	for _, test := range []struct {
		name   string
		ending func(w *world, leaveApron, leaveClient func())
		want   string
		within time.Duration
	}{
		{"apron is upgraded", func(w *world, leaveApron, _ func()) { w.later(time.Minute, leaveApron) },
			"apron stops or is upgraded now, and goes on with the deployment when it runs again: apron operation 3f2a", 61 * time.Second},
		{"the client leaves", func(w *world, _, leaveClient func()) { w.later(time.Minute, leaveClient) }, "", 61 * time.Second},
		{"a very long build", func(*world, func(), func()) {}, "This takes long; the deployment goes on: apron operation 3f2a", time.Hour},
		{"no database", func(w *world, _, _ func()) { w.later(time.Second, func() { w.fail = errors.New("gone") }) },
			"apron cannot tell more for now; the deployment goes on: apron operation 3f2a", 2 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, leaveClient := context.WithCancel(t.Context())
				defer leaveClient()
				leaving, leaveApron := context.WithCancel(t.Context())
				defer leaveApron()
				w := &world{}
				w.service("web", nil)
				told, took := w.tellUntil(t, ctx, leaving, "main", []string{"web"}, func() {
					w.begin("web", "3f2a", newest)
					test.ending(w, leaveApron, leaveClient)
				})
				if last := told[strings.LastIndex(told, "\n")+1:]; test.want != "" && last != test.want || took > test.within {
					t.Errorf("after %v, the last of\n%s\nis %q, want %q", took, told, last, test.want)
				}
			})
		})
	}
}
