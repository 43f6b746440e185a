package conformance

// smallest is the smallest instance that is offered, and how it is told.
var (
	smallest     = object{"Cpu": "0.25 vCPU", "Memory": "0.5 GB"}
	smallestTold = object{"Cpu": "256", "Memory": "512"}
)

// imageSource is a source of an image in apron's registry.
func imageSource(image string, environment object) object {
	configuration := object{"Port": "8080"}
	if environment != nil {
		configuration["RuntimeEnvironmentVariables"] = environment
	}
	return object{
		"AutoDeploymentsEnabled": false,
		"ImageRepository":        object{"ImageIdentifier": image, "ImageRepositoryType": "ECR", "ImageConfiguration": configuration},
	}
}

// imageService is the input for a service of an image.
func imageService(name, image string, more ...object) object {
	input := object{"ServiceName": name, "SourceConfiguration": imageSource(image, nil), "InstanceConfiguration": smallest}
	return merge(append([]object{input}, more...)...)
}

// runningService pushes an image, creates a service of it, saves it as variable, and waits until it runs.
func runningService(variable, name string, more ...object) []Step {
	return []Step{
		{Name: "push the image of " + name, Image: &Push{Tag: name + ":live", Version: "one"}},
		{Name: "create " + name, Action: "CreateService", Input: imageService(name, name+":live", more...), Save: map[string]string{variable: "Service"}},
		becomes(variable, "RUNNING", name+" runs"),
	}
}

func arnOf(variable string) object { return object{"ServiceArn": "${" + variable + ".ServiceArn}"} }

// becomes waits until a service has a status.
func becomes(variable, status, name string) Step {
	return Step{Name: name, Action: "DescribeService", Input: arnOf(variable), Want: object{"Service": object{"Status": status}}, Until: operationTime}
}

// deleteService deletes a service and waits until that is done.
func deleteService(variable string) []Step {
	return []Step{
		{Name: "delete " + variable, Action: "DeleteService", Input: arnOf(variable), Want: object{"OperationId": "<32hex>"}},
		becomes(variable, "DELETED", variable+" is deleted"),
	}
}

// defaults are what a service has of what was not asked for.
var defaults = object{
	"DeletedAt": "<absent>", "EncryptionConfiguration": "<absent>",
	"HealthCheckConfiguration": object{
		"Protocol": "TCP", "Path": "/", "Interval": 5, "Timeout": 2, "HealthyThreshold": 1, "UnhealthyThreshold": 5,
	},
	"AutoScalingConfigurationSummary": object{
		"AutoScalingConfigurationArn":  "<builtin:autoscalingconfiguration/DefaultConfiguration/1/00000000000000000000000000000001>",
		"AutoScalingConfigurationName": "DefaultConfiguration", "AutoScalingConfigurationRevision": 1,
	},
	"NetworkConfiguration": object{
		"EgressConfiguration": object{"EgressType": "DEFAULT"}, "IngressConfiguration": object{"IsPubliclyAccessible": true},
	},
	"ObservabilityConfiguration": object{"ObservabilityEnabled": false},
}

