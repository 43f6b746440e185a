package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/gitserver"
)

// fakeAPI answers the API on the wire from memory. Each question about an operation brings it one step further; the Git
// server beside it is the real one.
type fakeAPI struct {
	t    *testing.T
	url  string
	keys source.KeyPair
	git  http.Handler
	// repositories is the folder of the Git server.
	repositories string

	mu       sync.Mutex
	pushes   []gitserver.Push
	services []map[string]any
	networks []map[string]any
	ingress  []map[string]any
	// preparation is how the preparation of a runtime goes on, an answer for each question.
	preparation []map[string]any
	operations  []*fakeOperation
	requests    []fakeRequest
	// isEndless says that the app prints faster than its log is read; printed counts the lines that were read.
	isEndless bool
	printed   int
	// httpsPort is where services answer by HTTPS; 0 is nowhere.
	httpsPort int
	// failNext is the cause with which the next deployment fails.
	failNext string
	// refuse is an error that the next action of the name in it meets.
	refuse map[string]string
	lines  []string
	// drops counts down answers that are cut off, as by a restart of apron.
	drops int
}

type fakeRequest struct {
	action string
	input  map[string]any
}

type fakeOperation struct {
	id, kind, status, commit, cause string
	steps                           int
	ended                           bool
}

const fakeARN = "arn:aws:apprunner:us-east-1:000000000000:service/%s/8fe1e10304f84fd2b0df550fe98a71fa"

func newFakeAPI(t *testing.T) *fakeAPI {
	t.Helper()
	fake := &fakeAPI{
		t: t, keys: source.KeyPair{ID: "AKIAEXAMPLE", Secret: "it's/a+secret"}, repositories: t.TempDir(),
		refuse: map[string]string{}, lines: []string{"Collecting flask", "Built \x1b[31mred\x1b[0m"},
	}
	onPush := func(_ context.Context, push gitserver.Push) func(context.Context, io.Writer) {
		fake.mu.Lock()
		defer fake.mu.Unlock()
		fake.pushes = append(fake.pushes, push)
		return nil
	}
	fake.git = gitserver.New(gitserver.Config{Dir: fake.repositories, Keys: fake.keys, OnPush: onPush})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	fake.url = server.URL
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, name := range []string{"APRON_DATA", "APRON_CONFIG", "AWS_ENDPOINT_URL_APPRUNNER", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_ENDPOINT_URL", fake.url)
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_ACCESS_KEY_ID", fake.keys.ID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", fake.keys.Secret)
	return fake
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/git/") {
		f.git.ServeHTTP(w, r)
		return
	}
	if r.URL.Path == "/" && r.Method == http.MethodGet {
		fmt.Fprintln(w, "Hello from the app\nsecond line")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.drops > 0 {
		f.drops--
		panic(http.ErrAbortHandler)
	}
	input := map[string]any{}
	if err := json.NewDecoder(r.Body).Decode(&input); err != nil {
		f.t.Errorf("%s: the body is no JSON: %v", r.Header.Get("X-Amz-Target"), err)
	}
	if !strings.Contains(r.Header.Get("Authorization"), "Credential="+f.keys.ID+"/") {
		refuseWith(w, "UnrecognizedClientException", "The security token included in the request is invalid.")
		return
	}
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	f.requests = append(f.requests, fakeRequest{action, input})
	if refusal := f.refuse[action]; refusal != "" {
		delete(f.refuse, action)
		code, message, _ := strings.Cut(refusal, ": ")
		refuseWith(w, code, message)
		return
	}
	output := f.answer(action, input)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if err := json.NewEncoder(w).Encode(output); err != nil {
		f.t.Error(err)
	}
}

func refuseWith(w http.ResponseWriter, code, message string) {
	w.WriteHeader(http.StatusBadRequest)
	json.NewEncoder(w).Encode(map[string]string{"__type": code, "Message": message})
}

