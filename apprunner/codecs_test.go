package apprunner

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rounds is how many values of each shape a property is tried on.
const rounds = 40

func TestEveryShapeComesBackFromEveryCodecAsItWas(t *testing.T) {
	g := newGenerator(t)
	codecs := []struct {
		name          string
		isXML, isForm bool
		roundTrip     func(from, to any) error
	}{
		{"JSON", false, false, func(from, to any) error { return DecodeJSON(EncodeJSON(from), to) }},
		{"query", false, true, func(from, to any) error {
			form, err := url.ParseQuery(EncodeQuery(from).Encode())
			if err != nil {
				return err
			}
			return DecodeQuery(form, to)
		}},
		{"XML", true, false, func(from, to any) error { return DecodeXML(EncodeXML("Any", from), to) }},
		{"tree", false, false, func(from, to any) error { return FromValue(ToValue(from), to) }},
	}
	count := 0
	for _, s := range append(everyShape(), exceptionShapes()...) {
		if s.kind != kindStructure {
			continue
		}
		count++
		for _, codec := range codecs {
			for range rounds {
				g.isXML, g.isForm = codec.isXML, codec.isForm
				want, got := g.structure(s), reflect.New(s.goType).Interface()
				if err := codec.roundTrip(want, got); err != nil {
					t.Fatalf("%s by %s: %v, of %s", s.goType.Name(), codec.name, err, EncodeJSON(want))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%s is not the same after %s (-want +got):\n%s", s.goType.Name(), codec.name, diff)
				}
			}
		}
	}
	if count < 120 {
		t.Errorf("there are only %d structures", count)
	}
}

func exceptionShapes() []*shape {
	var found []*shape
	for _, code := range exceptionCodes {
		found = append(found, shapeOf(reflect.TypeOf(NewException(code, 0, "")).Elem()))
	}
	return found
}

func TestTheTreeHasTheJSONOfItsValue(t *testing.T) {
	g := newGenerator(t)
	for _, s := range everyShape() {
		for range rounds {
			value := reflect.New(s.goType)
			g.fill(s, value.Elem())
			want := s.append(nil, value.Elem())
			tree := ToValue(value.Interface())
			if got := tree.AppendJSON(nil); !bytes.Equal(got, want) {
				t.Fatalf("the tree of %s has the JSON\n%s, want\n%s", s.goType, got, want)
			}
			// Not only structures are read from a tree.
			back := reflect.New(s.goType)
			if err := FromValue(tree, back.Interface()); err != nil {
				t.Fatalf("%s: %v", s.goType, err)
			}
			if diff := cmp.Diff(value.Elem().Interface(), back.Elem().Interface()); diff != "" {
				t.Fatalf("%s is not the same after its tree (-want +got):\n%s", s.goType, diff)
			}
		}
	}
	required := ToValue(ListServicesResponse{}).AppendJSON(nil)
	if want := `{"ServiceSummaryList":[]}`; string(required) != want {
		t.Errorf("a required list: got %s, want %s", required, want)
	}
}

