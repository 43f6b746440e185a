package apprunner

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeRefusesWithThePathOfTheMember(t *testing.T) {
	cases := []struct {
		name, body string
		want       DecodeError
	}{
		{"nothing", ``, DecodeError{Problem: ProblemSyntax}},
		{"not JSON", `hello`, DecodeError{Problem: ProblemSyntax}},
		{"a list", `[]`, DecodeError{Problem: ProblemWrongType, Wanted: "an object"}},
		{"null", `null`, DecodeError{Problem: ProblemWrongType, Wanted: "an object"}},
		{"cut off", `{"ServiceName":"we`, DecodeError{Problem: ProblemSyntax, Path: "ServiceName"}},
		{"a comma too many", `{"ServiceName":"web",}`, DecodeError{Problem: ProblemSyntax}},
		{"no colon", `{"ServiceName" "web"}`, DecodeError{Problem: ProblemSyntax, Path: "ServiceName"}},
		{"a control character", "{\"ServiceName\":\"a\nb\"}", DecodeError{Problem: ProblemSyntax, Path: "ServiceName"}},
		{"an escape that is none", `{"ServiceName":"\x"}`, DecodeError{Problem: ProblemSyntax, Path: "ServiceName"}},
		{"a NUL after the value", "{}\x00", DecodeError{Problem: ProblemTrailingData}},
		{"a second value", `{} {}`, DecodeError{Problem: ProblemTrailingData}},
		{"an unknown member", `{"Servicename":"web"}`, DecodeError{Problem: ProblemUnknownMember, Path: "Servicename"}},
		{"a member of no name", `{"":1}`, DecodeError{Problem: ProblemUnknownMember, Path: `[""]`}},
		{"an unknown member below", `{"InstanceConfiguration":{"CPU":"1024"}}`,
			DecodeError{Problem: ProblemUnknownMember, Path: "InstanceConfiguration.CPU"}},
		{"a member twice", `{"ServiceName":"web1","ServiceName":"web2"}`,
			DecodeError{Problem: ProblemDuplicateMember, Path: "ServiceName"}},
		{"a member twice, spelled with an escape", `{"ServiceName":"web1","Service\u004eame":"web2"}`,
			DecodeError{Problem: ProblemDuplicateMember, Path: "ServiceName"}},
		{"a variable twice", `{"SourceConfiguration":{"ImageRepository":{"ImageConfiguration":{"RuntimeEnvironmentVariables":{"A":"1","A":"2"}}}}}`,
			DecodeError{Problem: ProblemDuplicateMember, Path: `SourceConfiguration.ImageRepository.ImageConfiguration.RuntimeEnvironmentVariables["A"]`}},
		{"a number for a string", `{"ServiceName":5}`, DecodeError{Problem: ProblemWrongType, Path: "ServiceName", Wanted: "a string"}},
		{"a port as a number", `{"SourceConfiguration":{"ImageRepository":{"ImageConfiguration":{"Port":8080}}}}`,
			DecodeError{Problem: ProblemWrongType, Path: "SourceConfiguration.ImageRepository.ImageConfiguration.Port", Wanted: "a string"}},
		{"a string for a number", `{"HealthCheckConfiguration":{"Interval":"5"}}`,
			DecodeError{Problem: ProblemWrongType, Path: "HealthCheckConfiguration.Interval", Wanted: "an integer"}},
		{"a fraction for an integer", `{"HealthCheckConfiguration":{"Interval":5.5}}`,
			DecodeError{Problem: ProblemWrongType, Path: "HealthCheckConfiguration.Interval", Wanted: "an integer of 32 bits"}},
		{"an integer of 40 bits", `{"HealthCheckConfiguration":{"Interval":1099511627776}}`,
			DecodeError{Problem: ProblemWrongType, Path: "HealthCheckConfiguration.Interval", Wanted: "an integer of 32 bits"}},
		{"a number with a leading zero", `{"HealthCheckConfiguration":{"Interval":05}}`,
			DecodeError{Problem: ProblemSyntax, Path: "HealthCheckConfiguration"}},
		{"a string for a boolean", `{"SourceConfiguration":{"AutoDeploymentsEnabled":"true"}}`,
			DecodeError{Problem: ProblemWrongType, Path: "SourceConfiguration.AutoDeploymentsEnabled", Wanted: "true or false"}},
		{"an object for a list", `{"Tags":{"a":"b"}}`, DecodeError{Problem: ProblemWrongType, Path: "Tags", Wanted: "a list"}},
		{"null in a list", `{"Tags":[{"Key":"a"},null]}`, DecodeError{Problem: ProblemWrongType, Path: "Tags[1]", Wanted: "an object"}},
		{"a wrong type in a list", `{"Tags":[{"Key":"a"},{"Key":[]}]}`, DecodeError{Problem: ProblemWrongType, Path: "Tags[1].Key", Wanted: "a string"}},
		{"an array of variables, as the CLI's examples have", `{"SourceConfiguration":{"ImageRepository":{"ImageConfiguration":{"RuntimeEnvironmentVariables":[{"A":"1"}]}}}}`,
			DecodeError{Problem: ProblemWrongType, Path: "SourceConfiguration.ImageRepository.ImageConfiguration.RuntimeEnvironmentVariables", Wanted: "an object"}},
		{"deep nesting", `{"ServiceName":` + strings.Repeat("[", 100_000), DecodeError{Problem: ProblemWrongType, Path: "ServiceName", Wanted: "a string"}},
		{"bytes that are not UTF-8", "{\"ServiceName\":\"a\xff\"}", DecodeError{Problem: ProblemInvalidUTF8, Path: "ServiceName"}},
		{"half a surrogate pair", `{"ServiceName":"a\ud800"}`, DecodeError{Problem: ProblemInvalidUTF8, Path: "ServiceName"}},
		{"a broken surrogate pair", `{"ServiceName":"a\ud800\u0041"}`, DecodeError{Problem: ProblemInvalidUTF8, Path: "ServiceName"}},
		{"bytes that are not UTF-8 after an escape", "{\"ServiceName\":\"\\n\xff\"}", DecodeError{Problem: ProblemInvalidUTF8, Path: "ServiceName"}},
		{"a name that is not UTF-8", "{\"\xff\":1}", DecodeError{Problem: ProblemInvalidUTF8}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := DecodeJSON([]byte(c.body), &CreateServiceRequest{})
			var got *DecodeError
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want a DecodeError", err)
			}
			got.Offset = 0
			if diff := cmp.Diff(c.want, *got); diff != "" {
				t.Errorf("wrong error (-want +got):\n%s", diff)
			}
		})
	}
}

