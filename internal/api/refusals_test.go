package api_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/api"
	"github.com/apron-run/apron/internal/store"
)

// created is the body of a creation with a source and further members.
func created(source, more string) string {
	return `{"ServiceName":"webapp","SourceConfiguration":` + source + more + `}`
}

func code(members string) string {
	return `{"CodeRepository":{"RepositoryUrl":"https://example.org/app.git","SourceCodeVersion":{"Type":"BRANCH","Value":"main"}` + members + `}}`
}

const byFile = `,"CodeConfiguration":{"ConfigurationSource":"REPOSITORY"}`

func byValues(members string) string {
	return `,"CodeConfiguration":{"ConfigurationSource":"API","CodeConfigurationValues":{` + members + `}}`
}

// Every body is refused by its code, with a message that names the member and the rule, and changes nothing.
func TestACreationThatIsNotValidIsRefused(t *testing.T) {
	const invalid, unreadable = "InvalidRequestException", "SerializationException"
	image := func(members string) string {
		return `{"ImageRepository":{"ImageIdentifier":"web:1","ImageRepositoryType":"ECR","ImageConfiguration":{` + members + `}}}`
	}
	w := newWorld(t)
	for name, c := range map[string]struct {
		body, code string
		want       []string
	}{
		"no JSON":                         {`{"ServiceName"`, unreadable, []string{"cannot be read"}},
		"text after the JSON":             {created(imageSource, "") + "x", unreadable, []string{"cannot be read"}},
		"a list":                          {`[]`, unreadable, []string{"cannot be read"}},
		"a number as name":                {`{"ServiceName":5}`, unreadable, []string{"ServiceName"}},
		"an object as port":               {created(image(`"Port":{}`), ""), unreadable, []string{"SourceConfiguration.ImageRepository.ImageConfiguration.Port"}},
		"text as a boolean":               {created(`{"AutoDeploymentsEnabled":"yes"}`, ""), unreadable, []string{"AutoDeploymentsEnabled"}},
		"nothing":                         {`{}`, invalid, []string{"ServiceName", "SourceConfiguration", "required"}},
		"a short name":                    {`{"ServiceName":"web","SourceConfiguration":` + imageSource + `}`, invalid, []string{"ServiceName", "4"}},
		"a long name":                     {`{"ServiceName":"` + strings.Repeat("a", 41) + `","SourceConfiguration":` + imageSource + `}`, invalid, []string{"ServiceName", "40"}},
		"a name with a dot":               {`{"ServiceName":"web.app","SourceConfiguration":` + imageSource + `}`, invalid, []string{"ServiceName"}},
		"a name in two lines":             {`{"ServiceName":"webapp\n","SourceConfiguration":` + imageSource + `}`, invalid, []string{"ServiceName"}},
		"neither source":                  {created(`{}`, ""), invalid, []string{"CodeRepository", "ImageRepository", "neither"}},
		"both sources":                    {created(strings.TrimSuffix(imageSource, "}")+","+code(byFile)[1:], ""), invalid, []string{"CodeRepository", "ImageRepository", "both"}},
		"no image":                        {created(`{"ImageRepository":{"ImageRepositoryType":"ECR"}}`, ""), invalid, []string{"ImageIdentifier", "required"}},
		"a broken image":                  {created(`{"ImageRepository":{"ImageIdentifier":"a b:c","ImageRepositoryType":"ECR"}}`, ""), invalid, []string{"ImageIdentifier"}},
		"a registry of no type":           {created(`{"ImageRepository":{"ImageIdentifier":"web:1"}}`, ""), invalid, []string{"ImageRepositoryType", "required"}},
		"an unknown registry type":        {created(`{"ImageRepository":{"ImageIdentifier":"web:1","ImageRepositoryType":"HUB"}}`, ""), invalid, []string{"ImageRepositoryType", "ECR_PUBLIC"}},
		"a port of letters":               {created(image(`"Port":"http"`), ""), invalid, []string{"ImageConfiguration.Port", "65535"}},
		"a port too high":                 {created(image(`"Port":"65536"`), ""), invalid, []string{"ImageConfiguration.Port", "65535"}},
		"a variable with =":               {created(image(`"RuntimeEnvironmentVariables":{"A=B":"c"}`), ""), invalid, []string{"RuntimeEnvironmentVariables"}},
		"a reserved variable":             {created(image(`"RuntimeEnvironmentVariables":{"AWSAPPRUNNER_X":"c"}`), ""), invalid, []string{"RuntimeEnvironmentVariables"}},
		"no repository":                   {created(`{"CodeRepository":{"SourceCodeVersion":{"Type":"BRANCH","Value":"main"}`+byFile+`}}`, ""), invalid, []string{"RepositoryUrl", "required"}},
		"a repository of nowhere":         {created(strings.Replace(code(byFile), "https://example.org/app.git", "app", 1), ""), invalid, []string{"RepositoryUrl"}},
		"a command as repository":         {created(strings.Replace(code(byFile), "https://example.org/app.git", "ext::sh -c id", 1), ""), invalid, []string{"RepositoryUrl"}},
		"no branch":                       {created(strings.Replace(code(byFile), `"main"`, `""`, 1), ""), invalid, []string{"SourceCodeVersion.Value"}},
		"an option as branch":             {created(strings.Replace(code(byFile), `"main"`, `"--upload-pack=x"`, 1), ""), invalid, []string{"SourceCodeVersion.Value"}},
		"a tag as version":                {created(strings.Replace(code(byFile), "BRANCH", "TAG", 1), ""), invalid, []string{"SourceCodeVersion.Type", "BRANCH"}},
		"a way out of the repository":     {created(code(`,"SourceDirectory":"/a/../../b"`+byFile), ""), invalid, []string{"SourceDirectory"}},
		"no code configuration":           {created(code(""), ""), invalid, []string{"CodeConfiguration", "required"}},
		"no values":                       {created(code(`,"CodeConfiguration":{"ConfigurationSource":"API"}`), ""), invalid, []string{"CodeConfigurationValues", "required"}},
		"no runtime":                      {created(code(byValues(`"StartCommand":"x"`)), ""), invalid, []string{"Runtime", "required"}},
		"an unknown runtime":              {created(code(byValues(`"Runtime":"COBOL_60","StartCommand":"x"`)), ""), invalid, []string{"Runtime", "PYTHON_311"}},
		"a runtime not here":              {created(code(byValues(`"Runtime":"RUBY_31","StartCommand":"x"`)), ""), invalid, []string{"RUBY_31", "PYTHON_311"}},
		"no start command":                {created(code(byValues(`"Runtime":"PYTHON_311"`)), ""), invalid, []string{"StartCommand", "required"}},
		"a pair that is not offered":      {created(imageSource, `,"InstanceConfiguration":{"Cpu":"1 vCPU","Memory":"1 GB"}`), invalid, []string{"1 vCPU", "1 GB", "2 GB, 3 GB, 4 GB"}},
		"an unknown CPU":                  {created(imageSource, `,"InstanceConfiguration":{"Cpu":"3 vCPU"}`), invalid, []string{"Cpu"}},
		"an unknown memory":               {created(imageSource, `,"InstanceConfiguration":{"Memory":"5 GB"}`), invalid, []string{"Memory"}},
		"a health check too often":        {created(imageSource, `,"HealthCheckConfiguration":{"Interval":0}`), invalid, []string{"HealthCheckConfiguration.Interval", "1"}},
		"a health check too rare":         {created(imageSource, `,"HealthCheckConfiguration":{"Interval":21}`), invalid, []string{"HealthCheckConfiguration.Interval", "20"}},
		"a health check by UDP":           {created(imageSource, `,"HealthCheckConfiguration":{"Protocol":"UDP"}`), invalid, []string{"HealthCheckConfiguration.Protocol", "TCP"}},
		"a path without a slash":          {created(imageSource, `,"HealthCheckConfiguration":{"Path":"ready"}`), invalid, []string{"HealthCheckConfiguration.Path", "/"}},
		"an unknown scaling":              {created(imageSource, `,"AutoScalingConfigurationArn":"arn:aws:apprunner:us-east-1:123456789012:autoscalingconfiguration/mine/1/`+strings.Repeat("a", 32)+`"`), invalid, []string{"AutoScalingConfigurationArn"}},
		"a scaling of nowhere":            {created(imageSource, `,"AutoScalingConfigurationArn":"default"`), invalid, []string{"AutoScalingConfigurationArn"}},
		"egress without connector":        {created(imageSource, `,"NetworkConfiguration":{"EgressConfiguration":{"EgressType":"VPC"}}`), invalid, []string{"VpcConnectorArn", "required"}},
		"tracing without a configuration": {created(imageSource, `,"ObservabilityConfiguration":{"ObservabilityEnabled":true}`), invalid, []string{"ObservabilityConfigurationArn", "required"}},
		"a tag twice":                     {created(imageSource, `,"Tags":[{"Key":"a","Value":"1"},{"Key":"a","Value":"2"}]`), invalid, []string{"Tags[1].Key", "twice"}},
		"a tag of AWS":                    {created(imageSource, `,"Tags":[{"Key":"aws:a","Value":"1"}]`), invalid, []string{"Tags[0].Key"}},
		"an unknown tag of apron":         {created(imageSource, `,"Tags":[{"Key":"apron:biuld","Value":"dockerfile"}]`), invalid, []string{"Tags[0].Key", "apron:biuld", "apron:build"}},
		"a runtime of no name":            {created(imageSource, `,"Tags":[{"Key":"apron:runtime","Value":"Node 24"}]`), invalid, []string{"apron:runtime", "nodejs24"}},
		"an unknown way to build":         {created(imageSource, `,"Tags":[{"Key":"apron:build","Value":"make"}]`), invalid, []string{"apron:build", "dockerfile or auto"}},
		"a stage that can have no name":   {created(imageSource, `,"Tags":[{"Key":"apron:target","Value":"a b"}]`), invalid, []string{"apron:target", "stage"}},
		"a build argument of no name":     {created(imageSource, `,"Tags":[{"Key":"apron:build-arg:a-b","Value":"1"}]`), invalid, []string{"Tags[0].Key", "apron:build-arg:NAME"}},
		"an argument of BuildKit's own":   {created(imageSource, `,"Tags":[{"Key":"apron:build-arg:BUILDKIT_CACHE_MOUNT_NS","Value":"x"}]`), invalid, []string{"BUILDKIT_"}},
		"a build secret of no id":         {created(imageSource, `,"Tags":[{"Key":"apron:build-secret:a/b","Value":"x"}]`), invalid, []string{"apron:build-secret:ID"}},
		"a build secret of no secret":     {created(imageSource, `,"Tags":[{"Key":"apron:build-secret:a","Value":""}]`), invalid, []string{"apron:build-secret:ID", "name of a secret"}},
		"a build secret of no reference":  {created(imageSource, `,"Tags":[{"Key":"apron:build-secret:a","Value":"arn:aws:s3:::x"}]`), invalid, []string{"apron:build-secret:ID", "must be a name, or an ARN"}},
		"a tag of traffic that is wrong":  {created(imageSource, `,"Tags":[{"Key":"apron:request-timeout","Value":"2 hours"}]`), invalid, []string{"Tags[0].Value", "apron:request-timeout", "90s, 15m or 2h"}},
		"tags that do not fit together":   {created(imageSource, `,"Tags":[{"Key":"apron:scale-target","Value":"50"}]`), invalid, []string{"apron:scale-target", "apron:scale-on=cpu"}},
		"more instances than the most":    {created(imageSource, `,"Tags":[{"Key":"apron:min-size","Value":"26"}]`), invalid, []string{"apron:min-size is 26", "MaxSize of the auto scaling configuration 25"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.t = t
			message := w.refused("CreateService", c.body, c.code, 400)
			for _, want := range c.want {
				if !strings.Contains(message, want) {
					t.Errorf("it does not say %q: %s", want, message)
				}
			}
		})
	}
	if all, err := w.store.ListServices(t.Context(), store.ServicePage{}); err != nil || len(all) != 0 {
		t.Errorf("%d services were made (%v)", len(all), err)
	}
}

