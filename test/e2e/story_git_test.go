package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// The story of a service from its creation to its end, told by the AWS CLI alone, from a repository that is pushed to the
// embedded Git server.
func TestStoryFromGit(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	repository := sample.NewRepository(t, sample.PythonApp("one"))
	pushCode(t, a, repository, "story")

	var created apprunner.CreateServiceOutput
	a.AWS(t, &created, "create-service", "--service-name", "story", "--source-configuration", apron.JSON(t, map[string]any{
		"AutoDeploymentsEnabled": false,
		"CodeRepository": map[string]any{
			"RepositoryUrl":     a.Endpoint() + "/git/story.git",
			"SourceCodeVersion": map[string]any{"Type": "BRANCH", "Value": "main"},
			"CodeConfiguration": map[string]any{"ConfigurationSource": "REPOSITORY"},
		},
	}))
	service := a.Hold(created.Service)
	wantNewService(t, created)
	wantByCLI(t, a, service, *created.OperationId, "CREATE_SERVICE", "SUCCEEDED")
	a.WantBody(t, service.URL, "/", "one")
	a.WantBody(t, service.URL, "/env?GREETING", "from the file")

	repository.Commit("Say two", sample.PythonApp("two"))
	pushCode(t, a, repository, "story")
	a.WantBody(t, service.URL, "/", "one") // automatic deployments are off
	deployByCLI(t, a, service, "SUCCEEDED")
	a.WantBody(t, service.URL, "/", "two")
	again := deployByCLI(t, a, service, "SUCCEEDED") // the same commit
	if log := strings.Join(service.Lines(t, "deployment/"+again), "\n"); !strings.Contains(log, "Build skipped: revision 2 ") {
		t.Errorf("the deployment of a commit that was built says:\n%s", log)
	}
	a.WantBody(t, service.URL, "/", "two")

	pauseAndResumeByCLI(t, a, service, "two")

	var updated apprunner.UpdateServiceOutput
	a.AWS(t, &updated, "update-service", "--service-arn", service.ARN, "--instance-configuration", "Cpu=0.25 vCPU,Memory=0.5 GB",
		"--source-configuration", apron.JSON(t, map[string]any{"CodeRepository": map[string]any{
			"RepositoryUrl":     a.Endpoint() + "/git/story.git",
			"SourceCodeVersion": map[string]any{"Type": "BRANCH", "Value": "main"},
			"CodeConfiguration": map[string]any{"ConfigurationSource": "API", "CodeConfigurationValues": map[string]any{
				"Runtime": "PYTHON_311", "BuildCommand": "python3 -m compileall -q .", "StartCommand": "python3 app.py", "Port": "9000",
				"RuntimeEnvironmentVariables": map[string]any{"GREETING": "from the update"},
			}},
		}}))
	wantByCLI(t, a, service, *updated.OperationId, "UPDATE_SERVICE", "SUCCEEDED")
	a.WantBody(t, service.URL, "/", "two")
	a.WantBody(t, service.URL, "/env?GREETING", "from the update")
	a.WantBody(t, service.URL, "/env?PORT", "9000")
	if size := describeByCLI(t, a, service).InstanceConfiguration; *size.Cpu != "256" || *size.Memory != "512" {
		t.Errorf("after the update the size is %s, %s", *size.Cpu, *size.Memory)
	}

	repository.Commit("Break the build", map[string]string{"broken.py": "def broken(:\n"})
	pushCode(t, a, repository, "story")
	broken := deployByCLI(t, a, service, "ROLLBACK_SUCCEEDED")
	wantTold(t, a, service, broken, "compileall", "broken.py", "SyntaxError")
	a.WantBody(t, service.URL, "/", "two")

	repository.Commit("Break the start", map[string]string{"broken.py": "", "app.py": "import sys\nsys.exit('no database today')\n"})
	pushCode(t, a, repository, "story")
	broken = deployByCLI(t, a, service, "ROLLBACK_SUCCEEDED")
	wantTold(t, a, service, broken, "exit code 1", "no database today")
	a.WantBody(t, service.URL, "/", "two")
	if status := describeByCLI(t, a, service).Status; status != types.ServiceStatusRunning {
		t.Errorf("after a failed deployment the status is %s", status)
	}

	deleteByCLI(t, a, service)
}

// pushCode pushes the branch main as a user would: with the key pair in the URL.
func pushCode(t *testing.T, a *apron.Apron, repository *sample.Repository, name string, flags ...string) {
	t.Helper()
	keys, err := a.Keys()
	if err != nil {
		t.Fatal(err)
	}
	address := url.URL{
		Scheme: "http", Host: a.API, Path: "/git/" + name + ".git", User: url.UserPassword(keys.AccessKeyID, keys.SecretAccessKey),
	}
	repository.Git(append([]string{"push", "--quiet", address.String(), "main"}, flags...)...)
}

