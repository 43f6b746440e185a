package apprunner

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValidateFindsEveryBrokenMember(t *testing.T) {
	input := CreateServiceRequest{
		ServiceName: new(ServiceName("a/b")),
		SourceConfiguration: &SourceConfiguration{
			CodeRepository: &CodeRepository{
				RepositoryURL:     new(String("https://user:hunter2@git.test/x")),
				SourceCodeVersion: &SourceCodeVersion{Type: new(SourceCodeVersionType("TAG"))},
				CodeConfiguration: &CodeConfiguration{
					ConfigurationSource: new(ConfigurationSource("Api")),
					CodeConfigurationValues: &CodeConfigurationValues{
						Runtime:                     new(Runtime("PERL_5")),
						BuildCommand:                new(BuildCommand("echo secret\nmore")),
						RuntimeEnvironmentVariables: RuntimeEnvironmentVariables{"": "x", "LONG": RuntimeEnvironmentVariablesValue(strings.Repeat("s", 51201))},
					},
				},
			},
		},
		InstanceConfiguration:       &InstanceConfiguration{CPU: new(CPU("3 vCPU")), InstanceRoleARN: new(RoleARN("arn:aws:iam::1:role/x"))},
		HealthCheckConfiguration:    &HealthCheckConfiguration{Interval: new(HealthCheckInterval(0)), Timeout: new(HealthCheckTimeout(21))},
		Tags:                        []Tag{{Key: new(TagKey("ok"))}, {Key: new(TagKey("aws:mine"))}},
		AutoScalingConfigurationARN: new(AppRunnerResourceARN("default")),
	}
	err := Validate(&input)
	var got *ValidationError
	if !errors.As(err, &got) {
		t.Fatalf("got %v, want a ValidationError", err)
	}
	type broken struct {
		Path string
		Rule Rule
	}
	var found []broken
	for _, violation := range got.Violations {
		found = append(found, broken{violation.Path, violation.Rule})
	}
	const code = "SourceConfiguration.CodeRepository."
	want := []broken{
		{"ServiceName", RuleMinLength},
		{code + "SourceCodeVersion.Type", RuleEnum},
		{code + "SourceCodeVersion.Value", RuleRequired},
		{code + "CodeConfiguration.ConfigurationSource", RuleEnum},
		{code + "CodeConfiguration.CodeConfigurationValues.Runtime", RuleEnum},
		{code + "CodeConfiguration.CodeConfigurationValues.BuildCommand", RulePattern},
		{code + `CodeConfiguration.CodeConfigurationValues.RuntimeEnvironmentVariables[""]`, RuleMinLength},
		{code + `CodeConfiguration.CodeConfigurationValues.RuntimeEnvironmentVariables["LONG"]`, RuleMaxLength},
		{"InstanceConfiguration.Cpu", RulePattern},
		{"InstanceConfiguration.InstanceRoleArn", RuleMinLength},
		{"Tags[1].Key", RulePattern},
		{"HealthCheckConfiguration.Interval", RuleMin},
		{"HealthCheckConfiguration.Timeout", RuleMax},
		{"AutoScalingConfigurationArn", RulePattern},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("wrong violations (-want +got):\n%s", diff)
	}
	for _, secret := range []string{"hunter2", "secret"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error repeats a sensitive value: %s", err)
		}
	}
	if runtime := got.Violations[4].Text; !strings.Contains(runtime, `"PERL_5"`) || !strings.Contains(runtime, "PYTHON_311") || !strings.Contains(runtime, "NODEJS_22") {
		t.Errorf("the error on the runtime lists no values: %s", runtime)
	}
}