func TestATagNamesARuntimeThatTheAPIDoesNotHave(t *testing.T) {
	w := newWorld(t)
	body := code(byValues(`"Runtime":"RUBY_31","StartCommand":"x"`))
	w.refused("CreateService", created(body, ""), "InvalidRequestException", 400)
	w.call("CreateService", created(body, `,"Tags":[{"Key":"apron:runtime","Value":"ruby33"}]`))
}

func TestAllBrokenMembersAreNamedAtOnce(t *testing.T) {
	w := newWorld(t)
	arn := w.running("running")
	for name, c := range map[string]struct {
		action, body string
		want         []string
	}{
		"by their shapes": {
			"CreateService", created(imageSource, `,"HealthCheckConfiguration":{"Interval":0,"Timeout":99,"Protocol":"UDP"}`),
			[]string{"3 members", "Interval", "Timeout", "Protocol"},
		},
		"by what they mean, of an image": {
			"CreateService",
			created(`{"ImageRepository":{"ImageIdentifier":"a b","ImageRepositoryType":"ECR","ImageConfiguration":{"Port":"http"}}}`,
				`,"InstanceConfiguration":{"Memory":"12 GB"},"HealthCheckConfiguration":{"Path":"x"},"ObservabilityConfiguration":{"ObservabilityEnabled":true}`+
					`,"Tags":[{"Key":"a"},{"Key":"a"}]`),
			[]string{"6 members", "ImageIdentifier", "Port", "12 GB", "Path", "; and 2 more."},
		},
		"by what they mean, of code": {
			"CreateService", created(`{"CodeRepository":{"RepositoryUrl":"app","SourceCodeVersion":{"Type":"BRANCH","Value":"-x"},"SourceDirectory":".."}}`, ""),
			[]string{"4 members", "CodeConfiguration is required", "RepositoryUrl", "Value", "SourceDirectory"},
		},
		"of an update": {
			"UpdateService", `{"ServiceArn":"` + arn + `","InstanceConfiguration":{"Memory":"12 GB"},"HealthCheckConfiguration":{"Path":"x"}}`,
			[]string{"2 members", "12 GB", "Path"},
		},
		"of a connector": {
			"CreateVpcConnector", `{"VpcConnectorName":"vpc1","Subnets":["a","a"],"SecurityGroups":["a b",""],"Tags":[{"Value":"a"}]}`,
			[]string{"4 members", "Subnets[1]", "SecurityGroups[0]", "SecurityGroups[1]", "Tags[0]"},
		},
		"of limits": {
			"CreateAutoScalingConfiguration", `{"AutoScalingConfigurationName":"small","MinSize":5,"MaxSize":2,"Tags":[{"Value":"a"}]}`,
			[]string{"2 members", "MinSize", "Tags[0].Key"},
		},
		"of an ingress": {
			"CreateVpcIngressConnection", `{"ServiceArn":"` + arn + `","VpcIngressConnectionName":"inside","IngressVpcConfiguration":{}}`,
			[]string{"2 members", "VpcId", "VpcEndpointId"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := *w
			w.t = t
			message := w.refused(c.action, c.body, "InvalidRequestException", 400)
			for _, want := range c.want {
				if !strings.Contains(message, want) {
					t.Errorf("it does not say %q: %s", want, message)
				}
			}
		})
	}
}