func TestFromValueRefusesWhatTheShapeHasNot(t *testing.T) {
	cases := []struct {
		name string
		tree Value
		want ValueError
	}{
		{"nothing", nil, ValueError{Problem: ProblemWrongType, Wanted: "an object"}},
		{"an unknown member", StructureValue{{"Name", StringValue("x")}}, ValueError{Problem: ProblemUnknownMember, Path: "Name"}},
		{"a member twice", StructureValue{{"ServiceName", StringValue("x")}, {"ServiceName", StringValue("y")}},
			ValueError{Problem: ProblemDuplicateMember, Path: "ServiceName"}},
		{"a wrong type", StructureValue{{"ServiceName", IntegerValue(1)}},
			ValueError{Problem: ProblemWrongType, Path: "ServiceName", Wanted: "a string"}},
		{"nothing in a list", StructureValue{{"Tags", ListValue{StructureValue{}, nil}}},
			ValueError{Problem: ProblemWrongType, Path: "Tags[1]", Wanted: "an object"}},
		{"a key twice", StructureValue{{"SourceConfiguration", StructureValue{{"ImageRepository", StructureValue{{"ImageConfiguration",
			StructureValue{{"RuntimeEnvironmentVariables", MapValue{{"A", StringValue("1")}, {"A", StringValue("2")}}}}}}}}}},
			ValueError{Problem: ProblemDuplicateMember, Path: `SourceConfiguration.ImageRepository.ImageConfiguration.RuntimeEnvironmentVariables["A"]`}},
	}
	for _, c := range cases {
		var got *ValueError
		if err := FromValue(c.tree, &CreateServiceRequest{}); !errors.As(err, &got) {
			t.Errorf("%s: got %v, want a ValueError", c.name, err)
		} else if diff := cmp.Diff(c.want, *got); diff != "" {
			t.Errorf("%s: wrong error (-want +got):\n%s", c.name, diff)
		}
	}
	var got HealthCheckConfiguration
	tree := StructureValue{{"Protocol", StringValue("UDP")}, {"Path", EnumValue("/")}, {"Interval", nil}}
	if err := FromValue(tree, &got); err != nil {
		t.Fatal(err)
	}
	want := HealthCheckConfiguration{Protocol: new(HealthCheckProtocol("UDP")), Path: new(HealthCheckPath("/"))}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wrong value (-want +got):\n%s", diff)
	}
}

// imageVariables is a request with those variables.
func imageVariables(variables RuntimeEnvironmentVariables) *CreateServiceRequest {
	return &CreateServiceRequest{SourceConfiguration: &SourceConfiguration{ImageRepository: &ImageRepository{
		ImageConfiguration: &ImageConfiguration{RuntimeEnvironmentVariables: variables}}}}
}

func TestQueryHasTheParametersOfTheProtocol(t *testing.T) {
	at, whole := time.UnixMilli(1_700_000_000_007).UTC(), time.Unix(0, 0).UTC()
	const variables = "SourceConfiguration.ImageRepository.ImageConfiguration.RuntimeEnvironmentVariables."
	cases := []struct {
		value any
		want  url.Values
	}{
		{&TagResourceRequest{ResourceARN: new(AppRunnerResourceARN("arn")), Tags: TagList{{Key: new(TagKey("a")), Value: new(TagValue(""))}, {Key: new(TagKey("b"))}}},
			url.Values{"ResourceArn": {"arn"}, "Tags.member.1.Key": {"a"}, "Tags.member.1.Value": {""}, "Tags.member.2.Key": {"b"}}},
		{&UntagResourceRequest{TagKeys: TagKeyList{"x"}}, url.Values{"TagKeys.member.1": {"x"}}},
		{&UntagResourceRequest{}, url.Values{"TagKeys": {""}}},
		{&ListOperationsResponse{}, url.Values{}},
		{imageVariables(RuntimeEnvironmentVariables{"B": "2", "A": ""}), url.Values{
			variables + "entry.1.key": {"A"}, variables + "entry.1.value": {""}, variables + "entry.2.key": {"B"}, variables + "entry.2.value": {"2"}}},
		{imageVariables(RuntimeEnvironmentVariables{}), url.Values{}},
		{&ListAutoScalingConfigurationsRequest{LatestOnly: new(false), MaxResults: new(MaxResults(7))},
			url.Values{"LatestOnly": {"false"}, "MaxResults": {"7"}}},
		{&OperationSummary{StartedAt: &at, EndedAt: &whole},
			url.Values{"StartedAt": {"2023-11-14T22:13:20.007000Z"}, "EndedAt": {"1970-01-01T00:00:00Z"}}},
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, EncodeQuery(c.value)); diff != "" {
			t.Errorf("%T: wrong parameters (-want +got):\n%s", c.value, diff)
		}
	}
}