// serviceSteps is the life of a service of an image.
func serviceSteps() []Step {
	variables := object{"GREETING": "hello", "EMPTY": ""}
	source := imageSource("life:live", variables)
	health := object{"Protocol": "HTTP", "Path": "/env?name=GREETING", "Interval": 3, "Timeout": 2, "HealthyThreshold": 1, "UnhealthyThreshold": 6}
	return steps(
		[]Step{
			{Name: "push the image", Image: &Push{Tag: "life:live", Version: "one"}},
			{
				Name: "a new service tells all its members", Action: "CreateService",
				Input: object{"ServiceName": "life", "SourceConfiguration": source},
				Want: object{"OperationId": "<32hex>", "Service": merge(defaults, object{
					"ServiceName": "life", "ServiceId": "<32hex>", "ServiceArn": "<arn:service/life>", "ServiceUrl": "<host>",
					"CreatedAt": "<time>", "UpdatedAt": "<time>", "Status": "OPERATION_IN_PROGRESS", "SourceConfiguration": source,
					"InstanceConfiguration": object{"Cpu": "1024", "Memory": "2048", "InstanceRoleArn": "<absent>"},
				})},
				WantNew: object{"Service": object{"NetworkConfiguration": object{"IpAddressType": "IPV4"}}},
				Save:    map[string]string{"life": "Service", "creation": "OperationId"},
			},
			{
				Name: "the service runs", Action: "DescribeService", Input: arnOf("life"), Until: operationTime,
				Want: object{"Service": merge(defaults, object{
					"Status": "RUNNING", "ServiceUrl": "${life.ServiceUrl}", "ServiceId": "${life.ServiceId}", "SourceConfiguration": source,
				})},
			},
			{
				Name: "a list has its summary", Action: "ListServices",
				Want: object{"NextToken": "<absent>", "ServiceSummaryList": list{object{
					"ServiceName": "life", "ServiceId": "${life.ServiceId}", "ServiceArn": "${life.ServiceArn}", "ServiceUrl": "${life.ServiceUrl}",
					"CreatedAt": "<time>", "UpdatedAt": "<time>", "Status": "RUNNING", "SourceConfiguration": "<absent>",
				}}},
			},
			{
				Name: "its creation is an operation", Action: "ListOperations", Input: arnOf("life"),
				Want: object{"OperationSummaryList": list{object{
					"Id": "${creation}", "Type": "CREATE_SERVICE", "Status": "SUCCEEDED", "TargetArn": "${life.ServiceArn}",
					"StartedAt": "<time>", "EndedAt": "<time>", "UpdatedAt": "<time>",
				}}},
			},
			{
				Name: "a name is given once", Action: "CreateService", Input: imageService("life", "life:live"), Error: invalidRequest, Message: "life",
			},
			{
				Name: "an update changes what it names and keeps the rest", Action: "UpdateService",
				Input: merge(arnOf("life"), object{"InstanceConfiguration": smallest, "HealthCheckConfiguration": health}),
				Want: object{"OperationId": "<32hex>", "Service": object{
					"Status": "OPERATION_IN_PROGRESS", "InstanceConfiguration": smallestTold, "HealthCheckConfiguration": health, "SourceConfiguration": source,
				}},
				Save: map[string]string{"update": "OperationId"},
			},
			{
				Name: "the updated service runs", Action: "DescribeService", Input: arnOf("life"), Until: operationTime,
				Want: object{"Service": object{
					"Status": "RUNNING", "InstanceConfiguration": smallestTold, "HealthCheckConfiguration": health, "ServiceUrl": "${life.ServiceUrl}",
				}},
			},
			{
				Name: "an update of one member of the health check keeps the others", Action: "UpdateService",
				Input: merge(arnOf("life"), object{"HealthCheckConfiguration": object{"Interval": 2}}),
				Want:  object{"Service": object{"HealthCheckConfiguration": merge(health, object{"Interval": 2})}},
			},
			becomes("life", "RUNNING", "the service runs after the second update"),
			{
				Name: "an update cannot make an image service one of code", Action: "UpdateService", Error: invalidRequest, Message: "CodeRepository",
				Input: merge(arnOf("life"), object{"SourceConfiguration": object{"CodeRepository": object{
					"RepositoryUrl": "https://git.invalid/app", "SourceCodeVersion": object{"Type": "BRANCH", "Value": "main"},
				}}}),
			},
			{Name: "resuming what runs changes nothing", Action: "ResumeService", Input: arnOf("life"), Want: object{"OperationId": "<absent>", "Service": object{"Status": "RUNNING"}}},
			{
				Name: "a pause begins", Action: "PauseService", Input: arnOf("life"),
				Want: object{"OperationId": "<32hex>", "Service": object{"Status": "OPERATION_IN_PROGRESS", "ServiceArn": "${life.ServiceArn}"}},
			},
			becomes("life", "PAUSED", "the service is paused"),
		},
		pausedSteps(),
		[]Step{
			{Name: "a resumption begins", Action: "ResumeService", Input: arnOf("life"), Want: object{"OperationId": "<32hex>", "Service": object{"Status": "OPERATION_IN_PROGRESS"}}},
			becomes("life", "RUNNING", "the resumed service runs"),
			{
				Name: "a deletion begins", Action: "DeleteService", Input: arnOf("life"),
				Want: object{"OperationId": "<32hex>", "Service": object{"Status": "OPERATION_IN_PROGRESS", "DeletedAt": "<absent>"}},
			},
			{
				Name: "the service is deleted, and still described", Action: "DescribeService", Input: arnOf("life"), Until: operationTime,
				Want: object{"Service": object{"Status": "DELETED", "DeletedAt": "<time>", "ServiceName": "life"}},
			},
		},
		deletedSteps(),
	)
}