func TestANameIsGivenOnce(t *testing.T) {
	w := newWorld(t)
	w.create("webapp")
	if message := w.refused("CreateService", created(imageSource, ""), "InvalidRequestException", 400); !strings.Contains(message, "webapp") {
		t.Errorf("it says %q", message)
	}
}

func TestAQuotaIsPaymentRequired(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Quotas = api.Quotas{api.QuotaServices: 1} })
	w.create("first")
	w.refused("CreateService", created(imageSource, ""), "ServiceQuotaExceededException", http.StatusPaymentRequired)
}

// AssociateCustomDomain declares no error of quotas.
func TestADomainBeyondTheQuotaIsAnInvalidRequest(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Quotas = api.Quotas{api.QuotaDomains: 1} })
	arn := w.running("webapp")
	w.call("AssociateCustomDomain", `{"DomainName":"one.test","ServiceArn":"`+arn+`"}`)
	message := w.refused("AssociateCustomDomain", `{"DomainName":"two.test","ServiceArn":"`+arn+`"}`, "InvalidRequestException", http.StatusBadRequest)
	if !strings.Contains(message, "quota is 1") {
		t.Errorf("it says %q", message)
	}
}

func TestAnUpdateThatIsNotValidIsRefusedAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	arn := w.running("webapp")
	before := w.send("AppRunner.DescribeService", arnOf(arn), nil).body
	for body, want := range map[string]string{
		`"SourceConfiguration":` + code(byFile): "cannot change that",
		`"SourceConfiguration":` + strings.Replace(imageSource, "web:1", "web:2", 1) + `,"InstanceConfiguration":{"Memory":"12 GB"}`: "is not offered",
		`"InstanceConfiguration":{"Memory":"12 GB"}`:                          "is not offered",
		`"HealthCheckConfiguration":{"Timeout":0}`:                            "HealthCheckConfiguration.Timeout",
		`"SourceConfiguration":{"ImageRepository":{"ImageIdentifier":"web"}}`: "ImageRepositoryType",
	} {
		message := w.refused("UpdateService", fmt.Sprintf(`{"ServiceArn":%q,%s}`, arn, body), "InvalidRequestException", 400)
		if !strings.Contains(message, want) {
			t.Errorf("%s says %q, want %q", body, message, want)
		}
	}
	if after := w.send("AppRunner.DescribeService", arnOf(arn), nil).body; after != before {
		t.Errorf("the service was changed:\n%s\nwas:\n%s", after, before)
	}
}

