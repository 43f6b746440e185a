package apprunner

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestShapesAreThoseOfBotocoresModel compares our shapes with the service model that Debian's botocore has, fact by
// fact. That model is of 2022. Each difference is meant and has its reason in deliberate; one that is no more is an
// error too.
func TestShapesAreThoseOfBotocoresModel(t *testing.T) {
	var theirModel map[string]any
	startPeer(t).call(map[string]any{"call": "installed"}, &theirModel)
	// As it comes from JSON, like theirs.
	encoded, err := json.Marshal(ourModel())
	if err != nil {
		t.Fatal(err)
	}
	var model map[string]any
	if err := json.Unmarshal(encoded, &model); err != nil {
		t.Fatal(err)
	}
	ours, theirs := factsOf(model), factsOf(theirModel)
	if len(theirs) < 500 {
		t.Fatalf("botocore's model says only %d facts", len(theirs))
	}
	dropUnshared(ours, theirs)
	unused := map[fact]string{}
	for _, group := range deliberate {
		for _, f := range group.facts {
			if _, isTwice := unused[f]; isTwice {
				t.Errorf("%v is in the table twice", f)
			}
			unused[f] = group.reason
		}
	}
	names := maps.Clone(ours)
	maps.Copy(names, theirs)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if ours[name] == theirs[name] {
			continue
		}
		found := fact{name, ours[name], theirs[name]}
		if _, isMeant := unused[found]; !isMeant {
			t.Errorf("{%q, %q, %q}, differs and is not in the table", found.name, found.ours, found.theirs)
		}
		delete(unused, found)
	}
	for f, reason := range unused {
		t.Errorf("%v is no difference any more (%s)", f, reason)
	}
}

// fact is something that the two models say differently. A text is empty where a model says nothing.
type fact struct{ name, ours, theirs string }

// factsOf takes a model apart. The many names of booleans are one here, because they are one type in Go.
func factsOf(model map[string]any) map[string]string {
	facts := map[string]string{}
	shapes := model["shapes"].(map[string]any)
	reference := func(v any) string {
		name := v.(map[string]any)["shape"].(string)
		if shapes[name].(map[string]any)["type"] == "boolean" {
			return "a boolean"
		}
		return name
	}
	for name, v := range model["operations"].(map[string]any) {
		if strings.HasSuffix(name, reversed) {
			continue
		}
		operation := v.(map[string]any)
		facts["action "+name] = "is there"
		facts["input of "+name] = reference(operation["input"])
		facts["output of "+name] = reference(operation["output"])
		var errors []string
		for _, declared := range operation["errors"].([]any) {
			errors = append(errors, reference(declared))
		}
		facts["errors of "+name] = strings.Join(errors, " ")
	}
	for name, v := range shapes {
		shape := v.(map[string]any)
		if shape["type"] == "boolean" {
			continue
		}
		facts["shape "+name] = shape["type"].(string)
		for _, property := range []string{"min", "max", "pattern", "sensitive", "exception"} {
			if value, isThere := shape[property]; isThere && value != 0.0 { // no limit is 0
				facts[property+" of "+name] = fmt.Sprint(value)
			}
		}
		if enum, isEnum := shape["enum"].([]any); isEnum {
			var values []string
			for _, value := range enum {
				values = append(values, value.(string))
			}
			facts["enum "+name] = strings.Join(values, " ")
		}
		for _, part := range []string{"member", "key", "value"} {
			if v, isThere := shape[part]; isThere {
				facts[part+" of "+name] = reference(v)
			}
		}
		members, _ := shape["members"].(map[string]any)
		for member, v := range members {
			facts[name+"."+member] = reference(v)
		}
		required, _ := shape["required"].([]any)
		for _, member := range required {
			facts[name+"."+member.(string)] += ", required"
		}
	}
	return facts
}

// dropUnshared leaves, of an action or a shape that only one model has, nothing but that.
func dropUnshared(ours, theirs map[string]string) {
	for _, pair := range [][2]map[string]string{{ours, theirs}, {theirs, ours}} {
		for name := range maps.Clone(pair[0]) {
			what, of, _ := strings.Cut(name, " ")
			if pair[1][name] != "" || what != "action" && what != "shape" {
				continue
			}
			for other := range pair[0] {
				isPart := strings.HasSuffix(other, " of "+of) || other == "enum "+of || strings.HasPrefix(other, of+".")
				if isPart {
					delete(pair[0], other)
				}
			}
		}
	}
}

