package apprunner_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/apron-run/apron/apprunner"
)

// A service that knows one deployment stands for App Runner in these examples.
func newService() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var input struct{ ServiceArn string }
		if err := json.NewDecoder(r.Body).Decode(&input); err == nil && input.ServiceArn == exampleARN {
			fmt.Fprint(w, `{"OperationId":"f601a8ada74a4681a11b9b113fdd2aa3"}`)
			return
		}
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"ResourceNotFoundException","Message":"There is no such service."}`)
	}))
}

const exampleARN = "arn:aws:apprunner:us-east-1:123456789012:service/web1/8fe1e10304f84fd2b0df550fe98a71fa"

func newClient(url string) *apprunner.Client {
	return &apprunner.Client{
		BaseURL: url, Region: "us-east-1", HTTP: &http.Client{Timeout: 10 * time.Second},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "an example"}, nil
		}),
	}
}

// An action is called through its endpoint, which knows the types of its input and output.
func ExampleEndpoint_Call() {
	service := newService()
	defer service.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	input := &apprunner.StartDeploymentRequest{ServiceARN: new(apprunner.AppRunnerResourceARN(exampleARN))}
	output, err := apprunner.StartDeployment.Call(ctx, newClient(service.URL), input)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*output.OperationID)
	// Output: f601a8ada74a4681a11b9b113fdd2aa3
}

// Each action has a closed set of errors, so that a switch over them can be complete.
func ExampleEndpoint_Call_errors() {
	service := newService()
	defer service.Close()

	input := &apprunner.StartDeploymentRequest{ServiceARN: new(apprunner.AppRunnerResourceARN(exampleARN + "0"))}
	_, err := apprunner.StartDeployment.Call(context.Background(), newClient(service.URL), input)
	var refused apprunner.StartDeploymentError
	if !errors.As(err, &refused) {
		fmt.Println("it is not known what came of it:", err)
		return
	}
	switch refused := refused.(type) {
	case *apprunner.ResourceNotFoundException:
		fmt.Println("not found:", *refused.Message)
	case *apprunner.InvalidRequestException, *apprunner.InternalServiceErrorException:
		fmt.Println("refused:", refused)
	case *apprunner.UnknownOperationError:
		fmt.Println("status", refused.Status, "with", refused.Body)
	}
	// Output: not found: There is no such service.
}

// Validate finds every member that breaks a rule, not only the first.
func ExampleValidate() {
	err := apprunner.Validate(&apprunner.CreateConnectionRequest{
		ConnectionName: new(apprunner.ConnectionName("a b")),
		ProviderType:   new(apprunner.ProviderType("SVN")),
	})
	var invalid *apprunner.ValidationError
	if errors.As(err, &invalid) {
		for _, violation := range invalid.Violations {
			fmt.Printf("%s (%s): it %s\n", violation.Path, violation.Rule, violation.Text)
		}
	}
	// Output:
	// ConnectionName (min length): it has 3 characters, and must have at least 4
	// ProviderType (enum): it is "SVN", and must be one of GITHUB, BITBUCKET
}

func ExampleDecodeJSON() {
	var input apprunner.CreateServiceRequest
	err := apprunner.DecodeJSON([]byte(`{"ServiceName":"web1","InstanceConfiguration":{"CPU":"1024"}}`), &input)
	var refused *apprunner.DecodeError
	if errors.As(err, &refused) {
		fmt.Println(refused.Path, refused.Problem)
	}
	// Output: InstanceConfiguration.CPU is not a member
}

// What a newer service answers is read as far as it is known, and a text that an enum does not have is kept.
func ExampleDecodeAnswer() {
	var operation apprunner.OperationSummary
	answer := `{"Type":"RESTART_SERVICE","Status":"SUCCEEDED","Reason":{"Code":7}}`
	if err := apprunner.DecodeAnswer([]byte(answer), &operation); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*operation.Type, *operation.Status == apprunner.OperationStatusSucceeded)
	// Output: RESTART_SERVICE true
}

func ExampleEncodeJSON() {
	at := time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC)
	fmt.Printf("%s\n", apprunner.EncodeJSON(&apprunner.ListServicesResponse{}))
	fmt.Printf("%s\n", apprunner.EncodeJSON(&apprunner.OperationSummary{StartedAt: &at}))
	// Output:
	// {"ServiceSummaryList":[]}
	// {"StartedAt":1700000000.000}
}

func ExampleEncodeQuery() {
	form := apprunner.EncodeQuery(&apprunner.UntagResourceRequest{TagKeys: apprunner.TagKeyList{"team", "stage"}})
	fmt.Println(form.Encode())
	// Output: TagKeys.member.1=team&TagKeys.member.2=stage
}

func ExampleDecodeQuery() {
	var input apprunner.UntagResourceRequest
	err := apprunner.DecodeQuery(url.Values{"TagKeys.member.2": {"stage"}}, &input)
	fmt.Println(err)
	// Output: TagKeys.member.1 is missing
}

func ExampleEncodeXML() {
	fmt.Printf("%s\n", apprunner.EncodeXML("Tag", &apprunner.Tag{Key: new(apprunner.TagKey("a<b")), Value: new(apprunner.TagValue(""))}))
	// Output: <Tag><Key>a&lt;b</Key><Value></Value></Tag>
}

func ExampleDecodeXML() {
	var tag apprunner.Tag
	if err := apprunner.DecodeXML([]byte("<Tag><Key>team</Key></Tag>"), &tag); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*tag.Key, tag.Value == nil)
	// Output: team true
}

func ExampleFromString() {
	memory, err := apprunner.FromString[apprunner.Memory]("2 GB")
	fmt.Println(memory, err)
	_, err = apprunner.FromString[apprunner.HealthCheckInterval]("five")
	fmt.Println(err)
	// Output:
	// 2 GB <nil>
	// HealthCheckInterval is "five", and must be an integer of 32 bits
}

// A program that handles any shape alike takes its tree of values.
func ExampleToValue() {
	for _, member := range apprunner.ToValue(&apprunner.InstanceConfiguration{
		CPU: new(apprunner.CPU("1 vCPU")), Memory: new(apprunner.Memory("2 GB")),
	}).(apprunner.StructureValue) {
		fmt.Println(member.Name, member.Value)
	}
	// Output:
	// Cpu 1 vCPU
	// Memory 2 GB
}

// The actions describe themselves: their targets and the errors that they declare.
func ExampleActions() {
	for _, action := range apprunner.Actions() {
		if action.Declares(apprunner.CodeServiceQuotaExceeded) {
			fmt.Println(action.Target)
		}
	}
	// Output:
	// AppRunner.CreateAutoScalingConfiguration
	// AppRunner.CreateConnection
	// AppRunner.CreateObservabilityConfiguration
	// AppRunner.CreateService
	// AppRunner.CreateVpcConnector
	// AppRunner.CreateVpcIngressConnection
}

func ExampleEndpoint_ErrorFromXML() {
	err := apprunner.StartDeployment.ErrorFromXML(400, []byte(
		`<ErrorResponse><Error><Code>InvalidRequest</Code><Message>no</Message></Error></ErrorResponse>`))
	_, isInvalid := err.(*apprunner.InvalidRequestException)
	fmt.Println(isInvalid, err)
	// Output: true InvalidRequestException: no
}
