package e2e

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/load"
	"github.com/apron-run/apron/test/sample"
)

func itoa(n int) string { return strconv.Itoa(n) }

// loadRate is how many requests a second are sent through deployments; at least leastRate must have come through.
const (
	loadRate  = 240
	leastRate = 200
)

// Not parallel with others: the rate is part of what is tested.
func TestNoRequestIsLostThroughTenDeployments(t *testing.T) {
	a := apron.Start(t)
	push(t, a, "busy:live", sample.Variant{Version: "version 0"})
	service := a.MustCreate(t, fromImage("busy", "busy:live", nil))
	requests := load.Start(t, a.Client, service.URL, "version 0", loadRate)
	for i := 1; i <= 10; i++ {
		version := fmt.Sprint("version ", i)
		push(t, a, "busy:live", sample.Variant{Version: version})
		requests.Expect(version)
		service.MustDeploy(t)
		requests.Settled()
		if i == 4 {
			pauseUnderLoad(t, a, service, requests)
		}
		if i == 7 {
			failUnderLoad(t, a, service, requests)
		}
		awaitRequests(t, requests, 100)
	}
	report := requests.Stop()
	t.Log(report)
	if len(report.Faults()) > 0 {
		t.Error("requests were lost or answered wrongly")
	}
	if report.PerSecond < leastRate {
		t.Errorf("%.0f requests a second, want at least %d", report.PerSecond, leastRate)
	}
	if report.Paused == 0 {
		t.Error("no request met the pause")
	}
	service.WantOneInstance(t)
}

// pauseUnderLoad pauses and resumes: the one time that requests may be turned away, and then in the right way.
func pauseUnderLoad(t *testing.T, a *apron.Apron, service *apron.Service, requests *load.Load) {
	t.Helper()
	requests.Pausing()
	paused, err := a.SDK().PauseService(t.Context(), &apprunner.PauseServiceInput{ServiceArn: &service.ARN})
	if err != nil {
		t.Fatal(err)
	}
	service.WantOperation(t, *paused.OperationId, "SUCCEEDED")
	awaitRequests(t, requests, 50)
	resumed, err := a.SDK().ResumeService(t.Context(), &apprunner.ResumeServiceInput{ServiceArn: &service.ARN})
	if err != nil {
		t.Fatal(err)
	}
	service.WantOperation(t, *resumed.OperationId, "SUCCEEDED")
	requests.Resumed()
}

// failUnderLoad deploys a version that does not start.
func failUnderLoad(t *testing.T, a *apron.Apron, service *apron.Service, requests *load.Load) {
	t.Helper()
	push(t, a, "busy:live", sample.Variant{Version: "broken", Environment: map[string]string{"MODE": "exit", "EXIT_CODE": "1"}})
	requests.Expect("broken")
	service.WantOperation(t, service.Deploy(t), "ROLLBACK_SUCCEEDED")
	requests.Refused()
}

// awaitRequests waits until so many more requests have come through.
func awaitRequests(t *testing.T, requests *load.Load, more int) {
	t.Helper()
	until := requests.Sent() + more
	apron.Until(t, 30*time.Second, fmt.Sprint(more, " more requests"), func() (bool, error) { return requests.Sent() >= until, nil })
}