// chain is a shape that contains itself, as none of the API's does.
type chain struct {
	Next *chain
	List []chain
}

func TestDecodeBoundsTheDepthOfAShapeThatContainsItself(t *testing.T) {
	decode := func(depth int) error {
		return DecodeJSON([]byte(strings.Repeat(`{"Next":`, depth)+"{}"+strings.Repeat("}", depth)), &chain{})
	}
	if err := decode(maxDepth - 1); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	var got *DecodeError
	if err := decode(maxDepth); !errors.As(err, &got) || got.Problem != ProblemTooDeep {
		t.Errorf("beyond the bound: %v, want too deep", err)
	}
	if want := strings.TrimSuffix(strings.Repeat("Next.", maxDepth), "."); got.Path != want {
		t.Errorf("path is %q, want %q", got.Path, want)
	}
	if err := DecodeJSON([]byte(strings.Repeat(`{"List":[`, 100_000)), &chain{}); !errors.As(err, &got) || got.Problem != ProblemTooDeep {
		t.Errorf("100000 lists: %v, want too deep", err)
	}
}

func TestDecodeTellsAbsentFromEmpty(t *testing.T) {
	var got CreateServiceRequest
	body := ` { "ServiceName" : "" , "Tags":[], "NetworkConfiguration": {"IngressConfiguration":{}}, "InstanceConfiguration":null,
		"SourceConfiguration":{"AutoDeploymentsEnabled":false,"ImageRepository":{"ImageConfiguration":{"RuntimeEnvironmentVariables":{}}}}}` + "\r\n\t "
	if err := DecodeJSON([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := CreateServiceRequest{
		ServiceName:          new(ServiceName("")),
		Tags:                 []Tag{},
		NetworkConfiguration: &NetworkConfiguration{IngressConfiguration: &IngressConfiguration{}},
		SourceConfiguration: &SourceConfiguration{
			AutoDeploymentsEnabled: new(false),
			ImageRepository:        &ImageRepository{ImageConfiguration: &ImageConfiguration{RuntimeEnvironmentVariables: RuntimeEnvironmentVariables{}}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wrong value (-want +got):\n%s", diff)
	}
}

func TestDecodeReadsEveryEscape(t *testing.T) {
	var got Tag
	if err := DecodeJSON([]byte(`{"Key":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀","Value":""}`), &got); err != nil {
		t.Fatal(err)
	}
	if want := "\"\\/\b\f\n\r\té😀é😀"; string(*got.Key) != want {
		t.Errorf("got %q, want %q", *got.Key, want)
	}
}
