package api_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
)

// wantService is a new service as App Runner answers it, byte by byte.
const wantService = `{"ServiceName":"webapp","ServiceId":"ID","ServiceArn":"arn:aws:apprunner:us-east-1:123456789012:service/webapp/ID",` +
	`"ServiceUrl":"SUBDOMAIN.us-east-1.apron.test:8080","CreatedAt":TIME,"UpdatedAt":TIME,"Status":"OPERATION_IN_PROGRESS",` +
	`"SourceConfiguration":{"ImageRepository":{"ImageIdentifier":"web:1","ImageConfiguration":{"Port":"8080"},"ImageRepositoryType":"ECR"},` +
	`"AutoDeploymentsEnabled":true},` +
	`"InstanceConfiguration":{"Cpu":"1024","Memory":"2048"},` +
	`"HealthCheckConfiguration":{"Protocol":"TCP","Path":"/","Interval":5,"Timeout":2,"HealthyThreshold":1,"UnhealthyThreshold":5},` +
	`"AutoScalingConfigurationSummary":{"AutoScalingConfigurationArn":"arn:aws:apprunner:us-east-1:123456789012:autoscalingconfiguration/DefaultConfiguration/1/ID",` +
	`"AutoScalingConfigurationName":"DefaultConfiguration","AutoScalingConfigurationRevision":1},` +
	`"NetworkConfiguration":{"EgressConfiguration":{"EgressType":"DEFAULT"},"IngressConfiguration":{"IsPubliclyAccessible":true},"IpAddressType":"IPV4"},` +
	`"ObservabilityConfiguration":{"ObservabilityEnabled":false}}`

func TestAServiceIsAnsweredToTheByte(t *testing.T) {
	w := newWorld(t)
	got := w.send("AppRunner.CreateService", `{"ServiceName":"webapp","SourceConfiguration":`+imageSource+`}`, nil)
	if want := `{"Service":` + wantService + `,"OperationId":"ID"}`; masked(got.body) != want {
		t.Errorf("CreateService (-want +got):\n%s", cmp.Diff(want, masked(got.body)))
	}
	if got.header.Get("Content-Type") != "application/x-amz-json-1.0" || got.header.Get("Date") == "" ||
		got.header.Get("Content-Length") != fmt.Sprint(len(got.body)) || !regexp.MustCompile(`^[0-9a-f-]{36}$`).MatchString(got.header.Get("X-Amzn-Requestid")) {
		t.Errorf("the headers are %v", got.header)
	}
	arn := regexp.MustCompile(`arn:aws:apprunner:[^"]*service/webapp/[0-9a-f]{32}`).FindString(got.body)
	if got := w.send("AppRunner.DescribeService", arnOf(arn), nil); masked(got.body) != `{"Service":`+wantService+`}` {
		t.Errorf("DescribeService (-want +got):\n%s", cmp.Diff(`{"Service":`+wantService+`}`, masked(got.body)))
	}
	want := `{"ServiceSummaryList":[{"ServiceName":"webapp","ServiceId":"ID","ServiceArn":"arn:aws:apprunner:us-east-1:123456789012:service/webapp/ID",` +
		`"ServiceUrl":"SUBDOMAIN.us-east-1.apron.test:8080","CreatedAt":TIME,"UpdatedAt":TIME,"Status":"OPERATION_IN_PROGRESS"}]}`
	if got := w.send("AppRunner.ListServices", `{}`, nil); masked(got.body) != want {
		t.Errorf("ListServices (-want +got):\n%s", cmp.Diff(want, masked(got.body)))
	}
	want = `{"OperationSummaryList":[{"Id":"ID","Type":"CREATE_SERVICE","Status":"PENDING",` +
		`"TargetArn":"arn:aws:apprunner:us-east-1:123456789012:service/webapp/ID","StartedAt":TIME,"UpdatedAt":TIME}]}`
	if got := w.send("AppRunner.ListOperations", arnOf(arn), nil); masked(got.body) != want {
		t.Errorf("ListOperations (-want +got):\n%s", cmp.Diff(want, masked(got.body)))
	}
}

func TestAnEmptyBodyIsAnEmptyObject(t *testing.T) {
	if got := newWorld(t).send("AppRunner.ListServices", "", nil); got.status != 200 || got.body != `{"ServiceSummaryList":[]}` {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// member digs out a member of an answer by its path.
func member(t *testing.T, value any, path string) any {
	t.Helper()
	for part := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			t.Fatalf("%s: %v is no object", path, value)
		}
		value = object[part]
	}
	return value
}

