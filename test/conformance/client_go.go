package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// goClient calls the methods of the SDK's client by their names.
type goClient struct {
	sdk     *apprunner.Client
	version string
}

func newGo(at where, _ string) (Client, error) {
	version, err := moduleVersion("github.com/aws/aws-sdk-go-v2/service/apprunner")
	if err != nil {
		return nil, err
	}
	sdk := apprunner.New(apprunner.Options{
		BaseEndpoint: &at.endpoint, Region: at.region, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: at.keyID, SecretAccessKey: at.secret}, nil
		}),
		HTTPClient: &http.Client{Timeout: time.Minute},
	})
	return goClient{sdk, version}, nil
}

func (c goClient) Name() string    { return goSDK }
func (c goClient) Version() string { return c.version }
func (c goClient) Close() error    { return nil }

func (c goClient) Call(ctx context.Context, action string, input json.RawMessage) (json.RawMessage, *APIError) {
	method := reflect.ValueOf(c.sdk).MethodByName(action)
	if !method.IsValid() {
		return nil, &APIError{Code: ClientSide, Message: "the client has no method " + action}
	}
	parameter := reflect.New(method.Type().In(1).Elem())
	decoder := json.NewDecoder(bytes.NewReader(input))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(parameter.Interface()); err != nil {
		return nil, &APIError{Code: ClientSide, Message: err.Error()}
	}
	results := method.Call([]reflect.Value{reflect.ValueOf(ctx), parameter})
	if err, isError := results[1].Interface().(error); isError {
		return nil, goError(err)
	}
	output, err := json.Marshal(members(results[0]))
	if err != nil {
		return nil, noAnswer("encode the output: %v", err)
	}
	return output, nil
}

func goError(err error) *APIError {
	var invalid smithy.InvalidParamsError
	if errors.As(err, &invalid) {
		return &APIError{Code: ClientSide, Message: err.Error()}
	}
	var refused smithy.APIError
	if !errors.As(err, &refused) {
		return noAnswer("%v", err)
	}
	told := &APIError{Code: refused.ErrorCode(), Message: refused.ErrorMessage()}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		told.HTTPStatus = response.HTTPStatusCode()
	}
	return told
}

// members turns a value of the SDK into what it was on the wire: absent members are left out, times are numbers.
func members(value reflect.Value) any {
	switch value.Kind() {
	case reflect.Pointer:
		if value.IsNil() {
			return nil
		}
		return members(value.Elem())
	case reflect.Struct:
		if at, isTime := value.Interface().(time.Time); isTime {
			return float64(at.UnixMicro()) / 1e6
		}
		found := map[string]any{}
		for i := range value.NumField() {
			field := value.Type().Field(i)
			if !field.IsExported() || field.Name == "ResultMetadata" {
				continue
			}
			if member := members(value.Field(i)); member != nil {
				found[field.Name] = member
			}
		}
		return found
	case reflect.Slice:
		if value.IsNil() {
			return nil
		}
		list := make([]any, value.Len())
		for i := range list {
			list[i] = members(value.Index(i))
		}
		return list
	case reflect.Map:
		if value.IsNil() {
			return nil
		}
		found := map[string]any{}
		for _, key := range value.MapKeys() {
			found[key.String()] = members(value.MapIndex(key))
		}
		return found
	case reflect.String:
		// An enum is no pointer, and absent when it is empty. Other strings were pointers, so that an empty one is there.
		if value.Type() != reflect.TypeFor[string]() && value.String() == "" {
			return nil
		}
		return value.String()
	default:
		return value.Interface()
	}
}

// moduleVersion is the version of a module that go.mod names, without the v.
func moduleVersion(path string) (string, error) {
	content, err := os.ReadFile("../../go.mod")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == path {
			return strings.TrimPrefix(words[1], "v"), nil
		}
	}
	return "", fmt.Errorf("go.mod does not name %s", path)
}