// Whatever an ARN names that is not a service here.
func TestAnARNOfNothingHereIsRefused(t *testing.T) {
	w := newWorld(t)
	arn := w.running("webapp")
	id := arn[strings.LastIndex(arn, "/")+1:]
	for _, action := range []string{"DescribeService", "UpdateService", "PauseService", "ResumeService", "DeleteService", "StartDeployment", "ListOperations"} {
		for what, each := range map[string]struct{ arn, code string }{
			"nothing":         {"arn:aws:apprunner:us-east-1:123456789012:service/webapp/" + strings.Repeat("0", 32), "ResourceNotFoundException"},
			"another name":    {"arn:aws:apprunner:us-east-1:123456789012:service/other/" + id, "ResourceNotFoundException"},
			"another account": {strings.Replace(arn, account, "999999999999", 1), "ResourceNotFoundException"},
			"another region":  {strings.Replace(arn, region, "eu-west-1", 1), "ResourceNotFoundException"},
			"a connection":    {"arn:aws:apprunner:us-east-1:123456789012:connection/webapp/" + id, "InvalidRequestException"},
			"no ARN":          {"webapp", "InvalidRequestException"},
			"a bucket":        {"arn:aws:s3:::webapp", "InvalidRequestException"},
		} {
			if message := w.refused(action, arnOf(each.arn), each.code, 400); message == "" {
				t.Errorf("%s of %s says nothing", action, what)
			}
		}
		w.refused(action, `{}`, "InvalidRequestException", 400)
	}
}

