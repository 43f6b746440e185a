package apprunner

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// fullService is a service with every member that an image can have.
func fullService() *Service {
	at := time.UnixMilli(1_700_000_000_123).UTC()
	return &Service{
		ServiceName: new(ServiceName("webapp")),
		ServiceID:   new(ServiceID("8fe1e10304f84fd2b0df550fe98a71fa")),
		ServiceARN:  new(AppRunnerResourceARN("arn:aws:apprunner:us-east-1:123456789012:service/webapp/8fe1e10304f84fd2b0df550fe98a71fa")),
		ServiceURL:  new(String("psbqam834h.us-east-1.awsapprunner.com")),
		CreatedAt:   &at,
		UpdatedAt:   &at,
		Status:      new(ServiceStatusOperationInProgress),
		SourceConfiguration: &SourceConfiguration{
			ImageRepository: &ImageRepository{
				ImageIdentifier: new(ImageIdentifier("public.ecr.aws/aws-containers/hello-app-runner:latest")),
				ImageConfiguration: &ImageConfiguration{
					RuntimeEnvironmentVariables: RuntimeEnvironmentVariables{"MODE": "prod", "GREETING": "say \"hello\"\n"},
					Port:                        new(String("8000")),
				},
				ImageRepositoryType: new(ImageRepositoryTypeECRPublic),
			},
			AutoDeploymentsEnabled: new(false),
		},
		InstanceConfiguration: &InstanceConfiguration{CPU: new(CPU("1024")), Memory: new(Memory("2048"))},
		HealthCheckConfiguration: &HealthCheckConfiguration{
			Protocol: new(HealthCheckProtocolTCP), Path: new(HealthCheckPath("/")), Interval: new(HealthCheckInterval(5)),
			Timeout: new(HealthCheckTimeout(2)), HealthyThreshold: new(HealthCheckHealthyThreshold(1)),
			UnhealthyThreshold: new(HealthCheckUnhealthyThreshold(5)),
		},
		AutoScalingConfigurationSummary: &AutoScalingConfigurationSummary{
			AutoScalingConfigurationARN:      new(AppRunnerResourceARN("arn:aws:apprunner:us-east-1:123456789012:autoscalingconfiguration/DefaultConfiguration/1/00000000000000000000000000000001")),
			AutoScalingConfigurationName:     new(AutoScalingConfigurationName("DefaultConfiguration")),
			AutoScalingConfigurationRevision: new(Integer(1)),
		},
		NetworkConfiguration: &NetworkConfiguration{
			EgressConfiguration:  &EgressConfiguration{EgressType: new(EgressTypeDefault)},
			IngressConfiguration: &IngressConfiguration{IsPubliclyAccessible: new(true)},
			IPAddressType:        new(IPAddressTypeIPv4),
		},
		ObservabilityConfiguration: &ServiceObservabilityConfiguration{ObservabilityEnabled: new(false)},
	}
}

const fullServiceJSON = `{"ServiceName":"webapp","ServiceId":"8fe1e10304f84fd2b0df550fe98a71fa",` +
	`"ServiceArn":"arn:aws:apprunner:us-east-1:123456789012:service/webapp/8fe1e10304f84fd2b0df550fe98a71fa",` +
	`"ServiceUrl":"psbqam834h.us-east-1.awsapprunner.com","CreatedAt":1700000000.123,"UpdatedAt":1700000000.123,` +
	`"Status":"OPERATION_IN_PROGRESS",` +
	`"SourceConfiguration":{"ImageRepository":{"ImageIdentifier":"public.ecr.aws/aws-containers/hello-app-runner:latest",` +
	`"ImageConfiguration":{"RuntimeEnvironmentVariables":{"GREETING":"say \"hello\"\n","MODE":"prod"},"Port":"8000"},` +
	`"ImageRepositoryType":"ECR_PUBLIC"},"AutoDeploymentsEnabled":false},` +
	`"InstanceConfiguration":{"Cpu":"1024","Memory":"2048"},` +
	`"HealthCheckConfiguration":{"Protocol":"TCP","Path":"/","Interval":5,"Timeout":2,"HealthyThreshold":1,"UnhealthyThreshold":5},` +
	`"AutoScalingConfigurationSummary":{"AutoScalingConfigurationArn":"arn:aws:apprunner:us-east-1:123456789012:autoscalingconfiguration/DefaultConfiguration/1/00000000000000000000000000000001",` +
	`"AutoScalingConfigurationName":"DefaultConfiguration","AutoScalingConfigurationRevision":1},` +
	`"NetworkConfiguration":{"EgressConfiguration":{"EgressType":"DEFAULT"},"IngressConfiguration":{"IsPubliclyAccessible":true},"IpAddressType":"IPV4"},` +
	`"ObservabilityConfiguration":{"ObservabilityEnabled":false}}`