func TestQueryRefusesWithTheNameOfTheParameter(t *testing.T) {
	const variables = "SourceConfiguration.ImageRepository.ImageConfiguration.RuntimeEnvironmentVariables"
	cases := []struct {
		form, path string
		problem    DecodeProblem
	}{
		{"Action=CreateService", "Action", ProblemUnknownMember},
		{"=1", `""`, ProblemUnknownMember},
		{"ServiceName.=1", "ServiceName.", ProblemUnknownMember},
		{"ServiceName.x=1", "ServiceName.x", ProblemUnknownMember},
		{"servicename=1", "servicename", ProblemUnknownMember},
		{"Service%20Name=1", `"Service Name"`, ProblemUnknownMember},
		{".ServiceName=1", ".ServiceName", ProblemUnknownMember},
		{"ServiceName=1&ServiceName=1", "ServiceName", ProblemDuplicateMember},
		{"ServiceName=%ff", "ServiceName", ProblemInvalidUTF8},
		{"InstanceConfiguration=", "InstanceConfiguration", ProblemWrongType},
		{"InstanceConfiguration.Cpu.Cpu=1", "InstanceConfiguration.Cpu.Cpu", ProblemUnknownMember},
		{"HealthCheckConfiguration.Interval=five", "HealthCheckConfiguration.Interval", ProblemWrongType},
		{"HealthCheckConfiguration.Interval=05", "HealthCheckConfiguration.Interval", ProblemWrongType},
		{"HealthCheckConfiguration.Interval=%2B5", "HealthCheckConfiguration.Interval", ProblemWrongType},
		{"HealthCheckConfiguration.Interval=2147483648", "HealthCheckConfiguration.Interval", ProblemWrongType},
		{"HealthCheckConfiguration.Interval=", "HealthCheckConfiguration.Interval", ProblemWrongType},
		{"SourceConfiguration.AutoDeploymentsEnabled=True", "SourceConfiguration.AutoDeploymentsEnabled", ProblemWrongType},
		{"Tags=x", "Tags", ProblemWrongType},
		{"Tags=&Tags.member.1.Key=a", "Tags", ProblemDuplicateMember},
		{"Tags.1.Key=a", "Tags.1.Key", ProblemUnknownMember},
		{"Tags.member=a", "Tags.member", ProblemUnknownMember},
		{"Tags.member.1=a", "Tags.member.1", ProblemWrongType},
		{"Tags.member.0.Key=a", "Tags.member.0.Key", ProblemUnknownMember},
		{"Tags.member.01.Key=a", "Tags.member.01.Key", ProblemUnknownMember},
		{"Tags.member.-1.Key=a", `"Tags.member.-1.Key"`, ProblemUnknownMember},
		{"Tags.member.x.Key=a", "Tags.member.x.Key", ProblemUnknownMember},
		{"Tags.member..Key=a", "Tags.member..Key", ProblemUnknownMember},
		{"Tags.member.2.Key=a", "Tags.member.1", ProblemMissing},
		{"Tags.member.1.Key=a&Tags.member.3.Key=a", "Tags.member.2", ProblemMissing},
		{"Tags.member.1.Key=a&Tags.member.999999999999.Key=a", "Tags.member.2", ProblemMissing},
		{"Tags.member.1.Key=a&Tags.member.99999999999999999999.Key=a", "Tags.member.99999999999999999999.Key", ProblemUnknownMember},
		{"Tags.member.1.Name=a", "Tags.member.1.Name", ProblemUnknownMember},
		{"Tags.entry.1.Key=a", "Tags.entry.1.Key", ProblemUnknownMember},
		{variables + "=", variables, ProblemWrongType},
		{variables + ".member.1.key=a", variables + ".member.1.key", ProblemUnknownMember},
		{variables + ".entry.1=a", variables + ".entry.1", ProblemUnknownMember},
		{variables + ".entry.1.key=a", variables + ".entry.1.value", ProblemMissing},
		{variables + ".entry.1.value=a", variables + ".entry.1.key", ProblemMissing},
		{variables + ".entry.1.Key=a", variables + ".entry.1.Key", ProblemUnknownMember},
		{variables + ".entry.2.key=a&" + variables + ".entry.2.value=a", variables + ".entry.1", ProblemMissing},
		{variables + ".entry.1.key=a&" + variables + ".entry.1.value=1&" + variables + ".entry.2.key=a&" + variables + ".entry.2.value=1",
			variables + ".entry.2.key", ProblemDuplicateMember},
		{"ServiceName=" + strings.Repeat("a", maxDocument), "ServiceName", ProblemTooLarge},
		{strings.Repeat("a", 10_000) + "=", `"` + strings.Repeat("a", maxShown) + `…"`, ProblemUnknownMember},
	}
	for _, c := range cases {
		form, err := url.ParseQuery(c.form)
		if err != nil {
			t.Fatal(err)
		}
		var got *ValueError
		if err := DecodeQuery(form, &CreateServiceRequest{}); !errors.As(err, &got) {
			t.Errorf("%.100s: got %v, want a ValueError", c.form, err)
		} else if got.Path != c.path || got.Problem != c.problem {
			t.Errorf("%.100s: got %q, want that %s %s", c.form, err, c.path, c.problem)
		}
	}
}

