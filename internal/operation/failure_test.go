package operation

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
)

func TestAFailureAndItsRollbackAreToldInTheStepsAndInTheEventLog(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, imageService())
	w.set(func() {
		w.exits, w.events = &platform.Exit{Code: 3}, nil
		w.lines["app"] = []string{"starting", "no DATABASE_URL"}
	})
	operation, _ := w.do(a, service, platform.OperationStartDeployment, nil)

	if got, want := stepNames(operation), "resolve, pull, start instances, health check, roll back"; got != want {
		t.Fatalf("steps: got %s, want %s", got, want)
	}
	last := operation.Steps[len(operation.Steps)-1]
	if last.State != platform.StepStateSucceeded || last.EndedAt == nil || last.Detail != "1 instance removed; revision 1 goes on serving" {
		t.Errorf("the step of the rollback: %+v", last)
	}
	failure := *operation.Failure
	if failure.Step != "health check" || !strings.Contains(failure.Remedy, "last output") || len(failure.Observed) == 0 ||
		!strings.HasSuffix(failure.Observed[len(failure.Observed)-1], ": it ended with exit code 3") {
		t.Errorf("the failure: %+v", failure)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	told := slices.DeleteFunc(slices.Clone(w.events), func(event string) bool { return strings.HasPrefix(event, "Observed : ") })
	begin := slices.IndexFunc(told, func(event string) bool { return strings.HasPrefix(event, "Your application") })
	id := string(operation.ID)
	want := []string{
		"Your application stopped or failed to start. See logs for more information.  Container exit code: 3",
		"Deployment with ID : " + id + " failed. Failure reason : Health check failed. " + failure.Cause,
		"What to try : " + failure.Remedy,
		"Rolling back : what the operation with ID : " + id + " had started is removed.",
		"Rollback completed successfully : 1 instance removed; revision 1 goes on serving.",
		"Deployment failed. The previous version goes on serving.",
		"Service status is set to RUNNING.",
	}
	if diff := cmp.Diff(want, told[max(begin, 0):]); diff != "" {
		t.Error(diff)
	}
}

func TestACancelledHealthCheckIsNotToldAsOneThatFailed(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, imageService())
	id := w.reach(a, service, "probe")
	if _, err := a.starter.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	w.ended(id)
	w.mu.Lock()
	defer w.mu.Unlock()
	if told := strings.Join(w.events, "\n"); strings.Contains(told, "Health check failed") || !strings.Contains(told, "Failure reason : The operation was cancelled.") {
		t.Errorf("the event log has\n%s", told)
	}
}

func TestAFailedCreationSaysWhatWasCleanedUp(t *testing.T) {
	w := newWorld(t)
	w.set(func() { w.exits = &platform.Exit{Code: 137, IsOutOfMemory: true} })
	a := w.start()
	_, begun, err := a.starter.Create(t.Context(), imageService(), nil)
	if err != nil {
		t.Fatal(err)
	}
	operation, _ := w.ended(begun.ID)
	last := operation.Steps[len(operation.Steps)-1]
	if operation.Status != platform.OperationStatusFailed || last.Name != "clean up" || last.Detail != "1 instance removed; no revision serves" {
		t.Errorf("%s, its last step is %+v", operation.Status, last)
	}
}

func TestAFailureOfApronsOwnNamesWhatToLookFor(t *testing.T) {
	operation := platform.Operation{ID: "0123", Steps: []platform.StepRecord{{Name: "pull"}}}
	failure := failureFrom(errors.New("socket gone"), operation, nil)
	if failure.Step != "pull" || !strings.Contains(failure.Remedy, "operation=0123") || strings.Contains(failure.Cause+failure.Remedy, "socket") {
		t.Errorf("%+v", failure)
	}
}

func TestPartsOfSentencesBecomeSentences(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "",
		"the registry is away":                "The registry is away.",
		"git.example.com refused apron's key": "git.example.com refused apron's key.",
		"apprunner.yaml: line 3: no runtime":  "apprunner.yaml: line 3: no runtime.",
		"did you mean go1? Available are go1": "Did you mean go1? Available are go1.",
		"The application ended.":              "The application ended.",
	} {
		if got := sentence(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