// deliberate are the differences, by their reasons.
var deliberate = []struct {
	reason string
	facts  []fact
}{
	{"it is an extension, which App Runner has not", []fact{
		{"action AuthorizeConnection", "is there", ""},
		{"action CancelOperation", "is there", ""},
		{"action DescribeOperation", "is there", ""},
		{"action ListInstances", "is there", ""},
		{"action ListRevisions", "is there", ""},
		{"action ReadLogs", "is there", ""},
		{"shape AuthorizeConnectionRequest", "structure", ""},
		{"shape AuthorizeConnectionResponse", "structure", ""},
		{"action CreateNetwork", "is there", ""},
		{"action DeleteNetwork", "is there", ""},
		{"action ListNetworks", "is there", ""},
		{"action UpdateNetwork", "is there", ""},
		{"shape BridgeName", "string", ""},
		{"shape CIDR", "string", ""},
		{"shape CreateNetworkRequest", "structure", ""},
		{"shape CreateNetworkResponse", "structure", ""},
		{"shape DeleteNetworkRequest", "structure", ""},
		{"shape DeleteNetworkResponse", "structure", ""},
		{"action RollbackService", "is there", ""},
		{"shape CancelOperationRequest", "structure", ""},
		{"shape CancelOperationResponse", "structure", ""},
		{"shape ListRevisionsRequest", "structure", ""},
		{"shape ListRevisionsResponse", "structure", ""},
		{"shape Revision", "structure", ""},
		{"shape RevisionList", "list", ""},
		{"shape RevisionNumber", "integer", ""},
		{"shape RollbackServiceRequest", "structure", ""},
		{"shape RollbackServiceResponse", "structure", ""},
		{"shape DescribeOperationRequest", "structure", ""},
		{"shape DescribeOperationResponse", "structure", ""},
		{"shape Failure", "structure", ""},
		{"shape GitApp", "structure", ""},
		{"shape GitSecret", "string", ""},
		{"shape Instance", "structure", ""},
		{"shape InstanceExit", "structure", ""},
		{"shape InstanceList", "list", ""},
		{"shape Limit", "integer", ""},
		{"shape ListInstancesRequest", "structure", ""},
		{"shape ListInstancesResponse", "structure", ""},
		{"shape ListNetworksRequest", "structure", ""},
		{"shape ListNetworksResponse", "structure", ""},
		{"shape LogLine", "structure", ""},
		{"shape LogLineList", "list", ""},
		{"shape Network", "structure", ""},
		{"shape NetworkList", "list", ""},
		{"shape NetworkName", "string", ""},
		{"shape Operation", "structure", ""},
		{"shape ReadLogsRequest", "structure", ""},
		{"shape ReadLogsResponse", "structure", ""},
		{"action DeleteSecret", "is there", ""},
		{"action ListSecrets", "is there", ""},
		{"action PutSecret", "is there", ""},
		{"shape DeleteSecretRequest", "structure", ""},
		{"shape DeleteSecretResponse", "structure", ""},
		{"shape ListSecretsRequest", "structure", ""},
		{"shape ListSecretsResponse", "structure", ""},
		{"shape PutSecretRequest", "structure", ""},
		{"shape PutSecretResponse", "structure", ""},
		{"shape Secret", "structure", ""},
		{"shape SecretList", "list", ""},
		{"shape SecretName", "string", ""},
		{"shape SecretValue", "string", ""},
		{"action CancelPreparation", "is there", ""},
		{"action DescribePreparation", "is there", ""},
		{"action ListRuntimes", "is there", ""},
		{"action PrepareRuntime", "is there", ""},
		{"shape CancelPreparationRequest", "structure", ""},
		{"shape CancelPreparationResponse", "structure", ""},
		{"shape DescribePreparationRequest", "structure", ""},
		{"shape DescribePreparationResponse", "structure", ""},
		{"shape LineNumber", "integer", ""},
		{"shape ListRuntimesRequest", "structure", ""},
		{"shape ListRuntimesResponse", "structure", ""},
		{"shape ManagedRuntime", "structure", ""},
		{"shape ManagedRuntimeList", "list", ""},
		{"shape Preparation", "structure", ""},
		{"shape PrepareRuntimeRequest", "structure", ""},
		{"shape PrepareRuntimeResponse", "structure", ""},
		{"shape RuntimeName", "string", ""},
		{"action DescribeListeners", "is there", ""},
		{"shape DescribeListenersRequest", "structure", ""},
		{"shape DescribeListenersResponse", "structure", ""},
		{"action DescribeScaling", "is there", ""},
		{"shape DescribeScalingRequest", "structure", ""},
		{"shape DescribeScalingResponse", "structure", ""},
		{"shape Scaling", "structure", ""},
		{"action DescribeWebhook", "is there", ""},
		{"action RotateWebhook", "is there", ""},
		{"shape DescribeWebhookRequest", "structure", ""},
		{"shape DescribeWebhookResponse", "structure", ""},
		{"shape RotateWebhookRequest", "structure", ""},
		{"shape RotateWebhookResponse", "structure", ""},
		{"shape Webhook", "structure", ""},
		{"shape WebhookSecret", "string", ""},
		{"shape Step", "structure", ""},
		{"shape StepList", "list", ""},
		{"shape StreamName", "string", ""},
		{"shape TCPPort", "integer", ""},
		{"shape TCPPortList", "list", ""},
		{"shape UpdateNetworkRequest", "structure", ""},
		{"shape UpdateNetworkResponse", "structure", ""},
	}},
	{"it is newer than that model", []fact{
		{"AutoScalingConfiguration.AutoScalingConfigurationRevision", "AutoScalingConfigurationRevision", "Integer"},
		{"AutoScalingConfiguration.HasAssociatedService", "a boolean", ""},
		{"AutoScalingConfiguration.IsDefault", "a boolean", ""},
		{"AutoScalingConfiguration.MaxConcurrency", "MaxConcurrency", "Integer"},
		{"AutoScalingConfiguration.MaxSize", "MaxSize", "Integer"},
		{"AutoScalingConfiguration.MinSize", "MinSize", "Integer"},
		{"AutoScalingConfigurationSummary.CreatedAt", "Timestamp", ""},
		{"AutoScalingConfigurationSummary.HasAssociatedService", "a boolean", ""},
		{"AutoScalingConfigurationSummary.IsDefault", "a boolean", ""},
		{"AutoScalingConfigurationSummary.Status", "AutoScalingConfigurationStatus", ""},
		{"CodeConfigurationValues.RuntimeEnvironmentSecrets", "RuntimeEnvironmentSecrets", ""},
		{"CodeRepository.SourceDirectory", "SourceDirectory", ""},
		{"DeleteAutoScalingConfigurationRequest.DeleteAllRevisions", "a boolean", ""},
		{"ImageConfiguration.RuntimeEnvironmentSecrets", "RuntimeEnvironmentSecrets", ""},
		{"NetworkConfiguration.IpAddressType", "IpAddressType", ""},
		{"action ListServicesForAutoScalingConfiguration", "is there", ""},
		{"action UpdateDefaultAutoScalingConfiguration", "is there", ""},
		{"shape AutoScalingConfigurationRevision", "integer", ""},
		{"shape IpAddressType", "string", ""},
		{"shape ListServicesForAutoScalingConfigurationRequest", "structure", ""},
		{"shape ListServicesForAutoScalingConfigurationResponse", "structure", ""},
		{"shape MaxConcurrency", "integer", ""},
		{"shape MaxSize", "integer", ""},
		{"shape MinSize", "integer", ""},
		{"shape RuntimeEnvironmentSecrets", "map", ""},
		{"shape RuntimeEnvironmentSecretsName", "string", ""},
		{"shape RuntimeEnvironmentSecretsValue", "string", ""},
		{"shape ServiceArnList", "list", ""},
		{"shape SourceDirectory", "string", ""},
		{"shape UpdateDefaultAutoScalingConfigurationRequest", "structure", ""},
		{"shape UpdateDefaultAutoScalingConfigurationResponse", "structure", ""},
	}},
	{"it has values that are newer than that model", []fact{
		{"enum OperationType", "START_DEPLOYMENT CREATE_SERVICE PAUSE_SERVICE RESUME_SERVICE DELETE_SERVICE UPDATE_SERVICE", "START_DEPLOYMENT CREATE_SERVICE PAUSE_SERVICE RESUME_SERVICE DELETE_SERVICE"},
		{"enum ProviderType", "GITHUB BITBUCKET", "GITHUB"},
		{"enum Runtime", "PYTHON_3 NODEJS_12 NODEJS_14 CORRETTO_8 CORRETTO_11 NODEJS_16 GO_1 DOTNET_6 PHP_81 RUBY_31 PYTHON_311 NODEJS_18 NODEJS_22", "PYTHON_3 NODEJS_12 NODEJS_14 CORRETTO_8 CORRETTO_11 NODEJS_16 GO_1 DOTNET_6 PHP_81 RUBY_31"},
	}},
	{"the limit is that of a newer model", []fact{
		{"max of ASConfigMaxSize", "", "25"},
		{"max of Cpu", "9", "6"},
		{"max of Memory", "6", "4"},
		{"min of Cpu", "3", "4"},
		{"min of Memory", "3", "4"},
		{"pattern of Cpu", `256|512|1024|2048|4096|(0\.25|0\.5|1|2|4) vCPU`, "1024|2048|(1|2) vCPU"},
		{"pattern of Memory", `512|1024|2048|3072|4096|6144|8192|10240|12288|(0\.5|1|2|3|4|6|8|10|12) GB`, "2048|3072|4096|(2|3|4) GB"},
	}},
	{"the service answers in lower case, whatever its model says", []fact{
		{"enum AutoScalingConfigurationStatus", "active inactive", "ACTIVE INACTIVE"},
		{"enum CustomDomainAssociationStatus", "creating create_failed active deleting delete_failed pending_certificate_dns_validation binding_certificate", "CREATING CREATE_FAILED ACTIVE DELETING DELETE_FAILED PENDING_CERTIFICATE_DNS_VALIDATION BINDING_CERTIFICATE"},
	}},
	{"the service gives ids of 32 hex digits without dashes, whatever its model says", []fact{
		{"max of UUID", "32", "36"},
		{"min of UUID", "32", "36"},
		{"pattern of ServiceId", "[0-9a-f]{32}", "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"},
		{"pattern of UUID", "[0-9a-f]{32}", "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"},
	}},
	{"the pattern stands for any text, and the length limits it", []fact{
		{"pattern of NextToken", "", ".*"},
		{"pattern of RuntimeEnvironmentVariablesKey", "", ".*"},
		{"pattern of RuntimeEnvironmentVariablesValue", "", ".*"},
		{"pattern of String", "", ".*"},
		{"pattern of TagValue", "", ".*"},
	}},
	{"it is the same set of texts, spelled as RE2 takes it and as it is read best", []fact{
		{"pattern of AutoScalingConfigurationName", "[A-Za-z0-9][A-Za-z0-9_-]{3,31}", `[A-Za-z0-9][A-Za-z0-9\-_]{3,31}`},
		{"pattern of ConnectionName", "[A-Za-z0-9][A-Za-z0-9_-]{3,31}", `[A-Za-z0-9][A-Za-z0-9\-_]{3,31}`},
		{"pattern of ObservabilityConfigurationName", "[A-Za-z0-9][A-Za-z0-9_-]{3,31}", `[A-Za-z0-9][A-Za-z0-9\-_]{3,31}`},
		{"pattern of RoleArn", `arn:(aws|aws-us-gov|aws-cn|aws-iso|aws-iso-b):iam::[0-9]{12}:(role|role/service-role)/[\w+=,.@/-]{1,1000}`, `arn:(aws|aws-us-gov|aws-cn|aws-iso|aws-iso-b):iam::[0-9]{12}:(role|role\/service-role)\/[\w+=,.@\-/]{1,1000}`},
		{"pattern of ServiceName", "[A-Za-z0-9][A-Za-z0-9_-]{3,39}", "[A-Za-z0-9][A-Za-z0-9-_]{3,39}"},
		{"pattern of VpcConnectorName", "[A-Za-z0-9][A-Za-z0-9_-]{3,39}", `[A-Za-z0-9][A-Za-z0-9\-_]{3,39}`},
		{"pattern of VpcIngressConnectionName", "[A-Za-z0-9][A-Za-z0-9_-]{3,39}", `[A-Za-z0-9][A-Za-z0-9\-_]{3,39}`},
	}},
	{"RE2 repeats at most 1000 times, and the length says the same", []fact{
		{"pattern of AppRunnerResourceArn", `arn:aws(-\w+)*:[a-z0-9\\.-]{0,63}:[a-z0-9\\.-]{0,63}:[0-9]{12}:[\w/-]+`, `arn:aws(-[\w]+)*:[a-z0-9-\\.]{0,63}:[a-z0-9-\\.]{0,63}:[0-9]{12}:(\w|\/|-){1,1011}`},
	}},
	{"RE2 has no look-ahead; a line break is a character like any other", []fact{
		{"pattern of TagKey", "(?s)([^a].*|a|a[^w].*|aw|aw[^s].*|aws|aws[^:].*)", "^(?!aws:).+"},
	}},
	{"an image of any registry is a source", []fact{
		{"pattern of ImageIdentifier", "", `([0-9]{12}.dkr.ecr.[a-z\-]+-[0-9]{1}.amazonaws.com\/((?:[a-z0-9]+(?:[._-][a-z0-9]+)*\/)*[a-z0-9]+(?:[._-][a-z0-9]+)*)(:([\w\d+\-=._:\/@])+|@([\w\d\:]+))?)|(^public\.ecr\.aws\/.+\/((?:[a-z0-9]+(?:[._-][a-z0-9]+)*\/)*[a-z0-9]+(?:[._-][a-z0-9]+)*)(:([\w\d+\-=._:\/@])+|@([\w\d\:]+))?)`},
	}},
	{"a region may have two digits", []fact{
		{"pattern of KmsKeyArn", `arn:aws(-\w+)*:kms:[a-z]+(-[a-z]+)+-[0-9]{1,2}:[0-9]{12}:key/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, `arn:aws(-[\w]+)*:kms:[a-z\-]+-[0-9]{1}:[0-9]{12}:key\/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`},
	}},
	{"a String may be a URL with a password in it", []fact{
		{"sensitive of String", "true", ""},
	}},
}