func TestXMLHasTheFormOfTheProtocol(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_007).UTC()
	cases := []struct {
		value any
		want  string
	}{
		{&TagResourceResponse{}, `<R></R>`},
		{&UntagResourceRequest{}, `<R><TagKeys></TagKeys></R>`},
		{&TagResourceRequest{Tags: TagList{{Key: new(TagKey("a<b>&\"'")), Value: new(TagValue(" \r\n\t"))}, {}}},
			`<R><Tags><member><Key>a&lt;b&gt;&amp;&#34;&#39;</Key><Value> &#xD;&#xA;&#x9;</Value></member><member></member></Tags></R>`},
		{&ImageConfiguration{RuntimeEnvironmentVariables: RuntimeEnvironmentVariables{"B": "2", "A": ""}},
			`<R><RuntimeEnvironmentVariables><entry><key>A</key><value></value></entry><entry><key>B</key><value>2</value></entry></RuntimeEnvironmentVariables></R>`},
		{&OperationSummary{StartedAt: &at}, `<R><StartedAt>2023-11-14T22:13:20.007000Z</StartedAt></R>`},
		{&CustomDomain{EnableWWWSubdomain: new(false)}, `<R><EnableWWWSubdomain>false</EnableWWWSubdomain></R>`},
		{&LogLine{Message: new(String("a\x00\x1b[0m\xff\uffffb"))}, "<R><Message>a\ufffd\ufffd[0m\ufffd\ufffdb</Message></R>"},
	}
	for _, c := range cases {
		if got := string(EncodeXML("R", c.value)); got != c.want {
			t.Errorf("%T: got  %s\nwant %s", c.value, got, c.want)
		}
	}
}

func TestXMLOfOtherWritersIsRead(t *testing.T) {
	var got CreateServiceRequest
	document := `<?xml version="1.0" encoding="UTF-8"?>
<!-- a request --><a:CreateServiceRequest xmlns:a="` + XMLNamespace + `" xmlns="` + XMLNamespace + `">
	<ServiceName>we<!-- not a name's end -->b<![CDATA[<1>]]></ServiceName>
	<a:Tags xmlns=""><member><Value/><Key>&#x41;&#13;&#xD800;</Key></member></a:Tags>
	<HealthCheckConfiguration><Protocol>UDP</Protocol><Interval>-5</Interval></HealthCheckConfiguration>
</a:CreateServiceRequest>
<!-- the end -->
`
	if err := DecodeXML([]byte(document), &got); err != nil {
		t.Fatal(err)
	}
	want := CreateServiceRequest{
		ServiceName: new(ServiceName("web<1>")),
		Tags:        TagList{{Key: new(TagKey("A\r\ufffd")), Value: new(TagValue(""))}},
		HealthCheckConfiguration: &HealthCheckConfiguration{
			Protocol: new(HealthCheckProtocol("UDP")), Interval: new(HealthCheckInterval(-5))},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wrong value (-want +got):\n%s", diff)
	}
}

