package apron

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
)

// Service is a service as a test holds it.
type Service struct {
	apron *Apron
	// ARN and URL are the API's ServiceArn and ServiceUrl.
	ARN, ID, Name, URL string
}

// SecureURL is where it answers by HTTPS.
func (s *Service) SecureURL() string {
	host, _, _ := strings.Cut(s.URL, ":")
	_, port, _ := strings.Cut(s.apron.HTTPS, ":")
	return "https://" + host + ":" + port
}

// Operation is an operation with its steps, as Apron.DescribeOperation tells it.
type Operation struct {
	ID      string `json:"Id"`
	Type    string
	Status  string
	Steps   []Step
	Failure *Failure
}

// Step is a unit of an operation. Its times are in seconds since 1970; EndedAt is 0 while it runs.
type Step struct {
	Name, State, Detail string
	StartedAt, EndedAt  float64
}

// Failure is why an operation failed.
type Failure struct {
	Step, Cause, Remedy string
	Observed, Evidence  []string
}

// IsOver says whether the operation will not change any more.
func (o Operation) IsOver() bool {
	return o.Status != "PENDING" && o.Status != "IN_PROGRESS" && o.Status != "ROLLBACK_IN_PROGRESS"
}

// HasReached says whether the operation has begun the step.
func (o Operation) HasReached(step string) bool {
	for _, each := range o.Steps {
		if each.Name == step {
			return true
		}
	}
	return false
}

func (o Operation) String() string {
	text := o.Type + " " + o.Status
	for _, step := range o.Steps {
		text += fmt.Sprintf("\n    %s %s %s", step.Name, step.State, step.Detail)
	}
	if o.Failure != nil {
		text += fmt.Sprintf("\n    in %s: %s (%s)\n      %s", o.Failure.Step, o.Failure.Cause, o.Failure.Remedy,
			strings.Join(slices.Concat(o.Failure.Observed, o.Failure.Evidence), "\n      "))
	}
	return text
}

// Instance is one running copy of a service.
type Instance struct {
	ID         string `json:"Id"`
	RevisionID string `json:"RevisionId"`
	State      string
	Address    string
}

// operationTimeout bounds one operation in a test: the longest assembles a base image first.
const operationTimeout = 8 * time.Minute

// Create creates a service and returns it with the id of its first operation, without waiting.
func (a *Apron) Create(t testing.TB, input *apprunner.CreateServiceInput) (*Service, string) {
	t.Helper()
	output, err := a.SDK().CreateService(t.Context(), input)
	if err != nil {
		t.Fatalf("create service %s: %v", aws.ToString(input.ServiceName), err)
	}
	return a.Hold(output.Service), aws.ToString(output.OperationId)
}

// Hold makes a Service of what the API or the AWS CLI has answered.
func (a *Apron) Hold(service *types.Service) *Service {
	return &Service{a, aws.ToString(service.ServiceArn), aws.ToString(service.ServiceId), aws.ToString(service.ServiceName), aws.ToString(service.ServiceUrl)}
}

// MustCreate creates a service and waits until it runs.
func (a *Apron) MustCreate(t testing.TB, input *apprunner.CreateServiceInput) *Service {
	t.Helper()
	service, operation := a.Create(t, input)
	service.WantOperation(t, operation, "SUCCEEDED")
	return service
}

// Deploy starts a deployment and returns the operation's id.
func (s *Service) Deploy(t testing.TB) string {
	t.Helper()
	output, err := s.apron.SDK().StartDeployment(t.Context(), &apprunner.StartDeploymentInput{ServiceArn: &s.ARN})
	if err != nil {
		t.Fatalf("deploy %s: %v", s.Name, err)
	}
	return aws.ToString(output.OperationId)
}

// Update changes the service's source and returns the operation's id.
func (s *Service) Update(t testing.TB, source *types.SourceConfiguration) string {
	t.Helper()
	output, err := s.apron.SDK().UpdateService(t.Context(), &apprunner.UpdateServiceInput{ServiceArn: &s.ARN, SourceConfiguration: source})
	if err != nil {
		t.Fatalf("update %s: %v", s.Name, err)
	}
	return aws.ToString(output.OperationId)
}

// MustDeploy deploys and waits until that has succeeded.
func (s *Service) MustDeploy(t testing.TB) {
	t.Helper()
	s.WantOperation(t, s.Deploy(t), "SUCCEEDED")
}

