package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// deployments returns the ids of a service's START_DEPLOYMENT operations, newest first, and whether none of them runs.
func deployments(t *testing.T, a *apron.Apron, service *apron.Service) (ids []string, isAtRest bool) {
	t.Helper()
	listed, err := a.SDK().ListOperations(t.Context(), &apprunner.ListOperationsInput{ServiceArn: &service.ARN})
	if err != nil {
		t.Fatal(err)
	}
	isAtRest = true
	for _, operation := range listed.OperationSummaryList {
		isAtRest = isAtRest && operation.EndedAt != nil
		if operation.Type == types.OperationTypeStartDeployment {
			ids = append(ids, *operation.Id)
		}
	}
	return ids, isAtRest
}

// wantDeployments waits until so many deployments have ended, and fails the test when there are more. It returns the newest.
func wantDeployments(t *testing.T, a *apron.Apron, service *apron.Service, count int) apron.Operation {
	t.Helper()
	var ids []string
	apron.Until(t, 3*time.Minute, itoa(count)+" deployments", func() (bool, error) {
		var isAtRest bool
		ids, isAtRest = deployments(t, a, service)
		return isAtRest && len(ids) >= count, errors.New(itoa(len(ids)) + " have begun")
	})
	if len(ids) != count {
		t.Fatalf("%d deployments, want %d", len(ids), count)
	}
	return service.WantOperation(t, ids[0], "SUCCEEDED")
}

func wantEvent(t *testing.T, service *apron.Service, text string) {
	t.Helper()
	if events := strings.Join(service.Lines(t, "events"), "\n"); !strings.Contains(events, text) {
		t.Errorf("%q is not among the events:\n%s", text, events)
	}
}

// What is pushed while a deployment runs waits for its end: however many pushes that were, one deployment of the newest follows.
func TestPushesOfAnImageDuringADeployment(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "pushed:live", sample.Variant{Version: "zero"})
	input := fromImage("pushed", "pushed:live", nil)
	input.SourceConfiguration.AutoDeploymentsEnabled = ptr(true)
	service := a.MustCreate(t, input)

	push(t, a, "pushed:live", sample.Variant{Version: "one", Environment: map[string]string{"START_DELAY": "10s"}})
	apron.Until(t, time.Minute, "the deployment of the push", func() (bool, error) {
		ids, _ := deployments(t, a, service)
		if len(ids) == 0 {
			return false, errors.New("none has begun")
		}
		operation, err := service.Operation(t.Context(), ids[0])
		return operation.HasReached("health check"), err
	})
	push(t, a, "pushed:live", sample.Variant{Version: "two"})
	push(t, a, "pushed:live", sample.Variant{Version: "three"})
	wantEvent(t, service, "A deployment waits for the end of the running operation (push of pushed:live, digest ")
	if printed := a.MustCommand(t, "service", "pushed"); !strings.Contains(printed, "waits for the end of the running operation (push of pushed:live, digest ") {
		t.Errorf("apron service prints\n%s", printed)
	}
	wantDeployments(t, a, service, 2)
	wantEvent(t, service, "The deployment is automatic (push of pushed:live, digest ")
	a.WantBody(t, service.URL, "/", "three")

	push(t, a, "pushed:live", sample.Variant{Version: "three"}) // nothing new
	push(t, a, "pushed:other", sample.Variant{Version: "four"})
	wantDeployments(t, a, service, 2)
}