func TestXMLRefusesWithThePathOfTheMember(t *testing.T) {
	const deep = "SourceConfiguration.ImageRepository.ImageConfiguration.RuntimeEnvironmentVariables"
	variables := func(inner string) string {
		return "<R><SourceConfiguration><ImageRepository><ImageConfiguration><RuntimeEnvironmentVariables>" + inner +
			"</RuntimeEnvironmentVariables></ImageConfiguration></ImageRepository></SourceConfiguration></R>"
	}
	cases := []struct {
		document, path string
		problem        DecodeProblem
	}{
		{"", "", ProblemXMLSyntax},
		{"{}", "", ProblemXMLSyntax},
		{"<R>", "", ProblemXMLSyntax},
		{"<R></S>", "", ProblemXMLSyntax},
		{"<R/><S/>", "", ProblemTrailingData},
		{"<R/>x", "", ProblemTrailingData},
		{"<R/><", "", ProblemXMLSyntax},
		{"x<R/>", "", ProblemXMLSyntax},
		{`<?xml version="1.0" encoding="latin1"?><R/>`, "", ProblemXMLSyntax},
		{`<?xml version="1.1"?><R/>`, "", ProblemXMLSyntax},
		{`<?php x?><R/>`, "", ProblemXMLSyntax},
		{`<R><?php x?></R>`, "", ProblemXMLSyntax},
		{`<!DOCTYPE R [<!ENTITY a "aaaa">]><R><ServiceName>&a;</ServiceName></R>`, "", ProblemXMLSyntax},
		{`<R><ServiceName>&a;</ServiceName></R>`, "ServiceName", ProblemXMLSyntax},
		{`<R><ServiceName>&eacute;</ServiceName></R>`, "ServiceName", ProblemXMLSyntax},
		{`<R><ServiceName>&#0;</ServiceName></R>`, "ServiceName", ProblemXMLSyntax},
		{"<R><ServiceName>\xff</ServiceName></R>", "ServiceName", ProblemXMLSyntax},
		{"<R><ServiceName>\x1b</ServiceName></R>", "ServiceName", ProblemXMLSyntax},
		{`<R xmlns="http://example.com/"/>`, "R", ProblemUnknownMember},
		{`<R><ServiceName xmlns="http://example.com/">x</ServiceName></R>`, "ServiceName", ProblemUnknownMember},
		{`<R a="b"/>`, "R", ProblemUnknownMember},
		{`<R><x:ServiceName>x</x:ServiceName></R>`, "ServiceName", ProblemUnknownMember},
		{`<R>x</R>`, "", ProblemWrongType},
		{`<R><Name/></R>`, "Name", ProblemUnknownMember},
		{`<R><ServiceName>a</ServiceName><ServiceName>a</ServiceName></R>`, "ServiceName", ProblemDuplicateMember},
		{`<R><ServiceName><a/></ServiceName></R>`, "ServiceName", ProblemWrongType},
		{`<R><HealthCheckConfiguration><Interval> 5</Interval></HealthCheckConfiguration></R>`, "HealthCheckConfiguration.Interval", ProblemWrongType},
		{`<R><HealthCheckConfiguration>5</HealthCheckConfiguration></R>`, "HealthCheckConfiguration", ProblemWrongType},
		{`<R><Tags><member/><member><Key/><Name/></member></Tags></R>`, "Tags[1].Name", ProblemUnknownMember},
		{`<R><Tags><Tag/></Tags></R>`, "Tags.Tag", ProblemUnknownMember},
		{variables("<A>1</A>"), deep + ".A", ProblemUnknownMember},
		{variables("<entry><key>A</key></entry>"), deep + ".value", ProblemMissing},
		{variables("<entry><value>A</value></entry>"), deep + ".key", ProblemMissing},
		{variables("<entry><key>A</key><key>A</key></entry>"), deep + ".key", ProblemDuplicateMember},
		{variables("<entry><name>A</name></entry>"), deep + ".name", ProblemUnknownMember},
		{variables(strings.Repeat("<entry><key>A</key><value>1</value></entry>", 2)), deep + `["A"]`, ProblemDuplicateMember},
		{`<R><ServiceName>` + strings.Repeat("a", maxDocument) + `</ServiceName></R>`, "", ProblemTooLarge},
	}
	for _, c := range cases {
		var got *DecodeError
		if err := DecodeXML([]byte(c.document), &CreateServiceRequest{}); !errors.As(err, &got) {
			t.Errorf("%.200s: got %v, want a DecodeError", c.document, err)
		} else if got.Path != c.path || got.Problem != c.problem {
			t.Errorf("%.200s: got %q, want that %q %s", c.document, err, c.path, c.problem)
		}
	}
}