func TestAnUpdateChangesWhatItNamesAndKeepsTheRest(t *testing.T) {
	w := newWorld(t)
	made := w.call("CreateService", `{"ServiceName":"webapp","SourceConfiguration":{"AutoDeploymentsEnabled":false,
		"ImageRepository":{"ImageIdentifier":"web:1","ImageRepositoryType":"ECR","ImageConfiguration":{"Port":"9000","StartCommand":"/app",
			"RuntimeEnvironmentVariables":{"A":"1","B":"2"}}}},
		"InstanceConfiguration":{"Cpu":"1 vCPU","Memory":"2 GB","InstanceRoleArn":"arn:aws:iam::123456789012:role/app"},
		"HealthCheckConfiguration":{"Protocol":"HTTP","Path":"/ready","Interval":10}}`)
	arn := member(t, made, "Service.ServiceArn").(string)
	w.settle(arn, platform.ServiceStatusRunning)
	updated := w.call("UpdateService", `{"ServiceArn":"`+arn+`","SourceConfiguration":{
		"ImageRepository":{"ImageIdentifier":"web:2","ImageRepositoryType":"ECR","ImageConfiguration":{"RuntimeEnvironmentVariables":{"C":"3"}}}},
		"InstanceConfiguration":{"Memory":"3 GB"},"HealthCheckConfiguration":{"Interval":20}}`)
	if id := updated["OperationId"].(string); !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) {
		t.Errorf("OperationId is %q", id)
	}
	image := "SourceConfiguration.ImageRepository."
	for path, want := range map[string]any{
		"Status": "OPERATION_IN_PROGRESS", "SourceConfiguration.AutoDeploymentsEnabled": false,
		image + "ImageIdentifier": "web:2", image + "ImageConfiguration.Port": "9000", image + "ImageConfiguration.StartCommand": "/app",
		image + "ImageConfiguration.RuntimeEnvironmentVariables": map[string]any{"C": "3"}, // a map is one member
		"InstanceConfiguration.Cpu":                              "1024", "InstanceConfiguration.Memory": "3072",
		"InstanceConfiguration.InstanceRoleArn": "arn:aws:iam::123456789012:role/app",
		"HealthCheckConfiguration.Protocol":     "HTTP", "HealthCheckConfiguration.Path": "/ready", "HealthCheckConfiguration.Interval": 20.0,
	} {
		if got := member(t, updated["Service"], path); !cmp.Equal(got, want) {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
}

func TestCodeHasAppRunnersDefaults(t *testing.T) {
	made := newWorld(t).call("CreateService", `{"ServiceName":"code","SourceConfiguration":{"CodeRepository":{"RepositoryUrl":"https://example.org/app.git",
		"SourceCodeVersion":{"Type":"BRANCH","Value":"main"},"CodeConfiguration":{"ConfigurationSource":"API",
		"CodeConfigurationValues":{"Runtime":"PYTHON_311","StartCommand":"python3 app.py"}}}}}`)
	code := "Service.SourceConfiguration.CodeRepository."
	for path, want := range map[string]any{
		code + "SourceDirectory": "/", code + "CodeConfiguration.CodeConfigurationValues.Port": "8080",
		"Service.SourceConfiguration.AutoDeploymentsEnabled": true,
	} {
		if got := member(t, made, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
}

func TestAPrivateServiceHasNoURL(t *testing.T) {
	made := newWorld(t).call("CreateService", `{"ServiceName":"inside","SourceConfiguration":`+imageSource+`,"NetworkConfiguration":{"IngressConfiguration":{}}}`)
	if url, public := member(t, made, "Service.ServiceUrl"), member(t, made, "Service.NetworkConfiguration.IngressConfiguration.IsPubliclyAccessible"); url != "" || public != false {
		t.Errorf("ServiceUrl is %v, IsPubliclyAccessible is %v", url, public)
	}
}

func TestPauseAndResumeOfWhatIsSoAlreadyNeedNoOperation(t *testing.T) {
	w := newWorld(t)
	arn := w.running("webapp")
	if got := w.call("ResumeService", arnOf(arn)); got["OperationId"] != nil || member(t, got, "Service.Status") != "RUNNING" {
		t.Errorf("resume of a running service: %v", got)
	}
	if got := w.call("PauseService", arnOf(arn)); got["OperationId"] == nil || member(t, got, "Service.Status") != "OPERATION_IN_PROGRESS" {
		t.Errorf("pause of a running service: %v", got)
	}
	w.settle(arn, platform.ServiceStatusPaused)
	if got := w.call("PauseService", arnOf(arn)); got["OperationId"] != nil || member(t, got, "Service.Status") != "PAUSED" {
		t.Errorf("pause of a paused service: %v", got)
	}
	if got := w.call("ResumeService", arnOf(arn)); got["OperationId"] == nil {
		t.Errorf("resume of a paused service: %v", got)
	}
}

func TestADeletedServiceIsDescribedAndNotListed(t *testing.T) {
	w := newWorld(t)
	arn := w.running("webapp")
	w.call("DeleteService", arnOf(arn))
	w.settle(arn, platform.ServiceStatusDeleted)
	got := w.call("DescribeService", arnOf(arn))
	if member(t, got, "Service.Status") != "DELETED" || member(t, got, "Service.DeletedAt") == nil {
		t.Errorf("DescribeService: %v", got)
	}
	if list := w.call("ListServices", `{}`)["ServiceSummaryList"].([]any); len(list) != 0 {
		t.Errorf("ListServices: %v", list)
	}
	for _, action := range []string{"UpdateService", "StartDeployment", "PauseService", "ResumeService", "DeleteService"} {
		w.refused(action, arnOf(arn), "ResourceNotFoundException", 400)
	}
	if again := w.create("webapp"); again == arn {
		t.Error("the name is free again, and its service has the ARN of the deleted one")
	}
}

// The table of the developer guide, but that a service whose creation failed can be deployed: which call each status allows.
func TestAStatusAllowsWhatAppRunnerAllows(t *testing.T) {
	const yes, state, request = "", "InvalidStateException", "InvalidRequestException"
	for status, want := range map[platform.ServiceStatus]map[string]string{
		platform.ServiceStatusRunning:      {"UpdateService": yes, "StartDeployment": yes, "PauseService": yes, "DeleteService": yes},
		platform.ServiceStatusPaused:       {"UpdateService": state, "StartDeployment": request, "ResumeService": yes, "DeleteService": yes},
		platform.ServiceStatusCreateFailed: {"UpdateService": yes, "StartDeployment": yes, "PauseService": state, "ResumeService": state, "DeleteService": yes},
		platform.ServiceStatusOperationInProgress: {
			"UpdateService": state, "StartDeployment": request, "PauseService": state, "ResumeService": state, "DeleteService": state,
		},
	} {
		for action, code := range want {
			w := newWorld(t)
			arn := w.create("webapp")
			switch status {
			case platform.ServiceStatusOperationInProgress:
			case platform.ServiceStatusPaused:
				w.settle(arn, platform.ServiceStatusRunning)
				w.call("PauseService", arnOf(arn))
				w.settle(arn, status)
			default:
				w.settle(arn, status)
			}
			if code == yes {
				if got := w.call(action, arnOf(arn)); got["OperationId"] == nil {
					t.Errorf("%s of a service that is %s: %v", action, status, got)
				}
				continue
			}
			if message := w.refused(action, arnOf(arn), code, 400); !strings.HasSuffix(message, " in the current state: "+string(status)+".") {
				t.Errorf("%s of a service that is %s says %q", action, status, message)
			}
		}
	}
}

func TestListsComeInPages(t *testing.T) {
	w := newWorld(t)
	var made []string
	for i := range 7 {
		made = append(made, w.create(fmt.Sprintf("app-%d", i)))
	}
	var listed []string
	token := ""
	for range 10 {
		page := w.call("ListServices", fmt.Sprintf(`{"MaxResults":3%s}`, token))
		for _, each := range page["ServiceSummaryList"].([]any) {
			listed = append(listed, each.(map[string]any)["ServiceArn"].(string))
		}
		next, isMore := page["NextToken"].(string)
		if !isMore {
			break
		}
		token = fmt.Sprintf(`,"NextToken":%q`, next)
	}
	if !slices.Equal(made, listed) {
		t.Errorf("made %d, listed %d in pages", len(made), len(listed))
	}
	if all := w.call("ListServices", `{}`); len(all["ServiceSummaryList"].([]any)) != 7 || all["NextToken"] != nil {
		t.Errorf("without MaxResults: %v", all)
	}
}

func TestOperationsComeNewestFirstInPages(t *testing.T) {
	w := newWorld(t)
	arn := w.running("webapp")
	for range 4 {
		w.call("StartDeployment", arnOf(arn))
		w.settle(arn, platform.ServiceStatusRunning)
	}
	first := w.call("ListOperations", `{"ServiceArn":"`+arn+`","MaxResults":4}`)
	list := first["OperationSummaryList"].([]any)
	if len(list) != 4 || member(t, list[0], "Type") != "START_DEPLOYMENT" || member(t, list[0], "Status") != "SUCCEEDED" || member(t, list[0], "EndedAt") == nil {
		t.Errorf("the first page: %v", list)
	}
	last := w.call("ListOperations", fmt.Sprintf(`{"ServiceArn":%q,"MaxResults":4,"NextToken":%q}`, arn, first["NextToken"]))
	if list := last["OperationSummaryList"].([]any); len(list) != 1 || member(t, list[0], "Type") != "CREATE_SERVICE" || last["NextToken"] != nil {
		t.Errorf("the last page: %v", last)
	}
	other := w.running("other")
	w.refused("ListOperations", fmt.Sprintf(`{"ServiceArn":%q,"NextToken":%q}`, other, first["NextToken"]), "InvalidRequestException", 400)
	w.refused("ListServices", fmt.Sprintf(`{"NextToken":%q}`, first["NextToken"]), "InvalidRequestException", 400)
}

// Every action of the model and every extension is answered by something that reads its input.
func TestEveryActionIsAnswered(t *testing.T) {
	w := newWorld(t)
	for _, action := range append(apprunner.Actions(), apprunner.ExtensionActions()...) {
		got := w.send(action.Target, `{"NoMemberOfThisName":1}`, nil)
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, "NoMemberOfThisName") {
			t.Errorf("%s: %d %s", action.Target, got.status, got.body)
		}
	}
}

func TestTagsAreAddedReplacedAndRemoved(t *testing.T) {
	w := newWorld(t)
	arn := w.create("webapp") // tags need no service that is settled
	tags := func(members string) string { return fmt.Sprintf(`{"ResourceArn":%q%s}`, arn, members) }
	for _, each := range []struct{ action, body, want string }{
		{"ListTagsForResource", tags(""), `{"Tags":[]}`},
		{"TagResource", tags(`,"Tags":[{"Key":"team","Value":"a"},{"Key":"empty","Value":""}]`), `{}`},
		{"TagResource", tags(`,"Tags":[{"Key":"team","Value":"b"}]`), `{}`},
		{"ListTagsForResource", tags(""), `{"Tags":[{"Key":"empty","Value":""},{"Key":"team","Value":"b"}]}`},
		{"UntagResource", tags(`,"TagKeys":["empty","missing"]`), `{}`},
		{"ListTagsForResource", tags(""), `{"Tags":[{"Key":"team","Value":"b"}]}`},
	} {
		if got := w.send("AppRunner."+each.action, each.body, nil); got.status != 200 || got.body != each.want {
			t.Errorf("%s %s: %d %s, want %s", each.action, each.body, got.status, got.body, each.want)
		}
	}
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprintf(`{"Key":"k%d","Value":""}`, i))
	}
	w.refused("TagResource", tags(`,"Tags":[`+strings.Join(many, ",")+`]`), "InvalidRequestException", 400)
	if got := w.send("AppRunner.ListTagsForResource", tags(""), nil); got.body != `{"Tags":[{"Key":"team","Value":"b"}]}` {
		t.Errorf("after a refusal: %s", got.body)
	}
}