func (f *fakeAPI) answer(action string, input map[string]any) any {
	switch action {
	case "ListServices":
		return map[string]any{"ServiceSummaryList": append([]map[string]any{}, f.services...)}
	case "DescribeService":
		return map[string]any{"Service": f.service(input)}
	case "CreateService":
		name := input["ServiceName"].(string)
		service := map[string]any{
			"ServiceName": name, "ServiceArn": fmt.Sprintf(fakeARN, name), "ServiceUrl": strings.TrimPrefix(f.url, "http://"),
			"CreatedAt": 1700000000.5, "UpdatedAt": 1700000000.5, "SourceConfiguration": input["SourceConfiguration"], "Tags": input["Tags"],
			"InstanceConfiguration": map[string]any{"Cpu": "1024", "Memory": "2048"},
		}
		f.services = append(f.services, service)
		return map[string]any{"Service": service, "OperationId": f.begin(service, "CREATE_SERVICE")}
	case "UpdateService":
		service := f.service(input)
		for _, name := range []string{"SourceConfiguration", "InstanceConfiguration"} {
			if input[name] != nil {
				service[name] = input[name]
			}
		}
		return map[string]any{"Service": service, "OperationId": f.begin(service, "UPDATE_SERVICE")}
	case "StartDeployment":
		return map[string]any{"OperationId": f.begin(f.service(input), "START_DEPLOYMENT")}
	case "PauseService":
		return map[string]any{"Service": f.service(input), "OperationId": f.begin(f.service(input), "PAUSE_SERVICE")}
	case "ResumeService":
		return map[string]any{"Service": f.service(input)}
	case "DeleteService":
		return map[string]any{"Service": f.service(input), "OperationId": f.begin(f.service(input), "DELETE_SERVICE")}
	case "ListOperations":
		list := []map[string]any{}
		for _, each := range f.operations {
			summary := map[string]any{"Id": each.id, "Type": each.kind, "Status": each.status, "StartedAt": 1700000000.5}
			if each.ended {
				summary["EndedAt"] = 1700000002.75
			}
			list = append([]map[string]any{summary}, list...)
		}
		return map[string]any{"OperationSummaryList": list}
	case "DescribeOperation":
		return map[string]any{"Operation": f.advance(input["OperationId"].(string))}
	case "ReadLogs":
		return f.readLogs(input)
	case "ListConnections":
		if input["ConnectionName"] == "nobody" {
			return map[string]any{"ConnectionSummaryList": []any{}}
		}
		return map[string]any{"ConnectionSummaryList": []any{fakeConnection("forge", "PENDING_HANDSHAKE")}}
	case "ListTagsForResource":
		tags := []any{map[string]any{"Key": "apron:host", "Value": "git.lan:8443"}}
		for _, service := range f.services {
			if own, isTagged := service["Tags"].([]any); isTagged && service["ServiceArn"] == input["ResourceArn"] {
				tags = own
			}
		}
		return map[string]any{"Tags": tags}
	case "TagResource", "UntagResource":
		return map[string]any{}
	case "CreateConnection":
		return map[string]any{"Connection": fakeConnection(input["ConnectionName"].(string), "PENDING_HANDSHAKE")}
	case "DeleteConnection":
		return map[string]any{"Connection": fakeConnection("forge", "DELETED")}
	case "AuthorizeConnection":
		return map[string]any{"Connection": fakeConnection("forge", "AVAILABLE"), "RepositoryUrl": "https://git.lan/app"}
	case "DescribeScaling":
		return map[string]any{"Scaling": map[string]any{
			"Size": 4, "MinSize": 1, "MaxSize": 25, "InFlight": 12, "Waiting": 3, "Frozen": 0, "Reason": "15 requests at once", "ChangedAt": 1700000000.5,
		}}
	case "DescribeListeners":
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(f.url, "http://"))
		number, _ := strconv.Atoi(port)
		listeners := map[string]any{"HttpPort": number}
		if f.httpsPort != 0 {
			listeners["HttpsPort"] = f.httpsPort
		}
		return listeners
	case "DescribeWebhook", "RotateWebhook":
		secret := map[string]string{"DescribeWebhook": "whsec_one", "RotateWebhook": "whsec_two"}[action]
		url := f.url + "/webhooks/8fe1e10304f84fd2b0df550fe98a71fa"
		return map[string]any{"Webhook": map[string]any{"Url": url, "Secret": secret, "UrlWithSecret": url + "/" + secret}}
	case "ListInstances":
		return map[string]any{"Instances": []map[string]any{{
			"Id": "0123456789abcdef0123456789abcdef", "RevisionId": "r", "State": "RUNNING", "Address": "10.1.2.3:8080", "StartedAt": 1700000000.5,
		}}}
	case "ListRuntimes":
		return map[string]any{"Runtimes": fakeRuntimes()}
	case "PrepareRuntime":
		return map[string]any{"Preparation": map[string]any{"Id": fakePreparation, "Name": input["Name"], "State": "RUNNING", "IsJoined": input["Name"] == "php81"}}
	case "DescribePreparation":
		next := f.preparation[0]
		if len(f.preparation) > 1 {
			f.preparation = f.preparation[1:]
		}
		return map[string]any{"Preparation": next}
	case "CancelPreparation":
		return map[string]any{"Preparation": map[string]any{"Id": input["PreparationId"], "State": "RUNNING"}}
	case "ListVpcIngressConnections":
		return map[string]any{"VpcIngressConnectionSummaryList": append([]map[string]any{}, f.ingress...)}
	case "DescribeVpcIngressConnection":
		return map[string]any{"VpcIngressConnection": map[string]any{"DomainName": "inside.vpce.apron.test"}}
	case "CreateNetwork":
		network := map[string]any{"Subnet": "10.20.0.0/24", "Addresses": "10.20.0.128/25", "HostAddress": "10.20.0.1", "Bridge": "apr0"}
		maps.Copy(network, input)
		f.networks = append(f.networks, network)
		return map[string]any{"Network": network}
	case "ListNetworks":
		return map[string]any{"Networks": append([]map[string]any{}, f.networks...)}
	case "UpdateNetwork":
		maps.Copy(f.networks[0], input)
		return map[string]any{"Network": f.networks[0]}
	case "DeleteNetwork":
		return map[string]any{"Network": map[string]any{"Name": input["Name"]}}
	}
	f.t.Errorf("nobody expects %s", action)
	return map[string]any{}
}

