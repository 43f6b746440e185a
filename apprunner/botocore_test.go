package apprunner

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// peer is a Python process that does what botocore does.
type peer struct {
	t      *testing.T
	stdin  io.Writer
	stdout *bufio.Reader
	stderr *bytes.Buffer
}

// startPeer starts the Python of the system, which is the one that Debian's packages are for.
func startPeer(t *testing.T) *peer {
	t.Helper()
	const python = "/usr/bin/python3"
	if output, err := exec.Command(python, "-c", "import botocore").CombinedOutput(); err != nil {
		t.Fatalf("%s cannot import botocore (%v): install the package python3-botocore.\n%s", python, err, output)
	}
	command := exec.CommandContext(t.Context(), python, "testdata/botocore_peer.py")
	command.Env = []string{"TZ=UTC", "PYTHONIOENCODING=utf-8", "HOME=" + t.TempDir()}
	stderr := &bytes.Buffer{}
	command.Stderr = stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		command.Wait()
	})
	return &peer{t, stdin, bufio.NewReader(stdout), stderr}
}

// call sends a call and reads the result.
func (p *peer) call(call map[string]any, result any) {
	p.t.Helper()
	line, err := json.Marshal(call)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		p.t.Fatalf("botocore's process takes no more calls: %v", err)
	}
	answer, err := p.stdout.ReadBytes('\n')
	if err != nil {
		p.t.Fatalf("botocore's process gives no answer: %v\n%s", err, p.stderr)
	}
	var read struct {
		Result json.RawMessage
		Error  string
	}
	if err := json.Unmarshal(answer, &read); err != nil {
		p.t.Fatalf("%v: %s", err, answer)
	}
	if read.Error != "" {
		p.t.Fatalf("botocore failed:\n%s\nat the call %.2000s", read.Error, line)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(read.Result, result); err != nil {
		p.t.Fatalf("%v: %s", err, read.Result)
	}
}

// reversed is what the model calls an action whose input is the real one's output and the other way round. So every
// shape goes both ways, timestamps included, which no input has.
const reversed = "Reversed"

// ourModel is the service model that our shapes say, in the form of botocore's service-2.json.
func ourModel() map[string]any {
	shapes, operations := map[string]any{}, map[string]any{}
	for _, s := range everyShape() {
		shapes[wireName(s)] = modelShape(s)
	}
	for _, code := range exceptionCodes {
		shapes[string(code)] = map[string]any{"type": "structure", "exception": true,
			"members": map[string]any{"Message": map[string]any{"shape": "ErrorMessage"}}}
	}
	shapes["ErrorMessage"] = modelShape(shapeOf(of[ErrorMessage]()))
	actions := slices.Concat(Actions(), ExtensionActions())
	for i, action := range everyAction {
		input, output := shapeOf(reflect.TypeOf(action.input)), shapeOf(reflect.TypeOf(action.output))
		var declared []any
		for _, code := range actions[i].Errors {
			declared = append(declared, map[string]any{"shape": string(code)})
		}
		operations[action.name] = modelOperation(action.name, input, output, declared)
		operations[action.name+reversed] = modelOperation(action.name+reversed, output, input, nil)
	}
	return map[string]any{
		"version": "2.0", "shapes": shapes, "operations": operations,
		"metadata": map[string]any{"apiVersion": "2020-05-15", "endpointPrefix": "apprunner", "jsonVersion": "1.0",
			"serviceId": "AppRunner", "signatureVersion": "v4", "targetPrefix": "AppRunner"},
	}
}

var exceptionCodes = []ErrorCode{
	CodeInvalidRequest, CodeInvalidState, CodeResourceNotFound, CodeServiceQuotaExceeded, CodeInternalServiceError,
}

func modelOperation(name string, input, output *shape, declared []any) map[string]any {
	return map[string]any{
		"name": name, "http": map[string]any{"method": "POST", "requestUri": "/"}, "errors": declared,
		"input": map[string]any{"shape": wireName(input), "locationName": wireName(input),
			"xmlNamespace": map[string]any{"uri": XMLNamespace}},
		"output": map[string]any{"shape": wireName(output), "resultWrapper": name + "Result"},
	}
}

// wireName is the name of a shape in the model; a list of an extension has none in Go.
func wireName(s *shape) string {
	if s.kind == kindList && s.goType.Name() == "" {
		return wireName(s.element) + "List"
	}
	return s.modelName()
}

