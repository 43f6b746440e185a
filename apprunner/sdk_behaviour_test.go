package apprunner

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// What the SDK's types do not say of the model, its behaviour does: it refuses an input without a required member, and
// it has a type for the exceptions that an action declares.

// answers is an HTTP client that answers everything with one exception.
type answers string

func (code answers) Do(*http.Request) (*http.Response, error) {
	body := fmt.Sprintf(`{"__type":%q,"Message":"why"}`, string(code))
	return &http.Response{StatusCode: 400, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// callSDK calls an action of the SDK with an input that fill has made, and returns its error.
func callSDK(t *testing.T, action string, code answers, fill func(input reflect.Value)) error {
	t.Helper()
	client := sdk.New(sdk.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1:1"), HTTPClient: code, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(keysOfExample),
	})
	method := reflect.ValueOf(client).MethodByName(action)
	input := reflect.New(method.Type().In(1).Elem())
	fill(input.Elem())
	results := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), input})
	err, _ := results[1].Interface().(error)
	if err == nil {
		t.Fatalf("%s of the SDK has no error", action)
	}
	return err
}

// grow makes every structure below a value, and one element of each list of structures. With scalars it makes those too.
func grow(value reflect.Value, withScalars bool) {
	switch value.Kind() {
	case reflect.Struct:
		if value.Type().PkgPath() == "time" {
			return
		}
		for i := range value.NumField() {
			if value.Type().Field(i).IsExported() {
				grow(value.Field(i), withScalars)
			}
		}
	case reflect.Pointer:
		if value.Type().Elem().Kind() == reflect.Struct || withScalars {
			value.Set(reflect.New(value.Type().Elem()))
			grow(value.Elem(), withScalars)
		}
	case reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Struct || withScalars {
			value.Set(reflect.MakeSlice(value.Type(), 1, 1))
			grow(value.Index(0), withScalars)
		}
	case reflect.String:
		if withScalars {
			value.SetString("x")
		}
	}
}

// neverAbsent are required members that the SDK does not ask for, because in it they are no pointers: it writes them always.
var neverAbsent = []string{"ObservabilityConfiguration.ObservabilityEnabled"}

func TestRequiredMembersAreThoseThatTheSDKAsksFor(t *testing.T) {
	count := 0
	for _, endpoint := range endpoints {
		action := endpoint.action()
		if action.IsExtension {
			continue
		}
		for name, fill := range map[string]func(reflect.Value){
			"nothing":          func(reflect.Value) {},
			"empty structures": func(value reflect.Value) { grow(value, false) },
		} {
			var theirs []string
			var invalid smithy.InvalidParamsError
			if errors.As(callSDK(t, action.Name, "", fill), &invalid) {
				for _, one := range invalid.Errs() {
					var param smithy.InvalidParamError
					if !errors.As(one, &param) {
						t.Fatalf("%T is no error of a parameter", one)
					}
					_, member, _ := strings.Cut(param.Field(), ".")
					theirs = append(theirs, member)
				}
			}
			input := reflect.New(endpoint.input())
			fill(input.Elem())
			var ours []string
			var refused *ValidationError
			if errors.As(Validate(input.Interface()), &refused) {
				for _, violation := range refused.Violations {
					if violation.Rule == RuleRequired && !slices.Contains(neverAbsent, violation.Path) {
						ours = append(ours, violation.Path)
					}
				}
			}
			slices.Sort(theirs)
			slices.Sort(ours)
			count += len(ours)
			if diff := cmp.Diff(theirs, ours); diff != "" {
				t.Errorf("%s with %s lacks other members (-SDK +ours):\n%s", action.Name, name, diff)
			}
		}
	}
	if count < 60 {
		t.Errorf("only %d members were missed", count)
	}
}

func TestDeclaredErrorsAreThoseThatTheSDKHasTypesFor(t *testing.T) {
	for _, endpoint := range endpoints {
		action := endpoint.action()
		if action.IsExtension {
			continue
		}
		for _, code := range exceptionCodes {
			err := callSDK(t, action.Name, answers(code), func(value reflect.Value) { grow(value, true) })
			var answered smithy.APIError
			if !errors.As(err, &answered) || answered.ErrorCode() != string(code) {
				t.Fatalf("%s of the SDK answers %v to a %s", action.Name, err, code)
			}
			var untyped *smithy.GenericAPIError
			if isTyped := !errors.As(err, &untyped); isTyped != action.Declares(code) {
				t.Errorf("%s declares %s: %v, and in the SDK %v", action.Name, code, action.Declares(code), isTyped)
			}
		}
	}
}