// A folder that is deployed is deployed once, although its service has automatic deployments, which a push has, too.
func TestAFolderIsDeployedOnceAndAPushByItself(t *testing.T) {
	t.Parallel()
	a := shared(t)
	repository := sample.NewRepository(t, sample.PythonApp("one"))
	a.MustCommand(t, "deploy", repository.Dir, "--name", "folder-once")
	service := a.Hold(ptr(describeByName(t, a, "folder-once")))
	if err := os.WriteFile(filepath.Join(repository.Dir, "app.py"), []byte(sample.PythonApp("two")["app.py"]), 0o644); err != nil {
		t.Fatal(err)
	}
	a.MustCommand(t, "deploy", repository.Dir, "--name", "folder-once")
	a.WantBody(t, service.URL, "/", "two")
	wantDeployments(t, a, service, 1)

	// The same with a change of the source, which is an update.
	if err := os.WriteFile(filepath.Join(repository.Dir, "app.py"), []byte(sample.PythonApp("three")["app.py"]), 0o644); err != nil {
		t.Fatal(err)
	}
	a.MustCommand(t, "deploy", repository.Dir, "--name", "folder-once", "--runtime", "python311", "--start", "python3 app.py", "--port", "8000")
	a.WantBody(t, service.URL, "/", "three")
	wantDeployments(t, a, service, 1)

	repository.Commit("Say four", sample.PythonApp("four"))
	pushCode(t, a, repository, "folder-once", "--force")
	if operation := wantDeployments(t, a, service, 2); !strings.Contains(operation.String(), repository.Head()[:7]) {
		t.Errorf("the push of %s was deployed by %s", repository.Head(), operation)
	}
	a.WantBody(t, service.URL, "/", "four")
}

// describeByName finds a service that a command has made.
func describeByName(t *testing.T, a *apron.Apron, name string) types.Service {
	t.Helper()
	var described struct{ Service types.Service }
	a.CommandJSON(t, &described, "service", name)
	return described.Service
}

// More builds than may run at a time are PENDING and say at which place. They hold up nobody, and are cancelled or taken up
// again as what they are.
func TestBuildsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	a := apron.Start(t, "--builds=1")
	repository := sample.NewRepository(t, sample.PythonApp("one"))
	values := types.CodeConfigurationValues{Runtime: types.RuntimePython311, StartCommand: ptr("python3 app.py"), Port: ptr("8080")}
	endless := values
	endless.BuildCommand = ptr("sleep 300")
	first, building := a.Create(t, built(fromCode("building", repository.Dir), endless))
	apron.Until(t, 5*time.Minute, "the build", func() (bool, error) {
		operation, err := first.Operation(t.Context(), building)
		return operation.HasReached("build"), err
	})
	second, waiting := a.Create(t, built(fromCode("waiting", repository.Dir), values))
	third, cancelled := a.Create(t, built(fromCode("cancelled", repository.Dir), values))
	wantPlace := func(service *apron.Service, id, place string) {
		t.Helper()
		apron.Until(t, time.Minute, service.Name+" at "+place, func() (bool, error) {
			operation, err := service.Operation(t.Context(), id)
			return operation.Status == "PENDING" && strings.Contains(operation.String(), place), errors.Join(err, errors.New(operation.String()))
		})
	}
	wantPlace(second, waiting, "place 1 in the queue of builds")
	wantPlace(third, cancelled, "place 2 in the queue of builds")
	wantEvent(t, third, "Waiting for other builds; place 2 in the queue.")
	for _, command := range []string{"service", "operations"} {
		if printed := a.MustCommand(t, command, "cancelled"); !strings.Contains(printed, "PENDING") || !strings.Contains(printed, "place 2 in the queue of builds") {
			t.Errorf("apron %s prints\n%s", command, printed)
		}
	}

	push(t, a, "past:live", sample.Variant{Version: "past"})
	past := a.MustCreate(t, fromImage("past", "past:live", nil))
	past.Delete(t)

	a.Kill9(t)
	a.Restart(t)
	wantPlace(second, waiting, "place 1 in the queue of builds")
	wantPlace(third, cancelled, "place 2 in the queue of builds")
	a.MustCommand(t, "cancel", "cancelled")
	third.WantStatus(t, types.ServiceStatusCreateFailed)
	a.MustCommand(t, "cancel", "building")
	second.WantOperation(t, waiting, "SUCCEEDED")
	a.WantBody(t, second.URL, "/", "one")
}
