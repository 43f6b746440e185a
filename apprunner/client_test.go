package apprunner

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
)

// answering is a service that answers everything the same way, and remembers what it was asked.
type answering struct {
	status int
	header string
	body   string
	asked  *http.Request
	input  string
}

func (a *answering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	input, _ := io.ReadAll(r.Body)
	a.asked, a.input = r, string(input)
	if a.header != "" {
		w.Header().Set("X-Amzn-Errortype", a.header)
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func call(t *testing.T, a *answering) (*StartDeploymentResponse, error) {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	client := &Client{
		BaseURL: server.URL, Region: "us-east-1",
		Credentials: aws.CredentialsProviderFunc(keysOfExample),
	}
	return StartDeployment.Call(t.Context(), client, &StartDeploymentRequest{ServiceARN: new(AppRunnerResourceARN("arn"))})
}

func keysOfExample(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
}

func TestCall(t *testing.T) {
	a := &answering{status: 200, body: `{"OperationId":"f601a8ada74a4681a11b9b113fdd2aa3","Newer":{"a":[1,null,"x"]}}`}
	output, err := call(t, a)
	if err != nil || *output.OperationID != "f601a8ada74a4681a11b9b113fdd2aa3" {
		t.Fatalf("%+v, %v", output, err)
	}
	if a.input != `{"ServiceArn":"arn"}` || a.asked.Header.Get("X-Amz-Target") != "AppRunner.StartDeployment" ||
		a.asked.Header.Get("Content-Type") != ContentType ||
		!strings.Contains(a.asked.Header.Get("Authorization"), "/us-east-1/apprunner/aws4_request") {
		t.Errorf("asked %q with %v", a.input, a.asked.Header)
	}
}

func TestCallRefused(t *testing.T) {
	for name, test := range map[string]struct {
		answering
		want StartDeploymentError
	}{
		"by the header": {
			answering{status: 400, header: "ResourceNotFoundException:http://x/", body: `{"message":"no such service"}`},
			&ResourceNotFoundException{new(ErrorMessage("no such service"))},
		},
		"by the body": {
			answering{status: 400, body: `{"__type":"com.amazonaws.apprunner#InvalidRequestException","Message":"no"}`},
			&InvalidRequestException{new(ErrorMessage("no"))},
		},
		"by what the action does not declare": {
			answering{status: 400, body: `{"__type":"InvalidStateException","Message":"no"}`},
			&UnknownOperationError{"InvalidStateException", 400, `{"__type":"InvalidStateException","Message":"no"}`, new(ErrorMessage("no"))},
		},
		"by something else": {
			answering{status: 502, body: "Bad Gateway"},
			&UnknownOperationError{"", 502, "Bad Gateway", new(ErrorMessage("HTTP status 502"))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := call(t, &test.answering)
			var refused StartDeploymentError
			if !errors.As(err, &refused) {
				t.Fatalf("%T %v", err, err)
			}
			if diff := cmp.Diff(test.want, refused); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCallWithoutAnInputSendsAnEmptyOne(t *testing.T) {
	a := &answering{status: 200, body: `{"ServiceSummaryList":[]}`}
	server := httptest.NewServer(a)
	defer server.Close()
	client := &Client{BaseURL: server.URL, Region: "us-east-1", Credentials: aws.CredentialsProviderFunc(keysOfExample)}
	if _, err := ListServices.Call(t.Context(), client, nil); err != nil || a.input != "{}" {
		t.Errorf("asked %q: %v", a.input, err)
	}
}

// A redirect would be followed with a signature for another path.
func TestTheURLOfAClientMayEndWithASlash(t *testing.T) {
	a := &answering{status: 200, body: `{}`}
	server := httptest.NewServer(a)
	defer server.Close()
	client := &Client{BaseURL: server.URL + "/", Region: "us-east-1", Credentials: aws.CredentialsProviderFunc(keysOfExample)}
	if _, err := ListServices.Call(t.Context(), client, nil); err != nil || a.asked.URL.Path != "/" {
		t.Errorf("asked %q: %v", a.asked.URL.Path, err)
	}
}

func TestAnAnswerOfSomethingElseIsToldByItsStatus(t *testing.T) {
	_, err := call(t, &answering{status: 404, body: "<h1>Not found</h1>"})
	if err == nil || err.Error() != "HTTP status 404" {
		t.Errorf("%v", err)
	}
}

func TestCallThatIsNotAnswered(t *testing.T) {
	for name, body := range map[string]string{"no JSON": "<html>", "the wrong type": `{"OperationId":1}`} {
		_, err := call(t, &answering{status: 200, body: body})
		var refused StartDeploymentError
		if err == nil || errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := StartDeployment.Call(t.Context(), &Client{BaseURL: "http://127.0.0.1:1"}, &StartDeploymentRequest{})
	if err == nil || !strings.Contains(err.Error(), "credentials") {
		t.Error(err)
	}
}

func TestErrorsOfXML(t *testing.T) {
	const inner = `<Error><Type>Sender</Type><Code>ResourceNotfound</Code><Message>no such service</Message></Error>`
	for _, body := range []string{inner, `<ErrorResponse xmlns="http://apprunner.amazonaws.com/doc/2020-05-15/">` + inner + `<RequestId>1</RequestId></ErrorResponse>`} {
		want := &ResourceNotFoundException{new(ErrorMessage("no such service"))}
		if diff := cmp.Diff(StartDeploymentError(want), StartDeployment.ErrorFromXML(400, []byte(body))); diff != "" {
			t.Error(diff)
		}
	}
	if _, isUnknown := StartDeployment.ErrorFromXML(400, []byte("<x>")).(*UnknownOperationError); !isUnknown {
		t.Error("what is no error has a type")
	}
}

// Every exception that an action declares comes back from its own JSON, and so do those that it does not.
func TestErrorsRoundTrip(t *testing.T) {
	for _, action := range Actions() {
		for _, code := range []ErrorCode{CodeInvalidRequest, CodeInvalidState, CodeResourceNotFound, CodeServiceQuotaExceeded, CodeInternalServiceError, "ThrottlingException"} {
			endpoint := Endpoint[struct{}, struct{}, anyError]{action}
			body, err := json.Marshal(map[string]string{"__type": string(code), "Message": "why"})
			if err != nil {
				t.Fatal(err)
			}
			read := endpoint.ErrorFromJSON("", 400, body)
			_, isUnknown := read.(*UnknownOperationError)
			if read.Code() != code || isUnknown == action.Declares(code) {
				t.Errorf("%s reads %s as %T", action.Name, code, read)
			}
			if diff := cmp.Diff(read, endpoint.ErrorFromJSON("", 400, endpoint.ErrorToJSON(read))); diff != "" {
				t.Error(diff)
			}
		}
	}
}

type anyError interface{ Exception }

// Each endpoint's sum holds what the action declares.
func TestSumsAreComplete(t *testing.T) {
	check := func(name string, makes func(code ErrorCode) Exception, action Action) {
		for _, code := range action.Errors {
			if got := makes(code); got.Code() != code {
				t.Errorf("%s: %s becomes %T", name, code, got)
			}
		}
	}
	for _, endpoint := range endpoints {
		check(endpoint.action().Name, endpoint.errorOf, endpoint.action())
	}
	if len(endpoints) != len(actions)+len(extensions) {
		t.Errorf("%d endpoints are listed, and there are %d actions", len(endpoints), len(actions)+len(extensions))
	}
}