func modelShape(s *shape) map[string]any {
	reference := func(s *shape) map[string]any { return map[string]any{"shape": wireName(s)} }
	switch s.kind {
	case kindStructure:
		members, required := map[string]any{}, []any{}
		for _, m := range s.members {
			members[m.name] = reference(m.shape)
			if m.isRequired {
				required = append(required, m.name)
			}
		}
		return map[string]any{"type": "structure", "members": members, "required": required}
	case kindList:
		return map[string]any{"type": "list", "member": reference(s.element)}
	case kindMap:
		return map[string]any{"type": "map", "key": reference(s.key), "value": reference(s.element)}
	}
	names := map[kind]string{kindString: "string", kindInteger: "integer", kindBoolean: "boolean", kindTimestamp: "timestamp"}
	made := map[string]any{"type": names[s.kind]}
	if s.limits == nil {
		return made
	}
	if s.limits.min != 0 {
		made["min"] = float64(s.limits.min)
	}
	if s.limits.max != 0 {
		made["max"] = float64(s.limits.max)
	}
	if s.limits.pattern != "" {
		made["pattern"] = s.limits.pattern
	}
	if s.limits.enum != nil {
		var values []any
		for _, value := range s.limits.enum {
			values = append(values, value)
		}
		made["enum"] = values
	}
	if s.limits.isSensitive {
		made["sensitive"] = true
	}
	return made
}

// paramsOf is a value as botocore's users have it.
func paramsOf(s *shape, value reflect.Value) any {
	switch s.kind {
	case kindStructure:
		params := map[string]any{}
		for _, m := range s.members {
			if field := value.Field(m.index); !field.IsNil() {
				params[m.name] = paramsOf(m.shape, reflect.Indirect(field))
			}
		}
		return params
	case kindList:
		params := []any{}
		for i := range value.Len() {
			params = append(params, paramsOf(s.element, value.Index(i)))
		}
		return params
	case kindMap:
		params := map[string]any{}
		for _, key := range value.MapKeys() {
			params[key.String()] = paramsOf(s.element, value.MapIndex(key))
		}
		return params
	case kindInteger:
		return float64(value.Int())
	case kindBoolean:
		return value.Bool()
	case kindTimestamp:
		return value.Interface().(time.Time).Format("2006-01-02T15:04:05.000000Z")
	default:
		return value.String()
	}
}

// botocoreRounds is how many values each shape has by each protocol and way.
const botocoreRounds = 6

func TestBotocoreSerializesWhatWeDo(t *testing.T) {
	python := startPeer(t)
	python.call(map[string]any{"call": "model", "model": ourModel()}, nil)
	g := newGenerator(t)
	eachOperation(func(operation string, input, _ *shape) {
		for range botocoreRounds {
			for _, protocol := range protocols {
				// Botocore's JSON cuts off fractions of seconds. Its XML has carriage returns as they are, which readers
				// of XML take for line feeds.
				g.isWhole, g.isXML, g.isForm = protocol == "json", protocol == "rest-xml", g.IntN(2) == 0
				g.hasNoReturn = protocol == "rest-xml"
				value := g.structure(input)
				var body string
				python.call(map[string]any{"call": "serialize", "protocol": protocol, "operation": operation,
					"params": paramsOf(input, reflect.ValueOf(value).Elem())}, &body)
				compareBody(t, protocol, operation, body, value)
				got := newOf(value)
				if err := decodeBody(protocol, body, got); err != nil {
					if protocol == "query" && !g.isForm && strings.Contains(err.Error(), string(ProblemMissing)) {
						continue // an element that left no parameter is a gap
					}
					t.Fatalf("%s of botocore's %s: %v in %s", operation, protocol, err, body)
				}
				if protocol == "query" && !g.isForm {
					continue // what left no parameter does not come back
				}
				if diff := cmp.Diff(value, got); diff != "" {
					t.Fatalf("%s of botocore's %s is another value (-want +got):\n%s", operation, protocol, diff)
				}
			}
		}
	})
}

var protocols = []string{"json", "query", "rest-xml"}

func eachOperation(do func(operation string, input, output *shape)) {
	for _, action := range everyAction {
		input, output := shapeOf(reflect.TypeOf(action.input)), shapeOf(reflect.TypeOf(action.output))
		do(action.name, input, output)
		do(action.name+reversed, output, input)
	}
}

