package api_test

import (
	"fmt"
	"path"
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

func TestAnOperationTellsWhatTriggeredItAndWhatWaitsForItsEnd(t *testing.T) {
	w := newWorld(t)
	arn := w.running("webapp")
	ask := func(trigger platform.Trigger) {
		t.Helper()
		if _, err := w.store.AskDeployment(t.Context(), platform.ServiceID(path.Base(arn)), platform.Wish{Trigger: trigger}); err != nil {
			t.Fatal(err)
		}
	}
	ask("push of main")
	id := w.call("StartDeployment", arnOf(arn))["OperationId"]
	describe := func() map[string]any {
		return w.call("Apron.DescribeOperation", fmt.Sprintf(`{"ServiceArn":%q,"OperationId":%q}`, arn, id))
	}
	got := describe()
	if member(t, got, "Operation.Trigger") != "push of main" || got["WaitingTrigger"] != nil {
		t.Errorf("the deployment is told as %v", got)
	}
	ask("push of next")
	if got := describe(); member(t, got, "Operation.Trigger") != "push of main" || got["WaitingTrigger"] != "push of next" {
		t.Errorf("the deployment that another waits for is told as %v", got)
	}
}