func wantNewService(t *testing.T, created apprunner.CreateServiceOutput) {
	t.Helper()
	if created.Service.Status != types.ServiceStatusOperationInProgress {
		t.Errorf("a new service's status is %s", created.Service.Status)
	}
	if !regexp.MustCompile(`^[a-z0-9]{10}\.us-east-1\.apron\.localhost(:[0-9]+)?$`).MatchString(*created.Service.ServiceUrl) {
		t.Errorf("a new service's URL is %s", *created.Service.ServiceUrl)
	}
	if !regexp.MustCompile(`^arn:aws:apprunner:us-east-1:000000000000:service/[^/]+/[0-9a-f]{32}$`).MatchString(*created.Service.ServiceArn) {
		t.Errorf("a new service's ARN is %s", *created.Service.ServiceArn)
	}
}

// wantByCLI polls list-operations, as scripts do, until the operation has ended.
func wantByCLI(t *testing.T, a *apron.Apron, service *apron.Service, id, kind, want string) {
	t.Helper()
	var found types.OperationSummary
	apron.Until(t, 8*time.Minute, kind+" "+want, func() (bool, error) {
		var listed apprunner.ListOperationsOutput
		a.AWS(t, &listed, "list-operations", "--service-arn", service.ARN)
		at := slices.IndexFunc(listed.OperationSummaryList, func(o types.OperationSummary) bool { return *o.Id == id })
		if at != 0 {
			t.Fatalf("operation %s is number %d of the list, want it first: %+v", id, at, listed.OperationSummaryList)
		}
		found = listed.OperationSummaryList[at]
		return found.EndedAt != nil, nil
	})
	if string(found.Type) != kind || string(found.Status) != want || *found.TargetArn != service.ARN || found.EndedAt.Before(*found.StartedAt) {
		operation, err := service.Operation(t.Context(), id)
		t.Fatalf("list-operations tells %s %s, want %s %s (%v): %s", found.Type, found.Status, kind, want, err, operation)
	}
}

func deployByCLI(t *testing.T, a *apron.Apron, service *apron.Service, want string) (operation string) {
	t.Helper()
	var started apprunner.StartDeploymentOutput
	a.AWS(t, &started, "start-deployment", "--service-arn", service.ARN)
	wantByCLI(t, a, service, *started.OperationId, "START_DEPLOYMENT", want)
	return *started.OperationId
}

func describeByCLI(t *testing.T, a *apron.Apron, service *apron.Service) *types.Service {
	t.Helper()
	var described apprunner.DescribeServiceOutput
	a.AWS(t, &described, "describe-service", "--service-arn", service.ARN)
	return described.Service
}

func pauseAndResumeByCLI(t *testing.T, a *apron.Apron, service *apron.Service, version string) {
	t.Helper()
	var paused apprunner.PauseServiceOutput
	a.AWS(t, &paused, "pause-service", "--service-arn", service.ARN)
	wantByCLI(t, a, service, *paused.OperationId, "PAUSE_SERVICE", "SUCCEEDED")
	if answer := a.Get(t, service.URL, "/"); answer.Status != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("a paused service answers %d %v", answer.Status, answer.Header)
	}
	if status := describeByCLI(t, a, service).Status; status != types.ServiceStatusPaused {
		t.Errorf("a paused service's status is %s", status)
	}
	if left := service.Instances(t); len(left) != 0 {
		t.Errorf("a paused service has instances: %+v", left)
	}
	if refusal := a.AWSFails(t, "start-deployment", "--service-arn", service.ARN); !strings.Contains(refusal, "InvalidRequestException") {
		t.Errorf("a deployment of a paused service is refused with %s", refusal)
	}
	var resumed apprunner.ResumeServiceOutput
	a.AWS(t, &resumed, "resume-service", "--service-arn", service.ARN)
	wantByCLI(t, a, service, *resumed.OperationId, "RESUME_SERVICE", "SUCCEEDED")
	a.WantBody(t, service.URL, "/", version)
}

// wantTold fails the test unless `apron operations` tells the cause of a failed operation.
func wantTold(t *testing.T, a *apron.Apron, service *apron.Service, id string, texts ...string) {
	t.Helper()
	operation, err := service.Operation(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	wantFailure(t, operation, texts...)
	told := a.MustCommand(t, "operations", service.Name, id)
	if !strings.Contains(told, operation.Failure.Cause) || !strings.Contains(told, "ROLLBACK_SUCCEEDED") {
		t.Errorf("apron operations does not tell why %s failed:\n%s", id, told)
	}
}

func deleteByCLI(t *testing.T, a *apron.Apron, service *apron.Service) {
	t.Helper()
	var deleted apprunner.DeleteServiceOutput
	a.AWS(t, &deleted, "delete-service", "--service-arn", service.ARN)
	apron.Until(t, time.Minute, "the end of "+service.Name, func() (bool, error) {
		return describeByCLI(t, a, service).Status == types.ServiceStatusDeleted, nil
	})
	if answer := a.Get(t, service.URL, "/"); answer.Status != http.StatusNotFound {
		t.Errorf("a deleted service answers %d: %s", answer.Status, answer.Body)
	}
	var listed apprunner.ListServicesOutput
	a.AWS(t, &listed, "list-services")
	for _, each := range listed.ServiceSummaryList {
		if *each.ServiceArn == service.ARN {
			t.Errorf("list-services still lists the deleted service: %+v", each)
		}
	}
	if describeByCLI(t, a, service).DeletedAt == nil {
		t.Error("a deleted service has no DeletedAt")
	}
}