func decodeBody(protocol, body string, v any) error {
	switch protocol {
	case "json":
		return DecodeJSON([]byte(body), v)
	case "rest-xml":
		if body == "" { // no members
			return nil
		}
		return DecodeXML([]byte(body), v)
	}
	form, err := url.ParseQuery(body)
	if err != nil {
		return err
	}
	form.Del("Action")
	form.Del("Version")
	return DecodeQuery(form, v)
}

func compareBody(t *testing.T, protocol, operation, body string, value any) {
	t.Helper()
	switch protocol {
	case "json":
		compareJSON(t, operation, body, value)
	case "query":
		compareQuery(t, operation, body, value)
	default:
		compareXML(t, operation, body, value)
	}
}

func compareJSON(t *testing.T, operation, body string, value any) {
	t.Helper()
	var theirs, ours any
	if err := json.Unmarshal([]byte(body), &theirs); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(EncodeJSON(value), &ours); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Fatalf("%s: botocore's JSON differs from ours (-theirs +ours):\n%s", operation, diff)
	}
}

func compareQuery(t *testing.T, operation, body string, value any) {
	t.Helper()
	theirs, err := url.ParseQuery(body)
	if err != nil {
		t.Fatal(err)
	}
	ours := EncodeQuery(value)
	ours.Set("Action", operation)
	ours.Set("Version", "2020-05-15")
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Fatalf("%s: botocore's parameters differ from ours (-theirs +ours):\n%s", operation, diff)
	}
}

func compareXML(t *testing.T, operation, body string, value any) {
	t.Helper()
	tree, s := structureOf(value)
	ours := EncodeXML(wireName(s), value)
	if body == "" && len(s.toStructure(tree)) == 0 {
		return // botocore has no body for no members
	}
	if diff := cmp.Diff(parseElement(t, []byte(body)), parseElement(t, ours)); diff != "" {
		t.Fatalf("%s: botocore's XML differs from ours (-theirs +ours):\n%s", operation, diff)
	}
}

// element is XML without regard to namespaces and to the order of elements of different names.
type element struct {
	Name, Text string
	Elements   []element
}

func parseElement(t *testing.T, document []byte) element {
	t.Helper()
	decoder := xml.NewDecoder(bytes.NewReader(document))
	stack := []element{{}}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return stack[0]
		}
		if err != nil {
			t.Fatalf("%v in %q", err, document)
		}
		last := len(stack) - 1
		switch token := token.(type) {
		case xml.StartElement:
			stack = append(stack, element{Name: token.Name.Local})
		case xml.CharData:
			stack[last].Text += string(token)
		case xml.EndElement:
			ended := stack[last]
			slices.SortStableFunc(ended.Elements, func(a, b element) int { return strings.Compare(a.Name, b.Name) })
			stack = stack[:last]
			stack[last-1].Elements = append(stack[last-1].Elements, ended)
		}
	}
}

func TestBotocoreParsesWhatWeEncode(t *testing.T) {
	python := startPeer(t)
	python.call(map[string]any{"call": "model", "model": ourModel()}, nil)
	g := newGenerator(t)
	eachOperation(func(operation string, _, output *shape) {
		for range botocoreRounds {
			for _, protocol := range protocols {
				g.isXML, g.isForm, g.isWhole, g.hasNoReturn = protocol != "json", false, false, false
				value := g.structure(output)
				var got struct {
					Params    any
					RequestID string
				}
				body := responseBody(protocol, operation, value)
				python.call(map[string]any{"call": "parse", "protocol": protocol, "operation": operation, "body": body}, &got)
				if diff := cmp.Diff(paramsOf(output, reflect.ValueOf(value).Elem()), got.Params); diff != "" {
					t.Fatalf("%s: botocore reads our %s as another value (-ours +theirs):\n%s\n%s", operation, protocol, diff, body)
				}
				if protocol == "query" && got.RequestID != requestID {
					t.Fatalf("%s: botocore finds the request id %q", operation, got.RequestID)
				}
			}
		}
	})
}

const requestID = "8fe1e103-04f8-4fd2-b0df-550fe98a71fa"

// responseBody is the body of a response by that protocol.
func responseBody(protocol, operation string, v any) string {
	switch protocol {
	case "json":
		return string(EncodeJSON(v))
	case "rest-xml":
		return string(EncodeXML(operation+"Response", v))
	}
	const envelope = `<%[1]sResponse xmlns="%[2]s">%[3]s<ResponseMetadata><RequestId>%[4]s</RequestId></ResponseMetadata></%[1]sResponse>`
	return fmt.Sprintf(envelope, operation, XMLNamespace, EncodeXML(operation+"Result", v), requestID)
}
