package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/load"
	"github.com/apron-run/apron/test/sample"
)

// crashRate is how many requests a second are sent while apron is killed again and again.
const crashRate = 100

// apron is killed again and again, each time during an operation. The services answer throughout, also while there is no
// `apron serve`, and the next one brings the operation to its end.
func TestKilledDuringAnOperation(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	t.Run("in each step of a deployment", func(t *testing.T) { killInEachStep(t, a) })
	t.Run("soon after the call", func(t *testing.T) { killSoonAfterTheCall(t, a) })
	t.Run("while it builds", func(t *testing.T) { killWhileItBuilds(t, a) })
	t.Run("in other operations", func(t *testing.T) { killInOtherOperations(t, a) })
}

func killInEachStep(t *testing.T, a *apron.Apron) {
	slowStart := map[string]string{"START_DELAY": "500ms"} // else a health check is over before it is seen
	push(t, a, "crash:live", sample.Variant{Version: "version 0", Environment: slowStart})
	service := a.MustCreate(t, fromImage("crash", "crash:live", nil))
	requests := load.Start(t, a.Client, service.URL, "version 0", crashRate)
	steps := []string{"resolve", "pull", "start instances", "health check", "switch traffic", "drain", "stop instances"}
	for i, step := range steps {
		version := fmt.Sprint("version ", i+1)
		push(t, a, "crash:live", sample.Variant{Version: version, Environment: slowStart, PaddingMiB: 8})
		requests.Expect(version)
		id := service.Deploy(t)
		seen := killAt(t, a, service, id, step)
		awaitRequests(t, requests, crashRate/2) // answered while apron is dead
		a.Restart(t)
		operation := service.WantOperation(t, id, "SUCCEEDED")
		requests.Settled()
		t.Logf("killed in %q, after which: %s", seen, operation)
		service.WantStatus(t, types.ServiceStatusRunning)
		a.WantBody(t, service.URL, "/", version)
		awaitRequests(t, requests, 20)
	}
	report := requests.Stop()
	t.Log(report)
	if len(report.Faults()) > 0 {
		t.Error("requests were lost or answered wrongly while apron was killed")
	}
	service.WantOneInstance(t)
}

// killAt kills apron once the operation has begun the step, and returns the step that it was in.
func killAt(t *testing.T, a *apron.Apron, service *apron.Service, id, step string) string {
	t.Helper()
	var operation apron.Operation
	for deadline := time.Now().Add(time.Minute); ; {
		var err error
		if operation, err = service.Operation(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if operation.HasReached(step) || operation.IsOver() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the operation has not reached %q: %s", step, operation)
		}
	}
	a.Kill9(t)
	if operation.IsOver() {
		return "no step: it was over"
	}
	return operation.Steps[len(operation.Steps)-1].Name
}

// killSoonAfterTheCall kills at moments that follow the call by the clock: they also hit between two steps.
func killSoonAfterTheCall(t *testing.T, a *apron.Apron) {
	push(t, a, "soon:live", sample.Variant{Version: "version 0"})
	service := a.MustCreate(t, fromImage("soon", "soon:live", nil))
	requests := load.Start(t, a.Client, service.URL, "version 0", crashRate)
	for i, milliseconds := range []int{0, 20, 60, 120, 180, 250, 350} {
		version := fmt.Sprint("version ", i+1)
		push(t, a, "soon:live", sample.Variant{Version: version})
		requests.Expect(version)
		id := service.Deploy(t)
		<-time.After(time.Duration(milliseconds) * time.Millisecond)
		a.Kill9(t)
		a.Restart(t)
		service.WantOperation(t, id, "SUCCEEDED")
		requests.Settled()
		a.WantBody(t, service.URL, "/", version)
	}
	if report := requests.Stop(); len(report.Faults()) > 0 {
		t.Error(report)
	}
	service.WantOneInstance(t)
}

func killWhileItBuilds(t *testing.T, a *apron.Apron) {
	repository := sample.NewRepository(t, sample.PythonApp("version 0"))
	service := a.MustCreate(t, built(fromCode("built", repository.Dir), types.CodeConfigurationValues{
		Runtime: types.RuntimePython311, BuildCommand: ptr("sleep 1 && python3 -m compileall -q ."), StartCommand: ptr("python3 app.py"), Port: ptr("8080"),
	}))
	for i, step := range []string{"fetch", "build", "start instances"} {
		version := fmt.Sprint("version ", i+1)
		repository.Commit(version, sample.PythonApp(version))
		id := service.Deploy(t)
		killAt(t, a, service, id, step)
		a.Restart(t)
		service.WantOperation(t, id, "SUCCEEDED")
		a.WantBody(t, service.URL, "/", version)
	}
	service.WantOneInstance(t)
}

// killInOtherOperations kills right after the call.
func killInOtherOperations(t *testing.T, a *apron.Apron) {
	push(t, a, "other:live", sample.Variant{Version: "one"})
	service, id := a.Create(t, fromImage("other", "other:live", nil))
	killAndFinish(t, a, service, id)
	a.WantBody(t, service.URL, "/", "one")

	ctx, sdk := t.Context(), a.SDK()
	paused, err := sdk.PauseService(ctx, &apprunner.PauseServiceInput{ServiceArn: &service.ARN})
	if err != nil {
		t.Fatal(err)
	}
	killAndFinish(t, a, service, *paused.OperationId)
	service.WantStatus(t, types.ServiceStatusPaused)

	resumed, err := sdk.ResumeService(ctx, &apprunner.ResumeServiceInput{ServiceArn: &service.ARN})
	if err != nil {
		t.Fatal(err)
	}
	killAndFinish(t, a, service, *resumed.OperationId)
	a.WantBody(t, service.URL, "/", "one")

	updated, err := sdk.UpdateService(ctx, &apprunner.UpdateServiceInput{
		ServiceArn: &service.ARN, SourceConfiguration: imageSource("other:live", map[string]string{"GREETING": "updated"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	killAndFinish(t, a, service, *updated.OperationId)
	a.WantBody(t, service.URL, "/env?name=GREETING", "updated")

	deleted, err := sdk.DeleteService(ctx, &apprunner.DeleteServiceInput{ServiceArn: &service.ARN})
	if err != nil {
		t.Fatal(err)
	}
	killAndFinish(t, a, service, *deleted.OperationId)
	service.WantStatus(t, types.ServiceStatusDeleted)
}

func killAndFinish(t *testing.T, a *apron.Apron, service *apron.Service, operation string) {
	t.Helper()
	a.Kill9(t)
	a.Restart(t)
	service.WantOperation(t, operation, "SUCCEEDED")
}
