package apprunner

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
)

func TestShapesHaveTheMembersOfTheSDK(t *testing.T) {
	checked := map[reflect.Type]bool{}
	for _, endpoint := range endpoints {
		if endpoint.action().IsExtension {
			continue
		}
		method, isThere := of[*sdk.Client]().MethodByName(endpoint.action().Name)
		if !isThere {
			t.Errorf("the SDK has no action %s", endpoint.action().Name)
			continue
		}
		// func(client, ctx, *Input, ...options) (*Output, error)
		compareStructures(t, shapeOf(endpoint.input()), method.Type.In(2).Elem(), checked)
		compareStructures(t, shapeOf(endpoint.output()), method.Type.Out(0).Elem(), checked)
	}
	// 113 structures of the model, less the five exceptions.
	if len(checked) != 108 {
		t.Errorf("compared %d structures, want 108", len(checked))
	}
}

func compareStructures(t *testing.T, ours *shape, theirs reflect.Type, checked map[reflect.Type]bool) {
	t.Helper()
	if checked[ours.goType] {
		return
	}
	checked[ours.goType] = true
	fields := map[string]reflect.Type{}
	for i := range theirs.NumField() {
		if field := theirs.Field(i); field.IsExported() && field.Name != "ResultMetadata" {
			fields[field.Name] = field.Type
		}
	}
	for _, m := range ours.members {
		field, isThere := fields[m.name]
		if !isThere {
			t.Errorf("%s has the member %s, which the SDK has not", ours.goType.Name(), m.name)
			continue
		}
		delete(fields, m.name)
		compareShapes(t, ours.goType.Name()+"."+m.name, m.shape, field, checked)
	}
	for name := range fields {
		t.Errorf("%s lacks the member %s", ours.goType.Name(), name)
	}
}

func compareShapes(t *testing.T, name string, ours *shape, theirs reflect.Type, checked map[reflect.Type]bool) {
	t.Helper()
	if theirs.Kind() == reflect.Pointer {
		theirs = theirs.Elem()
	}
	switch ours.kind {
	case kindTimestamp:
		if theirs.String() != "time.Time" {
			t.Errorf("%s is a timestamp, and %s in the SDK", name, theirs)
		}
	case kindStructure:
		compareStructures(t, ours, theirs, checked)
	case kindList, kindMap:
		if theirs.Kind() != ours.goType.Kind() {
			t.Errorf("%s is %s, and %s in the SDK", name, ours.kind, theirs)
			return
		}
		compareShapes(t, name+"[]", ours.element, theirs.Elem(), checked)
	default:
		if theirs.Kind() != ours.goType.Kind() {
			t.Errorf("%s is %s, and %s in the SDK", name, ours.kind, theirs)
		}
		compareEnums(t, name, ours, theirs)
	}
}

// compareEnums asks the SDK's type for its values.
func compareEnums(t *testing.T, name string, ours *shape, theirs reflect.Type) {
	t.Helper()
	values := reflect.Zero(theirs).MethodByName("Values")
	if isEnum := ours.limits != nil && ours.limits.enum != nil; !values.IsValid() || !isEnum {
		if values.IsValid() != isEnum {
			t.Errorf("%s is an enum on one side only", name)
		}
		return
	}
	var wanted []string
	list := values.Call(nil)[0]
	for i := range list.Len() {
		wanted = append(wanted, list.Index(i).String())
	}
	if slices.Contains([]string{"AutoScalingConfigurationStatus", "CustomDomainAssociationStatus"}, ours.limits.shape) { // in lower case on the wire
		for i, value := range wanted {
			wanted[i] = strings.ToLower(value)
		}
	}
	got := slices.Clone(ours.limits.enum)
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		t.Errorf("%s has the values %v, and in the SDK %v", name, got, wanted)
	}
}

func TestEveryActionOfTheSDKHasADescriptor(t *testing.T) {
	client := of[*sdk.Client]()
	known := map[string]bool{}
	for _, action := range Actions() {
		known[action.Name] = true
	}
	for i := range client.NumMethod() {
		if name := client.Method(i).Name; name != "Options" && !known[name] {
			t.Errorf("%s has no descriptor", name)
		}
		delete(known, client.Method(i).Name)
	}
	for name := range known {
		t.Errorf("%s is not an action of the SDK", name)
	}
	if got := len(Actions()); got != 37 {
		t.Errorf("there are %d actions, want 37", got)
	}
}

func TestExceptionsAreThoseOfTheSDK(t *testing.T) {
	theirs := []interface{ ErrorCode() string }{
		&types.InvalidRequestException{}, &types.InvalidStateException{}, &types.ResourceNotFoundException{},
		&types.ServiceQuotaExceededException{}, &types.InternalServiceErrorException{},
	}
	for _, exception := range theirs {
		ours := NewException(ErrorCode(exception.ErrorCode()), 0, "why")
		if _, isUnknown := ours.(*UnknownOperationError); isUnknown || string(ours.Code()) != exception.ErrorCode() {
			t.Errorf("%s has no type of its own", exception.ErrorCode())
		}
	}
}
