package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/load"
	"github.com/apron-run/apron/test/sample"
)

// cancelTime is how long a cancelled operation may take to end, on a machine that is busy with other tests.
const cancelTime = 10 * time.Second

// A deployment is cancelled in the steps that users' code can make last. What ran goes on, and nothing of the new revision
// stays.
func TestADeploymentIsCancelledInEachStep(t *testing.T) {
	t.Parallel()
	a := shared(t)
	repository := sample.NewRepository(t, sample.PythonApp("version 0"))
	values := types.CodeConfigurationValues{Runtime: types.RuntimePython311, StartCommand: ptr("python3 app.py"), Port: ptr("8080")}
	service := a.MustCreate(t, built(fromCode("cancelled", repository.Dir), values))
	// Each is a command that keeps its step busy for longer than the test waits.
	for step, change := range map[string]func(*types.CodeConfigurationValues){
		"build":        func(values *types.CodeConfigurationValues) { values.BuildCommand = ptr("sleep 300") },
		"health check": func(values *types.CodeConfigurationValues) { values.StartCommand = ptr("sleep 300") },
	} {
		changed := values
		change(&changed)
		id := service.Update(t, built(fromCode("", repository.Dir), changed).SourceConfiguration)
		apron.Until(t, time.Minute, "the step "+step, func() (bool, error) {
			operation, err := service.Operation(t.Context(), id)
			return operation.HasReached(step), err
		})
		asked := time.Now()
		if printed := a.MustCommand(t, "cancel", "cancelled"); !strings.Contains(printed, "is cancelled") {
			t.Errorf("apron cancel prints %q", printed)
		}
		took := time.Since(asked)
		operation := service.WantOperation(t, id, "ROLLBACK_SUCCEEDED")
		wantFailure(t, operation, "was cancelled")
		t.Logf("cancelled in %q within %s", step, took)
		if took > cancelTime {
			t.Errorf("the end took %s", took)
		}
		service.WantStatus(t, types.ServiceStatusRunning)
		service.WantOneInstance(t)
		a.WantBody(t, service.URL, "/", "version 0")
	}
	if outcome := a.Command(t, "cancel", "cancelled"); outcome.Code != 1 || !strings.Contains(outcome.Err, "nothing to cancel") {
		t.Errorf("apron cancel of a service at rest: %+v", outcome)
	}
}

// A service whose creation hangs is deleted at once.
func TestAServiceIsDeletedWhileItIsBeingCreated(t *testing.T) {
	t.Parallel()
	a := shared(t)
	repository := sample.NewRepository(t, sample.PythonApp("never"))
	service, id := a.Create(t, built(fromCode("deleted-early", repository.Dir), types.CodeConfigurationValues{
		Runtime: types.RuntimePython311, BuildCommand: ptr("sleep 300"), StartCommand: ptr("python3 app.py"), Port: ptr("8080"),
	}))
	if outcome := a.Command(t, "delete", "deleted-early"); outcome.Code != 1 || !strings.Contains(outcome.Err, "OPERATION_IN_PROGRESS") {
		t.Errorf("apron delete: %+v", outcome)
	}
	a.MustCommand(t, "delete", "deleted-early", "--cancel")
	service.WantStatus(t, types.ServiceStatusDeleted)
	if operation := service.AwaitOperation(t, id); operation.Status != "FAILED" {
		t.Errorf("its creation ended as %s", operation)
	}
}

// Going back needs neither a build nor a pull, and loses no request.
func TestAServiceIsRolledBack(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "back:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("back", "back:live", map[string]string{"GREETING": "first"}))
	push(t, a, "back:live", sample.Variant{Version: "two"})
	service.WantOperation(t, service.Update(t, imageSource("back:live", map[string]string{"GREETING": "second"})), "SUCCEEDED")
	service.MustDeploy(t) // an update keeps the image
	requests := load.Start(t, a.Client, service.URL, "two", 50)

	requests.Expect("one")
	if printed := a.MustCommand(t, "rollback", "back", "1"); !strings.Contains(printed, "runs the earlier revision") {
		t.Errorf("apron rollback prints %q", printed)
	}
	requests.Settled()
	if report := requests.Stop(); len(report.Faults()) > 0 {
		t.Error(report)
	}
	a.WantBody(t, service.URL, "/env?name=GREETING", "first")
	var revisions []struct {
		Number   int
		IsActive bool
	}
	a.CommandJSON(t, &revisions, "revisions", "back")
	if len(revisions) != 4 || revisions[0].Number != 4 || !revisions[0].IsActive {
		t.Errorf("the revisions are %+v", revisions)
	}
	a.MustCommand(t, "rollback", "back", "3")
	a.WantBody(t, service.URL, "/", "two")
	a.WantBody(t, service.URL, "/env?name=GREETING", "second")
}