// Delete deletes the service and waits until it is gone.
func (s *Service) Delete(t testing.TB) {
	t.Helper()
	output, err := s.apron.SDK().DeleteService(t.Context(), &apprunner.DeleteServiceInput{ServiceArn: &s.ARN})
	if err != nil {
		t.Fatalf("delete %s: %v", s.Name, err)
	}
	s.WantOperation(t, aws.ToString(output.OperationId), "SUCCEEDED")
}

// Describe asks the API for the service.
func (s *Service) Describe(t testing.TB) types.Service {
	t.Helper()
	output, err := s.apron.SDK().DescribeService(t.Context(), &apprunner.DescribeServiceInput{ServiceArn: &s.ARN})
	if err != nil {
		t.Fatalf("describe %s: %v", s.Name, err)
	}
	return *output.Service
}

// WantStatus fails the test unless the service has the status.
func (s *Service) WantStatus(t testing.TB, want types.ServiceStatus) {
	t.Helper()
	if got := s.Describe(t).Status; got != want {
		t.Errorf("the status of %s is %s, want %s", s.Name, got, want)
	}
}

// Operation asks for one operation.
func (s *Service) Operation(ctx context.Context, id string) (Operation, error) {
	var output struct{ Operation Operation }
	err := s.apron.Extension(ctx, "DescribeOperation", map[string]string{"ServiceArn": s.ARN, "OperationId": id}, &output)
	return output.Operation, err
}

// AwaitOperation waits until the operation has ended and returns it.
func (s *Service) AwaitOperation(t testing.TB, id string) Operation {
	t.Helper()
	var operation Operation
	Until(t, operationTimeout, "the end of operation "+id+" of "+s.Name, func() (done bool, err error) {
		operation, err = s.Operation(t.Context(), id)
		return err == nil && operation.IsOver(), err
	})
	return operation
}

// WantOperation waits until the operation has ended, fails the test unless it has the status, and returns it.
func (s *Service) WantOperation(t testing.TB, id, status string) Operation {
	t.Helper()
	operation := s.AwaitOperation(t, id)
	if operation.Status != status {
		t.Fatalf("operation of %s: want %s, got %s", s.Name, status, operation)
	}
	return operation
}

// Instances asks what runs for the service.
func (s *Service) Instances(t testing.TB) []Instance {
	t.Helper()
	var output struct{ Instances []Instance }
	if err := s.apron.Extension(t.Context(), "ListInstances", map[string]string{"ServiceArn": s.ARN}, &output); err != nil {
		t.Fatalf("list the instances of %s: %v", s.Name, err)
	}
	return output.Instances
}

// WantOneInstance waits until exactly one instance is there, as when a deployment's old instance is on its way out, and
// returns it.
func (s *Service) WantOneInstance(t testing.TB) Instance {
	t.Helper()
	var instances []Instance
	Until(t, 30*time.Second, "one instance of "+s.Name, func() (bool, error) {
		instances = s.Instances(t)
		return len(instances) == 1 && instances[0].Runs(), fmt.Errorf("instances are %+v", instances)
	})
	return instances[0]
}

// Runs says whether the instance runs, frozen or not: what was without a request for a while is.
func (i Instance) Runs() bool { return i.State == "RUNNING" || i.State == "FROZEN" }

// Lines reads the newest lines of one of the service's logs.
func (s *Service) Lines(t testing.TB, stream string) []string {
	t.Helper()
	var output struct{ Lines []struct{ Message string } }
	input := map[string]any{"ServiceArn": s.ARN, "Stream": stream, "Limit": 1000}
	if err := s.apron.Extension(t.Context(), "ReadLogs", input, &output); err != nil {
		t.Fatalf("read the log %s of %s: %v", stream, s.Name, err)
	}
	lines := make([]string, len(output.Lines))
	for i, line := range output.Lines {
		lines[i] = line.Message
	}
	return lines
}

// Until asks done again and again until it says so; the test fails when the time is over, with the last error.
func Until(t testing.TB, within time.Duration, what string, done func() (bool, error)) {
	t.Helper()
	deadline := time.Now().Add(within)
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		isDone, err := done()
		if isDone {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s (last: %v)", within, what, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("the test ended while it waited for %s", what)
		case <-time.After(wait):
		}
	}
}