func TestAServiceIsEncodedToTheByteAndDecodedAgain(t *testing.T) {
	if diff := cmp.Diff(fullServiceJSON, string(EncodeJSON(fullService()))); diff != "" {
		t.Errorf("wrong JSON (-want +got):\n%s", diff)
	}
	var got Service
	if err := DecodeJSON([]byte(fullServiceJSON), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fullService(), &got); diff != "" {
		t.Errorf("wrong value (-want +got):\n%s", diff)
	}
	if err := Validate(&got); err != nil {
		t.Error(err)
	}
}

func TestEncodeLeavesOutWhatIsAbsentButNeverARequiredList(t *testing.T) {
	cases := []struct {
		value any
		want  string
	}{
		{&TagResourceResponse{}, `{}`},
		{&ListServicesResponse{}, `{"ServiceSummaryList":[]}`},
		{&ListOperationsResponse{}, `{}`},
		{&ListOperationsResponse{OperationSummaryList: []OperationSummary{}}, `{"OperationSummaryList":[]}`},
		{&UntagResourceRequest{TagKeys: []TagKey{"a", "b"}}, `{"TagKeys":["a","b"]}`},
		{&IngressConfiguration{}, `{}`},
		{&IngressConfiguration{IsPubliclyAccessible: new(false)}, `{"IsPubliclyAccessible":false}`},
	}
	for _, c := range cases {
		if got := string(EncodeJSON(c.value)); got != c.want {
			t.Errorf("%T: got %s, want %s", c.value, got, c.want)
		}
	}
}

func TestTimestampsAlwaysHaveAFraction(t *testing.T) {
	cases := map[int64]string{
		1_700_000_000_000: "1700000000.000", 1_700_000_000_007: "1700000000.007", 1_700_000_000_123: "1700000000.123",
		0: "0.000", -1: "-0.001", -1_500: "-1.500",
	}
	for millis, want := range cases {
		at := time.UnixMilli(millis).UTC()
		body := EncodeJSON(&OperationSummary{StartedAt: &at})
		if got := string(body); got != `{"StartedAt":`+want+`}` {
			t.Errorf("%d ms: got %s, want %s", millis, got, want)
		}
		var back OperationSummary
		if err := DecodeJSON(body, &back); err != nil || !back.StartedAt.Equal(at) {
			t.Errorf("%s decodes to %v, %v", body, back.StartedAt, err)
		}
	}
}

func TestOutputOfProgramsIsEncodedAsValidJSON(t *testing.T) {
	body := EncodeJSON(&LogLine{Message: new(String("a\xff\xc3(b\x00\x1b[0m\u2028\"\\"))})
	if want := `{"Message":"a` + "\ufffd\ufffd" + `(b\u0000\u001b[0m` + "\u2028" + `\"\\"}`; string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

func TestAMessageKeepsWithinTheModelsBound(t *testing.T) {
	for _, message := range []string{strings.Repeat("ä", 600), strings.Repeat("ä", 601), strings.Repeat("x", 10_000)} {
		e := NewException(CodeInvalidRequest, 0, message)
		got := string(*e.text())
		if n := utf8.RuneCountInString(got); n != 600 {
			t.Errorf("%d characters are left, want 600", n)
		}
		if isCut := strings.HasSuffix(got, "…"); isCut != (utf8.RuneCountInString(message) > 600) {
			t.Errorf("a message of %d bytes: shown as cut: %v", len(message), isCut)
		}
	}
	want := `{"__type":"InvalidRequestException","Message":"no \"x\""}`
	if got := string(EncodeException(NewException(CodeInvalidRequest, 0, `no "x"`))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
