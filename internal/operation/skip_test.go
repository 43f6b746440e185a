package operation

import (
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

// buildsSoFar is how many builds there were.
func (w *world) buildsSoFar() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls["build"]
}

// redeployed deploys the service again and returns the operation that has ended.
func (w *world) redeployed(a *apron, service platform.Service) platform.Operation {
	w.t.Helper()
	operation, _ := w.ended(w.begin(a, service, platform.OperationStartDeployment, nil))
	if operation.Status != platform.OperationStatusSucceeded {
		w.t.Fatalf("the deployment ended as %s: %+v", operation.Status, operation.Failure)
	}
	return operation
}

func TestAnUnchangedCommitIsNotBuiltAgain(t *testing.T) {
	w := newWorld(t)
	w.key = "as it is"
	a := w.start()
	service := w.created(a, codeService())
	for range 2 { // the second of them finds the image by a revision that was not built either
		operation := w.redeployed(a, service)
		if n := w.buildsSoFar(); n != 1 {
			t.Fatalf("there were %d builds, want 1", n)
		}
		for _, step := range operation.Steps {
			if (step.Name == stepFetch || step.Name == stepBuild) && !strings.Contains(step.Detail, "revision 1") {
				t.Errorf("the step %s says %q, and not whose image is used", step.Name, step.Detail)
			}
		}
		if log := strings.Join(w.LastLines(service.ID, "deployment/"+string(operation.ID), 10), "\n"); !strings.Contains(log, "Build skipped: revision 1 ") {
			t.Errorf("the build log is:\n%s", log)
		}
		revision, err := w.store.RevisionByID(t.Context(), platform.RevisionIDFor(operation.ID))
		if err != nil {
			t.Fatal(err)
		}
		if revision.ImageDigest != "sha256:built" || revision.Commit != w.commit || revision.BuildKey != w.key {
			t.Errorf("the revision is %+v", revision)
		}
	}
}

// Whatever a build depends on makes another build when it changes.
func TestWhatChangedIsBuiltAgain(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"the commit":                      func(w *world) { w.commit = strings.Repeat("2", 40) },
		"a setting or the runtime":        func(w *world) { w.key = "another" },
		"what nobody can say":             func(w *world) { w.key = "" },
		"the image, which is gone":        func(w *world) { clear(w.images) },
		"the image, which is another one": func(w *world) { replaceImages(w) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.key = "as it is"
			a := w.start()
			service := w.created(a, codeService())
			w.set(func() { change(w) })
			w.redeployed(a, service)
			if n := w.buildsSoFar(); n != 2 {
				t.Errorf("there were %d builds, want 2", n)
			}
		})
	}
}

func replaceImages(w *world) {
	for name, image := range w.images {
		image.Digest = "sha256:foreign"
		w.images[name] = image
	}
}

// A build that failed, and one whose revision never became healthy, are no builds to use.
func TestABuildOfAFailedDeploymentIsNotUsed(t *testing.T) {
	for _, what := range []string{"build", "probe"} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.key = "as it is"
			a := w.start()
			service := w.created(a, codeService())
			w.set(func() { w.commit = strings.Repeat("2", 40) })
			w.set(func() { w.fail["build"] = errIf(what == "build"); w.startsSilent = what == "probe" })
			if failed, _ := w.ended(w.begin(a, service, platform.OperationStartDeployment, nil)); failed.Status != platform.OperationStatusRollbackSucceeded {
				t.Fatalf("the deployment ended as %s", failed.Status)
			}
			w.set(func() { delete(w.fail, "build"); w.startsSilent = false })
			before := w.buildsSoFar()
			w.redeployed(a, service)
			if n := w.buildsSoFar(); n != before+1 {
				t.Errorf("there were %d builds, want %d", n, before+1)
			}
		})
	}
}

func errIf(is bool) error {
	if is {
		return platform.Explain(nil, "The build failed.")
	}
	return nil
}
