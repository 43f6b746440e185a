package operation

import (
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

// What a deployment has left with running requests is the Supervisor's, which drains it. The next one, which fails, stops only what it has
// started itself.
func TestAFailedDeploymentDoesNotStopWhatIsBeingDrained(t *testing.T) {
	for _, call := range []string{"resolve", "probe"} {
		t.Run("in "+call, func(t *testing.T) {
			w := newWorld(t)
			a := w.start()
			service := w.created(a, codeService())
			var old platform.InstanceID
			w.set(func() {
				for id := range w.instances {
					old = id
				}
			})
			first := w.reach(a, service, "drain") // a long request is in flight on the instance
			if _, err := a.starter.Cancel(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			if operation, _ := w.ended(first); operation.Status != platform.OperationStatusSucceeded {
				t.Fatalf("the first deployment ended %s", operation.Status)
			}
			w.eventually("the Supervisor drains", func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.at["drain"] > 0
			})
			second := w.reach(a, service, call)
			if _, err := a.starter.Cancel(t.Context(), second); err != nil { // or it fails by itself
				t.Fatal(err)
			}
			if operation, _ := w.ended(second); operation.Status != platform.OperationStatusRollbackSucceeded {
				t.Fatalf("the second deployment ended %s", operation.Status)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if _, isThere := w.instances[old]; !isThere {
				t.Error("an instance with a request in flight was stopped")
			}
			if len(w.instances) != 2 {
				t.Errorf("%d instances remain, want the one that serves and the one that leaves", len(w.instances))
			}
			delete(w.hold, "drain")
		})
	}
}