func fakeConnection(name, status string) map[string]any {
	return map[string]any{
		"ConnectionName": name, "ConnectionArn": strings.Replace(fmt.Sprintf(fakeARN, name), ":service/", ":connection/", 1),
		"ProviderType": "GITHUB", "Status": status, "CreatedAt": 1700000000.5,
	}
}

func (f *fakeAPI) service(input map[string]any) map[string]any {
	for _, service := range f.services {
		if service["ServiceArn"] == input["ServiceArn"] {
			return service
		}
	}
	f.t.Fatalf("there is no service %v", input["ServiceArn"])
	return nil
}

func (f *fakeAPI) begin(service map[string]any, kind string) string {
	operation := &fakeOperation{id: fmt.Sprintf("%032x", len(f.operations)+1), kind: kind, status: "PENDING", cause: f.failNext}
	f.failNext = ""
	head, _ := os.ReadFile(filepath.Join(f.repositories, service["ServiceName"].(string)+".git", "refs/heads/main"))
	operation.commit = strings.TrimSpace(string(head))
	f.operations = append(f.operations, operation)
	service["Status"] = "OPERATION_IN_PROGRESS"
	return operation.id
}

// advance brings the operation one step further: pending, two steps, the end.
func (f *fakeAPI) advance(id string) map[string]any {
	var operation *fakeOperation
	for _, each := range f.operations {
		if each.id == id {
			operation = each
		}
	}
	if operation == nil {
		f.t.Fatalf("there is no operation %s", id)
	}
	at := float64(time.Now().UnixMilli()) / 1000
	if !operation.ended {
		operation.steps++
		operation.status = "IN_PROGRESS"
		if operation.ended = operation.steps > 2; operation.ended {
			f.end(operation)
		}
	}
	steps := []map[string]any{}
	for i, name := range []string{"resolve", "build"}[:min(operation.steps, 2)] {
		step := map[string]any{"Name": name, "State": "RUNNING", "StartedAt": at - 2}
		if i < operation.steps-1 || operation.ended {
			step["State"], step["EndedAt"], step["Detail"] = "SUCCEEDED", at, "detail of "+name
		}
		steps = append(steps, step)
	}
	answer := map[string]any{"Id": id, "Type": operation.kind, "Status": operation.status, "TargetArn": f.services[len(f.services)-1]["ServiceArn"], "StartedAt": at - 3, "Steps": steps, "Commit": operation.commit}
	if operation.ended {
		answer["EndedAt"] = at
	}
	if operation.ended && operation.cause != "" {
		answer["Failure"] = map[string]any{"Step": "build", "Cause": operation.cause, "Remedy": "Mend it.",
			"Observed": []string{"+0.1 s: it \x1b[2Jended"}, "Evidence": []string{"line one", "line \x1b[2Jtwo"}}
	}
	return answer
}

