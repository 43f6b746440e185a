package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/load"
	"github.com/apron-run/apron/test/sample"
)

// slow leaves a test that takes most of a minute to `make faults`.
func slow(t *testing.T) {
	t.Helper()
	if os.Getenv("APRON_FAULTS") == "" {
		t.Skip("takes most of a minute; make faults runs it")
	}
}

// outage is for how long apron or its database is away: longer than a lease holds.
const outage = 35 * time.Second

// deployDuring deploys the next version under load and calls during while the new instance is waited for.
func deployDuring(t *testing.T, a *apron.Apron, service *apron.Service, image string, during func()) {
	t.Helper()
	requests := load.Start(t, a.Client, service.URL, "one", faultRate)
	push(t, a, image, sample.Variant{Version: "two", Environment: map[string]string{"START_DELAY": "3s"}})
	requests.Expect("two")
	id := service.Deploy(t)
	apron.Until(t, time.Minute, "the deployment waits for its new instance", func() (bool, error) {
		operation, err := service.Operation(t.Context(), id)
		return operation.HasReached("health check"), err
	})
	during()
	back := time.Now()
	t.Log(service.WantOperation(t, id, "SUCCEEDED"))
	t.Logf("it ended %s after the outage", time.Since(back))
	requests.Settled()
	wantNoFaults(t, requests)
	service.WantOneInstance(t)
}

// A process that does not run for longer than its lease holds lets go of its operation when it wakes up, as another may have it by then,
// and goes on with it, once, as nobody has.
func TestApronIsStoppedForLongerThanALeaseDuringADeployment(t *testing.T) {
	slow(t)
	t.Parallel()
	a := apron.Start(t)
	push(t, a, "stopped:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("stopped", "stopped:live", nil))
	resume := func() {
		if err := syscall.Kill(a.PID(), syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(resume)
	deployDuring(t, a, service, "stopped:live", func() {
		if err := syscall.Kill(a.PID(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(outage)
		resume()
	})
	if log := a.LogTail(10000); strings.Contains(log, "operation interrupted") {
		t.Errorf("the operation was interrupted:\n%s", log)
	}
}

// A database that is away in the middle of a deployment: the API says so, the traffic goes on, and so does the deployment
// once the database is back.
func TestADatabaseThatIsAwayDuringADeployment(t *testing.T) {
	slow(t)
	t.Parallel()
	server, settings := onPostgres(t)
	a := apron.Start(t, "--config="+settings)
	push(t, a, "away:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("away", "away:live", nil))
	deployDuring(t, a, service, "away:live", func() {
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(outage); time.Now().Before(end); time.Sleep(time.Second) {
			_, err := a.SDK().DescribeService(t.Context(), &apprunner.DescribeServiceInput{ServiceArn: &service.ARN})
			if err == nil || !strings.Contains(err.Error(), "apron's database server does not answer") {
				t.Errorf("a call without the database: %v", err)
			}
			_, err = a.SDK().PauseService(t.Context(), &apprunner.PauseServiceInput{ServiceArn: &service.ARN})
			if err == nil || !strings.Contains(err.Error(), "apron's database server does not answer") {
				t.Errorf("a call that writes without the database: %v", err)
			}
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	})
}