// A text that must be one of a few is told which, whatever its length.
func TestAWrongLengthIsToldWhatIsAllowed(t *testing.T) {
	err := Validate(&CreateServiceRequest{
		ServiceName:           new(ServiceName("a")),
		SourceConfiguration:   &SourceConfiguration{},
		InstanceConfiguration: &InstanceConfiguration{CPU: new(CPU("7")), Memory: new(Memory("2048 MiB")), InstanceRoleARN: new(RoleARN("admin"))},
	})
	const want = `ServiceName has 1 character, and must have at least 4; ` +
		`InstanceConfiguration.Cpu has 1 character, and must be one of 256, 512, 1024, 2048, 4096 or 0.25, 0.5, 1, 2, 4 followed by " vCPU"; ` +
		`InstanceConfiguration.Memory has 8 characters, and must be one of 512, 1024, 2048, 3072, 4096, 6144, 8192, 10240, 12288 ` +
		`or 0.5, 1, 2, 3, 4, 6, 8, 10, 12 followed by " GB"; InstanceConfiguration.InstanceRoleArn has 5 characters, and must be the ARN of an IAM role`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestScalarsAcceptWhatTheServiceDoes(t *testing.T) {
	const arn = "arn:aws:apprunner:us-east-1:123456789012:service/web/8fe1e10304f84fd2b0df550fe98a71fa"
	cases := []struct {
		name  string
		value any
		isOK  bool
	}{
		{"a name of 3", &CreateServiceRequest{ServiceName: new(ServiceName("web"))}, false},
		{"a name of 4", &CreateServiceRequest{ServiceName: new(ServiceName("web1"))}, true},
		{"a name of 40", &CreateServiceRequest{ServiceName: new(ServiceName(strings.Repeat("a", 40)))}, true},
		{"a name of 41", &CreateServiceRequest{ServiceName: new(ServiceName(strings.Repeat("a", 41)))}, false},
		{"a name with - and _", &CreateServiceRequest{ServiceName: new(ServiceName("a-b_c"))}, true},
		{"a name that begins with -", &CreateServiceRequest{ServiceName: new(ServiceName("-abc"))}, false},
		{"a name with a line break at its end", &CreateServiceRequest{ServiceName: new(ServiceName("web1\n"))}, false},
		{"a name with ü", &CreateServiceRequest{ServiceName: new(ServiceName("münz"))}, false},
		{"1024", &InstanceConfiguration{CPU: new(CPU("1024"))}, true},
		{"1 vCPU", &InstanceConfiguration{CPU: new(CPU("1 vCPU"))}, true},
		{"0.25 vCPU", &InstanceConfiguration{CPU: new(CPU("0.25 vCPU"))}, true},
		{"0x25 vCPU", &InstanceConfiguration{CPU: new(CPU("0x25 vCPU"))}, false},
		{"1vCPU", &InstanceConfiguration{CPU: new(CPU("1vCPU"))}, false},
		{"0.5 GB", &InstanceConfiguration{Memory: new(Memory("0.5 GB"))}, true},
		{"5 GB", &InstanceConfiguration{Memory: new(Memory("5 GB"))}, false},
		{"12 GB", &InstanceConfiguration{Memory: new(Memory("12 GB"))}, true},
		{"a variable with line breaks", &ImageConfiguration{RuntimeEnvironmentVariables: RuntimeEnvironmentVariables{"PEM": "a\nb\n"}}, true},
		{"an empty variable", &ImageConfiguration{RuntimeEnvironmentVariables: RuntimeEnvironmentVariables{"EMPTY": ""}}, true},
		{"an image of any registry", &ImageRepository{ImageIdentifier: new(ImageIdentifier("localhost:5000/x:1"))}, true},
		{"a service's ARN", &DescribeServiceRequest{ServiceARN: new(AppRunnerResourceARN(arn))}, true},
		{"an ARN of 1012 characters", &DescribeServiceRequest{ServiceARN: new(AppRunnerResourceARN(arn + strings.Repeat("a", 1012-len(arn))))}, false},
		{"an ARN with a space", &DescribeServiceRequest{ServiceARN: new(AppRunnerResourceARN(arn + " "))}, false},
		{"20 results", &ListServicesRequest{MaxResults: new(ServiceMaxResults(20))}, true},
		{"21 results", &ListServicesRequest{MaxResults: new(ServiceMaxResults(21))}, false},
		{"-1 results", &ListServicesRequest{MaxResults: new(ServiceMaxResults(-1))}, false},
		{"a KMS key of us-gov-west-1", &EncryptionConfiguration{KMSKey: new(KMSKeyARN("arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"))}, true},
	}
	for _, key := range []string{"a", "aw", "aws", "awsx", "AWS:x", "Aws:", "x:aws:", "aaws:", "apron:build", "aw:s", "a\nb"} {
		cases = append(cases, struct {
			name  string
			value any
			isOK  bool
		}{"the tag " + key, &Tag{Key: new(TagKey(key))}, true})
	}
	for _, key := range []string{"", "aws:", "aws:x", "aws:x\ny", strings.Repeat("x", 129)} {
		cases = append(cases, struct {
			name  string
			value any
			isOK  bool
		}{"the tag " + key, &Tag{Key: new(TagKey(key))}, false})
	}
	for _, c := range cases {
		var found *ValidationError
		errors.As(Validate(c.value), &found)
		isOK := true
		if found != nil {
			for _, violation := range found.Violations {
				isOK = isOK && violation.Rule == RuleRequired // members that the case leaves out
			}
		}
		if isOK != c.isOK {
			t.Errorf("%s: accepted %v, want %v (%v)", c.name, isOK, c.isOK, found)
		}
	}
}