// The refusal names the member that the action has, and the rule, however long the ARN is.
func TestAnARNOfTheWrongKindIsRefusedByItsMember(t *testing.T) {
	const arn = "arn:aws:apprunner:us-east-1:123456789012:"
	w := newWorld(t)
	for _, c := range []struct {
		action, body string
		want         []string
	}{
		{"DescribeService", arnOf(arn + "service/" + strings.Repeat("a", 900)), []string{"ServiceArn: arn", "…", "service/NAME/ID"}},
		{"TagResource", `{"ResourceArn":"` + arn + `bucket/a/b","Tags":[]}`, []string{"ResourceArn: arn", "autoscalingconfiguration, ", "service, ", "vpcconnector"}},
		{"TagResource", `{"ResourceArn":"` + arn + `service/a","Tags":[]}`, []string{"ResourceArn: arn", "service/NAME/ID"}},
		{"TagResource", `{"ResourceArn":"` + arn + `connection/a","Tags":[]}`, []string{"ResourceArn: arn", "connection/NAME/ID"}},
		{"ListVpcIngressConnections", `{"Filter":{"ServiceArn":"` + arn + `service/a"}}`, []string{"Filter.ServiceArn: arn", "service/NAME/ID"}},
	} {
		message := w.refused(c.action, c.body, "InvalidRequestException", 400)
		for _, want := range c.want {
			if !strings.Contains(message, want) {
				t.Errorf("%s does not say %q: %s", c.action, want, message)
			}
		}
	}
}

func TestPagesThatAreNotOfferedAreRefused(t *testing.T) {
	w := newWorld(t)
	arn := w.running("webapp")
	for _, members := range []string{`"MaxResults":0`, `"MaxResults":21`, `"MaxResults":-1`, `"NextToken":"garbage"`, `"NextToken":"Z2FyYmFnZQ"`} {
		w.refused("ListServices", "{"+members+"}", "InvalidRequestException", 400)
		w.refused("ListOperations", fmt.Sprintf(`{"ServiceArn":%q,%s}`, arn, members), "InvalidRequestException", 400)
	}
	w.refused("ListServices", `{"MaxResults":"3"}`, "SerializationException", 400)
	w.refused("ListServices", `{"MaxResults":2.5}`, "SerializationException", 400)
	w.refused("ListServices", `{"MaxResults":99999999999}`, "SerializationException", 400)
}