// pausedSteps is what a paused service allows.
func pausedSteps() []Step {
	return []Step{
		{Name: "pausing what is paused changes nothing", Action: "PauseService", Input: arnOf("life"), Want: object{"OperationId": "<absent>", "Service": object{"Status": "PAUSED"}}},
		{Name: "a list has paused services", Action: "ListServices", Want: object{"ServiceSummaryList": list{object{"ServiceName": "life", "Status": "PAUSED"}}}},
		{
			Name: "a paused service is not updated", Action: "UpdateService", Error: invalidState, Message: "PAUSED",
			Input: merge(arnOf("life"), object{"InstanceConfiguration": object{"Cpu": "1 vCPU", "Memory": "2 GB"}}),
		},
		{Name: "a paused service is not deployed", Action: "StartDeployment", Input: arnOf("life"), Error: invalidRequest, Message: "PAUSED"},
		{
			Name: "a paused service gets no domain", Action: "AssociateCustomDomain", Error: invalidState, Message: "PAUSED",
			Input: merge(arnOf("life"), object{"DomainName": "paused.example.com"}),
		},
		{Name: "a paused service is tagged", Action: "TagResource", Input: object{"ResourceArn": "${life.ServiceArn}", "Tags": list{object{"Key": "paused", "Value": "yes"}}}, Want: object{}},
	}
}

// deletedSteps is what a deleted service allows: to be described.
func deletedSteps() []Step {
	gone := []Step{
		{Name: "a list has no deleted services", Action: "ListServices", Want: object{"ServiceSummaryList": lacks{object{"ServiceName": "life"}}}},
		{
			Name: "the operations of a deleted service are listed, the newest first", Action: "ListOperations", Input: arnOf("life"),
			Want: object{"OperationSummaryList": list{
				object{"Type": "DELETE_SERVICE", "Status": "SUCCEEDED"}, object{"Type": "RESUME_SERVICE", "Status": "SUCCEEDED"},
				object{"Type": "PAUSE_SERVICE", "Status": "SUCCEEDED"}, object{"Type": "UPDATE_SERVICE", "Status": "SUCCEEDED"},
				object{"Type": "UPDATE_SERVICE", "Status": "SUCCEEDED", "Id": "${update}"}, object{"Type": "CREATE_SERVICE", "Status": "SUCCEEDED", "Id": "${creation}"},
			}},
		},
	}
	for _, action := range []string{"UpdateService", "StartDeployment", "PauseService", "ResumeService", "DeleteService"} {
		gone = append(gone, Step{Name: "a deleted service refuses " + action, Action: action, Input: arnOf("life"), Error: notFound, Message: "life"})
	}
	return append(gone,
		Step{Name: "a deleted service has no tags", Action: "ListTagsForResource", Input: object{"ResourceArn": "${life.ServiceArn}"}, Error: notFound},
		Step{
			Name: "a deleted service's name is free", Action: "CreateService", Input: imageService("life", "life:live"),
			Want: object{"Service": object{"ServiceArn": "<arn:service/life>"}}, Save: map[string]string{"again": "Service"},
		},
		becomes("again", "RUNNING", "the second service of the name runs"),
		Step{
			Name: "it is another service with another URL", Action: "DescribeService", Input: arnOf("life"),
			Want: object{"Service": object{"Status": "DELETED", "ServiceUrl": "${life.ServiceUrl}", "ServiceId": "${life.ServiceId}"}},
		},
		Step{Name: "the second service is deleted", Action: "DeleteService", Input: arnOf("again"), Want: object{"OperationId": "<32hex>"}},
		becomes("again", "DELETED", "the second service is gone"),
	)
}
