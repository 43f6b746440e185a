package conformance

import "strings"

// serviceInputSteps is inputs that are refused. None of them makes a service.
func serviceInputSteps() []Step {
	good := imageService("input", "input:live")
	creating := func(name, message string, local []string, more object) Step {
		return Step{Name: name, Action: "CreateService", Input: merge(good, more), Error: invalidRequest, Message: message, Local: local}
	}
	image := func(more object) object {
		return object{"SourceConfiguration": object{"ImageRepository": merge(object{"ImageIdentifier": "input:live", "ImageRepositoryType": "ECR"}, more)}}
	}
	code := func(more object) object {
		return object{"SourceConfiguration": object{"CodeRepository": merge(object{
			"RepositoryUrl": "https://git.invalid/app", "SourceCodeVersion": object{"Type": "BRANCH", "Value": "main"},
		}, more)}}
	}
	values := func(more object) object {
		return code(object{"CodeConfiguration": object{"ConfigurationSource": "API", "CodeConfigurationValues": more}})
	}
	return []Step{
		{Name: "nothing at all", Action: "CreateService", Input: object{}, Error: invalidRequest, Message: "ServiceName", Local: checksRequired},
		{Name: "no source", Action: "CreateService", Input: object{"ServiceName": "input"}, Error: invalidRequest, Message: "SourceConfiguration", Local: checksRequired},
		creating("a name of three letters", "ServiceName", checksLimits, object{"ServiceName": "web"}),
		creating("a name of 41 letters", "ServiceName", nil, object{"ServiceName": strings.Repeat("a", 41)}),
		creating("a name with a dot", "ServiceName", nil, object{"ServiceName": "web.app"}),
		creating("a name that begins with a dash", "ServiceName", nil, object{"ServiceName": "_web"}),
		creating("neither source", "neither", nil, object{"SourceConfiguration": object{"AutoDeploymentsEnabled": false}}),
		creating("both sources", "both", nil, object{"SourceConfiguration": merge(
			image(nil)["SourceConfiguration"].(object), code(nil)["SourceConfiguration"].(object),
		)}),
		creating("an image without its kind of registry", "ImageRepositoryType", checksRequired, object{"SourceConfiguration": object{"ImageRepository": object{"ImageIdentifier": "input:live"}}}),
		creating("an unknown kind of registry", "ImageRepositoryType", nil, image(object{"ImageRepositoryType": "HUB"})),
		creating("an image that is none", "ImageIdentifier", nil, image(object{"ImageIdentifier": "a b:c"})),
		creating("a port of letters", "Port", nil, image(object{"ImageConfiguration": object{"Port": "http"}})),
		creating("a port that is too high", "Port", nil, image(object{"ImageConfiguration": object{"Port": "65536"}})),
		creating("a variable that is reserved", "RuntimeEnvironmentVariables", nil, image(object{"ImageConfiguration": object{"RuntimeEnvironmentVariables": object{"AWSAPPRUNNER_X": "y"}}})),
		creating("code without its configuration", "CodeConfiguration", nil, code(nil)),
		creating("an unknown runtime", "Runtime", nil, values(object{"Runtime": "COBOL_60", "StartCommand": "run"})),
		creating("values without a start command", "StartCommand", nil, values(object{"Runtime": "PYTHON_311"})),
		creating("a tag instead of a branch", "SourceCodeVersion.Type", nil, code(object{"SourceCodeVersion": object{"Type": "TAG", "Value": "v1"}})),
		{
			Name: "a way out of the repository", Action: "CreateService", Error: invalidRequest, Message: "SourceDirectory", IsNew: true,
			Input: merge(good, code(object{"SourceDirectory": "/a/../../b", "CodeConfiguration": object{"ConfigurationSource": "REPOSITORY"}})),
		},
		creating("a size that is not offered", "1 vCPU", nil, object{"InstanceConfiguration": object{"Cpu": "1 vCPU", "Memory": "1 GB"}}),
		creating("a CPU that there is not", "Cpu", nil, object{"InstanceConfiguration": object{"Cpu": "3 vCPU"}}),
		creating("a memory that there is not", "Memory", nil, object{"InstanceConfiguration": object{"Memory": "5 GB"}}),
		creating("a role that is none", "InstanceRoleArn", nil, object{"InstanceConfiguration": object{"InstanceRoleArn": "arn:aws:iam::000000000000:user/" + strings.Repeat("a", 10)}}),
		creating("a health check that is too often", "Interval", checksLimits, object{"HealthCheckConfiguration": object{"Interval": 0}}),
		creating("a health check that is too rare", "Interval", nil, object{"HealthCheckConfiguration": object{"Interval": 21}}),
		creating("a health check by UDP", "Protocol", nil, object{"HealthCheckConfiguration": object{"Protocol": "UDP"}}),
		creating("a key that is none", "KmsKey", nil, object{"EncryptionConfiguration": object{"KmsKey": "mine"}}),
		creating("a configuration of scaling that is not there", "AutoScalingConfigurationArn", nil, object{"AutoScalingConfigurationArn": arnHere("autoscalingconfiguration/nothing/1/" + noID)}),
		creating("a configuration of scaling that is no ARN", "AutoScalingConfigurationArn", nil, object{"AutoScalingConfigurationArn": "mine"}),
		creating("egress by a connector that is not named", "VpcConnectorArn", nil, object{"NetworkConfiguration": object{"EgressConfiguration": object{"EgressType": "VPC"}}}),
		creating("egress by a connector that is not there", "VpcConnectorArn", nil, object{"NetworkConfiguration": object{"EgressConfiguration": object{
			"EgressType": "VPC", "VpcConnectorArn": arnHere("vpcconnector/nothing/1/" + noID),
		}}}),
		{
			Name: "an unknown family of addresses", Action: "CreateService", Error: invalidRequest, Message: "IpAddressType", IsNew: true,
			Input: merge(good, object{"NetworkConfiguration": object{"IpAddressType": "IPV5"}}),
		},
		creating("tracing by a configuration that is not named", "ObservabilityConfigurationArn", nil, object{"ObservabilityConfiguration": object{"ObservabilityEnabled": true}}),
		creating("tracing by a configuration that is not there", "ObservabilityConfigurationArn", nil, object{"ObservabilityConfiguration": object{
			"ObservabilityEnabled": true, "ObservabilityConfigurationArn": arnHere("observabilityconfiguration/nothing/1/" + noID),
		}}),
		creating("a connection that is not there", "ConnectionArn", nil, object{"SourceConfiguration": merge(
			code(object{"CodeConfiguration": object{"ConfigurationSource": "REPOSITORY"}})["SourceConfiguration"].(object),
			object{"AuthenticationConfiguration": object{"ConnectionArn": arnHere("connection/nothing/" + noID)}},
		)}),
		creating("a tag twice", "Tags", nil, object{"Tags": list{object{"Key": "a", "Value": "1"}, object{"Key": "a", "Value": "2"}}}),
		creating("a tag of AWS", "Tags", nil, object{"Tags": list{object{"Key": "aws:a", "Value": "1"}}}),
		{
			Name: "a secret that is no reference", Action: "CreateService", Error: invalidRequest, Message: "RuntimeEnvironmentSecrets", IsNew: true,
			Input: merge(good, image(object{"ImageConfiguration": object{"RuntimeEnvironmentSecrets": object{"PASSWORD": ""}}})),
		},
		{Name: "a number as a name", Action: "CreateService", Input: merge(good, object{"ServiceName": 5}), Error: "SerializationException", Message: "ServiceName", Local: checksTypes},
		{Name: "none of these has made a service", Action: "ListServices", Want: object{"ServiceSummaryList": lacks{object{"ServiceName": "input"}}}},
	}
}

// noID is the id of nothing, and arnHere an ARN of this region and account.
const noID = "ffffffffffffffffffffffffffffffff"

func arnHere(tail string) string { return "${home}:" + tail }