// A name alone means its latest revision, and the pages after the first are of the revision that the first was of.
func TestPagesOfAConfigurationsServicesStayWithItsRevision(t *testing.T) {
	w := newWorld(t)
	w.call("CreateAutoScalingConfiguration", `{"AutoScalingConfigurationName":"small"}`)
	const byName = `{"AutoScalingConfigurationArn":"arn:aws:apprunner:us-east-1:123456789012:autoscalingconfiguration/small","MaxResults":2`
	for _, name := range []string{"app1", "app2", "app3"} {
		w.call("CreateService", fmt.Sprintf(`{"ServiceName":%q,"SourceConfiguration":%s,"AutoScalingConfigurationArn":`+
			`"arn:aws:apprunner:us-east-1:123456789012:autoscalingconfiguration/small"}`, name, imageSource))
	}
	first := w.call("ListServicesForAutoScalingConfiguration", byName+"}")
	w.call("CreateAutoScalingConfiguration", `{"AutoScalingConfigurationName":"small"}`)
	second := w.call("ListServicesForAutoScalingConfiguration", fmt.Sprintf(`%s,"NextToken":%q}`, byName, first["NextToken"]))
	if list := second["ServiceArnList"].([]any); len(list) != 1 || !strings.Contains(list[0].(string), "/app3/") {
		t.Errorf("the second page is %v", list)
	}
}
