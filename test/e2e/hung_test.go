package e2e

import (
	"syscall"
	"testing"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// A containerd that is there and does not answer is killed and started anew. Instances go on, and a deployment that was at
// work with it does too.
func TestAContainerdThatHangsIsStartedAgain(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	push(t, a, "hung:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("hung", "hung:live", nil))
	process := a.Get(t, service.URL, "/id").Body
	pid, err := daemonPID(a, "containerd")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	id := service.Deploy(t)
	a.WantBody(t, service.URL, "/id", process)
	service.WantOperation(t, id, "SUCCEEDED")
	service.WantOneInstance(t)
	if after := a.Get(t, service.URL, "/id").Body; after == process {
		t.Error("the deployment brought no new instance")
	}
}
