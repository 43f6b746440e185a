package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

func TestAnOperationIsCancelledByItsServiceOrItsID(t *testing.T) {
	w := newWorld(t)
	other := w.running("other")
	arn := w.create("webapp") // nobody runs its creation
	creation := member(t, w.call("Apron.CancelOperation", arnOf(arn)), "Operation.Id").(string)
	w.call("Apron.CancelOperation", fmt.Sprintf(`{"ServiceArn":%q,"OperationId":%q}`, arn, creation)) // once more does no harm
	if message := w.refused("Apron.CancelOperation", arnOf(other), "InvalidStateException", 400); !strings.Contains(message, "no operation in progress") {
		t.Errorf("of a service at rest: %s", message)
	}
	w.refused("Apron.CancelOperation", fmt.Sprintf(`{"ServiceArn":%q,"OperationId":%q}`, other, creation), "ResourceNotFoundException", 400)
	w.refused("Apron.CancelOperation", `{"ServiceArn":"arn:aws:apprunner:us-east-1:123456789012:service/none/0123456789abcdef0123456789abcdef"}`, "ResourceNotFoundException", 400)
}

func TestAServiceIsRolledBackToARevisionThatIsKept(t *testing.T) {
	w := newWorld(t)
	arn := w.create("webapp")
	service, err := w.store.ServiceByName(t.Context(), "webapp")
	if err != nil {
		t.Fatal(err)
	}
	operations, err := w.store.ListOperations(t.Context(), service.ID, store.OperationPage{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []platform.RevisionID
	for n := range 3 {
		revision, err := w.store.CreateRevision(t.Context(), platform.Revision{
			ID: platform.RevisionIDFor(platform.NewOperationID()), ServiceID: service.ID, CreatedAt: service.CreatedAt,
			Image: "image", ImageDigest: fmt.Sprint("sha256:", n+1), Configuration: service.Configuration.Clone(),
		}, operations[0])
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, revision.ID)
	}
	w.settle(arn, platform.ServiceStatusRunning, func(s *platform.Service) { s.ActiveRevisionID = ids[1] })
	list := w.call("Apron.ListRevisions", arnOf(arn))["Revisions"].([]any)
	if len(list) != 3 || member(t, list[0], "Number") != 3.0 || member(t, list[1], "IsActive") != true || member(t, list[2], "ImageDigest") != "sha256:1" {
		t.Errorf("the revisions: %v", list)
	}
	for input, want := range map[string]string{
		`"RevisionNumber":2`: "active one already", `"RevisionNumber":9`: "there are 3, 1", `"RevisionNumber":0`: "RevisionNumber",
	} {
		if message := w.refused("Apron.RollbackService", fmt.Sprintf(`{"ServiceArn":%q,%s}`, arn, input), "InvalidRequestException", 400); !strings.Contains(message, want) {
			t.Errorf("%s: %s", input, message)
		}
	}
	answer := w.call("Apron.RollbackService", arnOf(arn))
	if member(t, answer["Service"], "Status") != "OPERATION_IN_PROGRESS" {
		t.Errorf("the answer: %v", answer)
	}
	operation, err := w.store.OperationByID(t.Context(), platform.OperationID(answer["OperationId"].(string)))
	if err != nil || operation.Type != platform.OperationUpdateService || operation.RollsBackTo != ids[0] {
		t.Errorf("the operation: %+v, %v", operation, err)
	}
	w.refused("Apron.RollbackService", fmt.Sprintf(`{"ServiceArn":%q,"RevisionNumber":3}`, arn), "InvalidStateException", 400) // one at a time
}

func TestAnOperationIsDescribedWithAllOfItsFailureByItsIDAlone(t *testing.T) {
	w := newWorld(t)
	arn := w.create("webapp")
	id := member(t, w.call("Apron.CancelOperation", arnOf(arn)), "Operation.Id").(string)
	operation, err := w.store.ClaimOperation(t.Context(), "worker", time.Now(), time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	operation.Status = platform.OperationStatusInProgress
	operation.Failure = &platform.Failure{
		Step: "health check", Cause: "It ended.", Remedy: "Mend it.", Observed: []string{"+0.1 s: it ended"}, Evidence: []string{"bye"},
	}
	if err := w.store.SaveOperation(t.Context(), operation, nil); err != nil {
		t.Fatal(err)
	}
	for _, input := range []string{fmt.Sprintf(`{"OperationId":%q}`, id), fmt.Sprintf(`{"ServiceArn":%q,"OperationId":%q}`, arn, id)} {
		want := map[string]any{
			"Step": "health check", "Cause": "It ended.", "Remedy": "Mend it.", "Observed": []any{"+0.1 s: it ended"}, "Evidence": []any{"bye"},
		}
		if diff := cmp.Diff(want, member(t, w.call("Apron.DescribeOperation", input), "Operation.Failure")); diff != "" {
			t.Errorf("%s: %s", input, diff)
		}
	}
	other := w.running("other")
	w.refused("Apron.DescribeOperation", fmt.Sprintf(`{"ServiceArn":%q,"OperationId":%q}`, other, id), "ResourceNotFoundException", 400)
	w.refused("Apron.DescribeOperation", `{"OperationId":"0123456789abcdef0123456789abcdef"}`, "ResourceNotFoundException", 400)
}