// Each codec takes as deep a nesting as DecodeJSON does.
func TestCodecsBoundTheDepthOfAShapeThatContainsItself(t *testing.T) {
	nested := func(depth int) *chain {
		top := &chain{}
		for range depth {
			top = &chain{Next: top}
		}
		top.List = []chain{} // a form says nothing of a structure without members
		return top
	}
	form := func(depth int) url.Values {
		return url.Values{strings.Repeat("Next.", depth-1) + "List": {""}}
	}
	for _, depth := range []int{maxDepth - 1, maxDepth} {
		isDeep := depth == maxDepth
		for name, err := range map[string]error{
			"tree":  FromValue(ToValue(nested(depth)), &chain{}),
			"XML":   DecodeXML(EncodeXML("R", nested(depth)), &chain{}),
			"query": DecodeQuery(form(depth), &chain{}),
		} {
			if (err != nil) != isDeep || isDeep && !strings.Contains(err.Error(), string(ProblemTooDeep)) {
				t.Errorf("%s of depth %d: %v", name, depth, err)
			}
		}
	}
}

// What is small on the wire must not be large in memory.
func TestCodecsBoundWhatTheyMake(t *testing.T) {
	manyMembers := "<R><ServiceSummaryList>" + strings.Repeat("<member/>", maxDocument/9-10) + "</ServiceSummaryList></R>"
	manyEntries := url.Values{}
	for i := range maxValues + 1 {
		manyEntries[fmt.Sprintf("ServiceSummaryList.member.%d.ServiceName", i+1)] = []string{""}
	}
	namespaces := "<R" + strings.Repeat(` xmlns:a=""`, maxDocument/11-10) + "/>"
	manyItems := `{"ServiceSummaryList":[{}` + strings.Repeat(",{}", maxDocument/3-20) + `]}`
	manySkipped := `{"Newer":` + strings.Repeat("[", maxDepth-2) + strings.Repeat("{},", maxDocument/3-100) + "{}" + strings.Repeat("]", maxDepth-2) + "}"
	cases := map[string]func() error{
		"a list of many members in JSON":   func() error { return DecodeJSON([]byte(manyItems), &ListServicesResponse{}) },
		"much that is passed over":         func() error { return DecodeAnswer([]byte(manySkipped), &ListServicesResponse{}) },
		"a list of many members in XML":    func() error { return DecodeXML([]byte(manyMembers), &ListServicesResponse{}) },
		"a list of many members in a form": func() error { return DecodeQuery(manyEntries, &ListServicesResponse{}) },
		"many attributes":                  func() error { return DecodeXML([]byte(namespaces), &ListServicesResponse{}) },
	}
	for name, decode := range cases {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := decode()
		runtime.ReadMemStats(&after)
		if made := (after.TotalAlloc - before.TotalAlloc) >> 20; made > 512 {
			t.Errorf("%s: %d MiB were made", name, made)
		}
		// JSON has no bound but the one of its reader: what is made of it is in proportion to its length.
		isBound := !slices.Contains([]string{"many attributes", "a list of many members in JSON", "much that is passed over"}, name)
		if !isBound && err != nil && name != "many attributes" {
			t.Errorf("%s: %v", name, err)
		}
		if isBound && (err == nil || !strings.Contains(err.Error(), string(ProblemTooLarge))) {
			t.Errorf("%s: got %v, want too large", name, err)
		}
	}
}