// Every action refuses whoever did not sign, before it looks at anything else.
func TestWhoeverDidNotSignIsRefused(t *testing.T) {
	w := newWorld(t)
	for what, c := range map[string]struct {
		edit func(*http.Request)
		code string
	}{
		"unsigned":    {func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationTokenException"},
		"half signed": {func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x") }, "IncompleteSignature"},
		"another key": {func(r *http.Request) { replaceAuthorization(r, keyID, "AKIAOTHER") }, "UnrecognizedClientException"},
		"a changed signature": {func(r *http.Request) {
			header := r.Header.Get("Authorization")
			r.Header.Set("Authorization", header[:len(header)-64]+strings.Repeat("0", 64))
		}, "InvalidSignatureException"},
		"a changed body": {func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(body(`{"MaxResults":2}`)), 16 }, "InvalidSignatureException"},
		"another target": {func(r *http.Request) { r.Header.Set("X-Amz-Target", "AppRunner.DeleteService") }, "InvalidSignatureException"},
		"another host":   {func(r *http.Request) { r.URL.Host = "elsewhere:8700" }, "InvalidSignatureException"},
		"signed long ago": {func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().Add(-6*time.Minute).UTC().Format("20060102T150405Z"))
		}, "InvalidSignatureException"},
		"signed in the future": {func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().Add(6*time.Minute).UTC().Format("20060102T150405Z"))
		}, "InvalidSignatureException"},
	} {
		got := w.send("AppRunner.ListServices", `{"MaxResults":1}`, c.edit)
		wantStatus := http.StatusForbidden
		if c.code == "IncompleteSignature" {
			wantStatus = http.StatusBadRequest
		}
		if got.status != wantStatus || got.header.Get("X-Amzn-Errortype") != c.code || strings.Contains(got.body, secretKey) {
			t.Errorf("%s: %d %s, want %d %s", what, got.status, got.body, wantStatus, c.code)
		}
	}
	for _, action := range append(apprunner.Actions(), apprunner.ExtensionActions()...) {
		got := w.send(action.Target, `{}`, func(r *http.Request) { r.Header.Del("Authorization") })
		if got.status != http.StatusForbidden || !strings.Contains(got.body, `"__type":"MissingAuthenticationTokenException"`) {
			t.Errorf("unsigned %s: %d %s", action.Target, got.status, got.body)
		}
	}
}

func replaceAuthorization(r *http.Request, old, new string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
}

func TestWhatIsNoActionIsRefused(t *testing.T) {
	w := newWorld(t)
	for what, c := range map[string]struct {
		target string
		edit   func(*http.Request)
		code   string
		status int
	}{
		"an unknown action": {"AppRunner.LaunchRocket", nil, "UnknownOperationException", 400},
		"another service's": {"DynamoDB_20120810.ListTables", nil, "UnknownOperationException", 400},
		"no target":         {"", nil, "UnknownOperationException", 400},
		"another method":    {"AppRunner.ListServices", func(r *http.Request) { r.Method = http.MethodGet }, "UnknownOperationException", 400},
		"another path":      {"AppRunner.ListServices", func(r *http.Request) { r.URL.Path = "/services" }, "UnknownOperationException", 400},
	} {
		if got := w.send(c.target, `{}`, c.edit); got.status != c.status || !strings.Contains(got.body, `"__type":"`+c.code+`"`) {
			t.Errorf("%s: %d %s, want %d %s", what, got.status, got.body, c.status, c.code)
		}
	}
}

// endless is a body of n bytes that is not held in memory.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range n {
		p[i] = 'a'
	}
	e.left -= n
	return n, nil
}

func TestAHugeBodyIsRefusedInBoundedMemory(t *testing.T) {
	w := newWorld(t)
	for _, length := range []int64{10 << 20, -1} { // told beforehand, and in chunks
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := w.send("AppRunner.CreateService", "", func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(&endless{10 << 20}), length
		})
		runtime.ReadMemStats(&after)
		if got.status != http.StatusRequestEntityTooLarge || !strings.Contains(got.body, "RequestEntityTooLargeException") {
			t.Errorf("%d %s", got.status, got.body)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
			t.Errorf("refusing 10 MB took %d bytes of memory", used)
		}
	}
}

// What a refused member held may be a secret.
func TestValuesOfVariablesAreNotRepeated(t *testing.T) {
	w := newWorld(t)
	for _, variables := range []string{`{"A=B":"hunter2"}`, `{"A":["hunter2"]}`, `{"AWSAPPRUNNER":"hunter2"}`, `{"A":"hunter2\u0000"}`} {
		source := `{"ImageRepository":{"ImageIdentifier":"web:1","ImageRepositoryType":"ECR","ImageConfiguration":{"RuntimeEnvironmentVariables":` + variables + `}}}`
		got := w.send("AppRunner.CreateService", created(source, ""), nil)
		if got.status != 400 || strings.Contains(got.body, "hunter2") {
			t.Errorf("%s: %d %s", variables, got.status, got.body)
		}
	}
}