func (f *fakeAPI) end(operation *fakeOperation) {
	service := f.services[len(f.services)-1]
	operation.status, service["Status"] = "SUCCEEDED", "RUNNING"
	switch {
	case operation.cause != "" && operation.kind == "CREATE_SERVICE":
		operation.status, service["Status"] = "FAILED", "CREATE_FAILED"
	case operation.cause != "":
		operation.status = "ROLLBACK_SUCCEEDED"
	case operation.kind == "PAUSE_SERVICE":
		service["Status"] = "PAUSED"
	case operation.kind == "DELETE_SERVICE":
		service["Status"] = "DELETED"
	}
}

// readLogs answers the lines from the place that the token names.
func (f *fakeAPI) readLogs(input map[string]any) map[string]any {
	if f.isEndless {
		return f.readEndless(input)
	}
	from := 0
	if token, _ := input["NextToken"].(string); token != "" && token != "start" {
		fmt.Sscan(token, &from)
	}
	stream := "stdout"
	if input["Stream"] == "access" {
		stream = "access"
	}
	lines := []map[string]any{}
	for _, line := range f.lines[from:] {
		lines = append(lines, map[string]any{"Timestamp": 1700000000.5, "Stream": stream, "Message": line})
	}
	return map[string]any{"Lines": lines, "NextToken": fmt.Sprint(len(f.lines))}
}

// readEndless answers with as many lines as are asked for, a second apart, and the last of them is of now.
func (f *fakeAPI) readEndless(input map[string]any) map[string]any {
	limit := int(input["Limit"].(float64))
	last := f.printed + limit
	if input["NextToken"] == nil {
		last = 1000
	}
	lines := make([]map[string]any, limit)
	for i := range lines {
		lines[i] = map[string]any{"Timestamp": 1700000000 + last - limit + i + 1, "Stream": "stdout", "Message": "again"}
	}
	if input["NextToken"] != nil {
		f.printed = last
	}
	return map[string]any{"Lines": lines, "NextToken": "next"}
}

// did returns the inputs of the requests for an action.
func (f *fakeAPI) did(action string) []map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	var inputs []map[string]any
	for _, request := range f.requests {
		if request.action == action {
			inputs = append(inputs, request.input)
		}
	}
	return inputs
}

// result is what a command line came to.
type result struct {
	code          int
	out, problems string
}

// apron runs a command line as a user would.
func apron(t *testing.T, arguments ...string) result {
	t.Helper()
	return apronReading(t, strings.NewReader(""), arguments...)
}

// apronReading is apron with a standard input.
func apronReading(t *testing.T, in io.Reader, arguments ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out, problems bytes.Buffer
	code := run(ctx, arguments, in, &out, &problems)
	return result{code, out.String(), problems.String()}
}

// expect checks the exit code and that every piece is in what was printed.
func (r result) expect(t *testing.T, code int, pieces ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("the exit code is %d, want %d\n%s%s", r.code, code, r.out, r.problems)
	}
	for _, piece := range pieces {
		if !strings.Contains(r.out+r.problems, piece) {
			t.Errorf("%q is not in\n%s%s", piece, r.out, r.problems)
		}
	}
}
