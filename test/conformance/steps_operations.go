package conformance

// slow makes the sample application listen late, so that there is time to ask about a service in between.
var slow = object{"START_DELAY": "25s"}

// failureSteps is what happens to services that are busy, or that cannot be made.
func failureSteps() []Step {
	busy := []Step{
		{Name: "push the image", Image: &Push{Tag: "busy:live", Version: "one"}},
		{
			Name: "a service that starts slowly is created", Action: "CreateService",
			Input: imageService("busy", "busy:live", object{"SourceConfiguration": imageSource("busy:live", slow)}),
			Want:  object{"Service": object{"Status": "OPERATION_IN_PROGRESS"}}, Save: map[string]string{"busy": "Service"},
		},
		{
			Name: "a busy service's operation is in progress", Action: "ListOperations", Input: arnOf("busy"),
			Want: object{"OperationSummaryList": list{object{"Type": "CREATE_SERVICE", "Status": "<one:PENDING|IN_PROGRESS>", "EndedAt": "<absent>"}}},
		},
		{
			Name: "a busy service is not updated", Action: "UpdateService", Error: invalidState,
			Message: "Service cannot be updated in the current state: OPERATION_IN_PROGRESS.",
			Input:   merge(arnOf("busy"), object{"InstanceConfiguration": object{"Cpu": "1 vCPU", "Memory": "2 GB"}}),
		},
		{Name: "a busy service is not paused", Action: "PauseService", Input: arnOf("busy"), Error: invalidState, Message: "OPERATION_IN_PROGRESS"},
		{Name: "a busy service is not resumed", Action: "ResumeService", Input: arnOf("busy"), Error: invalidState, Message: "OPERATION_IN_PROGRESS"},
		{Name: "a busy service is not deleted", Action: "DeleteService", Input: arnOf("busy"), Error: invalidState, Message: "OPERATION_IN_PROGRESS"},
		{Name: "a busy service is not deployed, which is no error of state in the model", Action: "StartDeployment", Input: arnOf("busy"), Error: invalidRequest, Message: "OPERATION_IN_PROGRESS"},
		{
			Name: "a busy service gets no domain", Action: "AssociateCustomDomain", Error: invalidState, Message: "OPERATION_IN_PROGRESS",
			Input: merge(arnOf("busy"), object{"DomainName": "busy.example.com"}),
		},
		{Name: "a busy service is listed", Action: "ListServices", Want: object{"ServiceSummaryList": holds{object{"ServiceName": "busy", "Status": "OPERATION_IN_PROGRESS"}}}},
		{Name: "a busy service is tagged", Action: "TagResource", Input: object{"ResourceArn": "${busy.ServiceArn}", "Tags": list{object{"Key": "a", "Value": "b"}}}},
		becomes("busy", "RUNNING", "the slow service runs"),
	}
	missing := []Step{
		{
			Name: "a service of an image that is not there is accepted", Action: "CreateService",
			Input: imageService("missing", "missing:live"), Want: object{"Service": object{"Status": "OPERATION_IN_PROGRESS"}},
			Save: map[string]string{"missing": "Service"},
		},
		becomes("missing", "CREATE_FAILED", "it cannot be created"),
		{Name: "its operation has failed", Action: "ListOperations", Input: arnOf("missing"), Want: object{"OperationSummaryList": list{object{"Type": "CREATE_SERVICE", "Status": "FAILED", "EndedAt": "<time>"}}}},
		{Name: "what failed is deployed", Action: "StartDeployment", Input: arnOf("missing"), Want: object{"OperationId": "<32hex>"}},
		{Name: "it fails again, and a list has it", Action: "ListServices", Until: operationTime, Want: object{"ServiceSummaryList": holds{object{"ServiceName": "missing", "Status": "CREATE_FAILED"}}}},
		{Name: "what failed is not paused", Action: "PauseService", Input: arnOf("missing"), Error: invalidState, Message: "CREATE_FAILED"},
		{Name: "what failed is not resumed", Action: "ResumeService", Input: arnOf("missing"), Error: invalidState, Message: "CREATE_FAILED"},
		{
			Name: "what failed gets no domain", Action: "AssociateCustomDomain", Error: invalidState, Message: "CREATE_FAILED",
			Input: merge(arnOf("missing"), object{"DomainName": "failed.example.com"}),
		},
		{Name: "push the image that was missing", Image: &Push{Tag: "missing:live", Version: "one"}},
		{Name: "an update without changes tries again", Action: "UpdateService", Input: arnOf("missing"), Want: object{"OperationId": "<32hex>", "Service": object{"Status": "OPERATION_IN_PROGRESS"}}},
		becomes("missing", "RUNNING", "the service that had failed runs"),
	}
	return steps(busy, deleteService("busy"), missing, deleteService("missing"),
		[]Step{
			{Name: "another one fails", Action: "CreateService", Input: imageService("unmade", "unmade:live"), Save: map[string]string{"unmade": "Service"}},
			becomes("unmade", "CREATE_FAILED", "it cannot be created either"),
		},
		deleteService("unmade"), codeSteps())
}

// codeSteps is what a service of code tells. Its repository is nowhere, so that it ends at once; those that are built
// are the business of test/e2e.
func codeSteps() []Step {
	values := object{
		"Runtime": "PYTHON_311", "BuildCommand": "pip install -r requirements.txt", "StartCommand": "python app.py", "Port": "8000",
		"RuntimeEnvironmentVariables": object{"MODE": "test"},
	}
	source := object{
		"AutoDeploymentsEnabled": false,
		"CodeRepository": object{
			"RepositoryUrl": "https://git.invalid/app", "SourceCodeVersion": object{"Type": "BRANCH", "Value": "main"},
			"CodeConfiguration": object{"ConfigurationSource": "API", "CodeConfigurationValues": values},
		},
	}
	inFolder := object{"CodeRepository": object{
		"RepositoryUrl": "https://git.invalid/app", "SourceCodeVersion": object{"Type": "BRANCH", "Value": "main"}, "SourceDirectory": "/web",
	}}
	return steps([]Step{
		{
			Name: "a service of code tells its source", Action: "CreateService",
			Input: object{"ServiceName": "code", "SourceConfiguration": source, "InstanceConfiguration": smallest},
			Want:  object{"Service": object{"SourceConfiguration": merge(source, object{"ImageRepository": "<absent>"})}}, Save: map[string]string{"code": "Service"},
		},
		becomes("code", "CREATE_FAILED", "code that cannot be fetched fails"),
		{
			Name: "a service of code has a folder of its repository", Action: "UpdateService", IsNew: true,
			Input: merge(arnOf("code"), object{"SourceConfiguration": inFolder}), WantNew: object{"Service": object{"SourceConfiguration": inFolder}},
		},
		becomes("code", "CREATE_FAILED", "its folder cannot be fetched either"),
	}, deleteService("code"))
}

// operationSteps is deployments, good and bad, and the pages of their list.
func operationSteps() []Step {
	return steps(runningService("deployed", "deployed"), []Step{
		{Name: "push a second version", Image: &Push{Tag: "deployed:live", Version: "two"}},
		{Name: "a deployment begins", Action: "StartDeployment", Input: arnOf("deployed"), Want: object{"OperationId": "<32hex>"}, Save: map[string]string{"deployment": "OperationId"}},
		{
			Name: "the deployment succeeds", Action: "ListOperations", Input: arnOf("deployed"), Until: operationTime,
			Want: object{"OperationSummaryList": list{
				object{"Id": "${deployment}", "Type": "START_DEPLOYMENT", "Status": "SUCCEEDED", "TargetArn": "${deployed.ServiceArn}", "EndedAt": "<time>"},
				object{"Type": "CREATE_SERVICE"},
			}},
		},
		becomes("deployed", "RUNNING", "the deployed service runs"),
		{Name: "push a version that ends at once", Image: &Push{Tag: "deployed:live", Version: "three", Environment: map[string]string{"MODE": "exit", "EXIT_CODE": "3"}}},
		{Name: "its deployment begins as any other", Action: "StartDeployment", Input: arnOf("deployed"), Want: object{"OperationId": "<32hex>"}, Save: map[string]string{"bad": "OperationId"}},
		{
			Name: "the deployment is rolled back", Action: "ListOperations", Input: arnOf("deployed"), Until: operationTime,
			Want: object{"OperationSummaryList": list{
				object{"Id": "${bad}", "Type": "START_DEPLOYMENT", "Status": "ROLLBACK_SUCCEEDED"}, object{"Id": "${deployment}"}, object{},
			}},
		},
		becomes("deployed", "RUNNING", "the service runs on after the roll-back"),
		{Name: "the first page of operations", Action: "ListOperations", Input: merge(arnOf("deployed"), object{"MaxResults": 2}), Save: map[string]string{"next": "NextToken"}, Want: object{
			"NextToken": "<text>", "OperationSummaryList": list{object{"Id": "${bad}"}, object{"Id": "${deployment}"}},
		}},
		{Name: "the last page of operations", Action: "ListOperations", Input: merge(arnOf("deployed"), object{"MaxResults": 2, "NextToken": "${next}"}), Want: object{
			"NextToken": "<absent>", "OperationSummaryList": list{object{"Type": "CREATE_SERVICE"}},
		}},
		{Name: "a token of operations is none of services", Action: "ListServices", Input: object{"NextToken": "${next}"}, Error: invalidRequest, Message: "NextToken"},
		{Name: "a token that was never given", Action: "ListOperations", Input: merge(arnOf("deployed"), object{"NextToken": "abcd"}), Error: invalidRequest, Message: "NextToken"},
		{Name: "a page of too many operations", Action: "ListOperations", Input: merge(arnOf("deployed"), object{"MaxResults": 21}), Error: invalidRequest, Message: "MaxResults"},
		{Name: "a page of no operations", Action: "ListOperations", Input: merge(arnOf("deployed"), object{"MaxResults": 0}), Error: invalidRequest, Message: "MaxResults", Local: checksLimits},
	}, runningService("other", "other"), []Step{
		{Name: "a token of one service is none of another", Action: "ListOperations", Input: merge(arnOf("other"), object{"NextToken": "${next}"}), Error: invalidRequest, Message: "NextToken"},
	}, deleteService("other"), deleteService("deployed"))
}

// servicePageSteps is the pages of services that all fail, which is quick.
func servicePageSteps() []Step {
	var made, removed []Step
	for _, name := range []string{"page-a", "page-b", "page-c"} {
		made = append(made,
			Step{Name: "create " + name, Action: "CreateService", Input: imageService(name, "nothing:"+name), Save: map[string]string{name: "Service"}},
			becomes(name, "CREATE_FAILED", name+" fails"))
		removed = append(removed, deleteService(name)...)
	}
	return steps(made, []Step{
		{Name: "a fourth service is more than the quota", Action: "CreateService", Input: imageService("page-d", "nothing:page-d"), Error: quotaExceeded},
		{Name: "all services are one page", Action: "ListServices", Want: object{"NextToken": "<absent>", "ServiceSummaryList": holds{
			object{"ServiceName": "page-a"}, object{"ServiceName": "page-b"}, object{"ServiceName": "page-c"},
		}}},
		{Name: "the first page", Action: "ListServices", Input: object{"MaxResults": 2}, Want: object{"NextToken": "<text>", "ServiceSummaryList": list{object{}, object{}}}, Save: map[string]string{"next": "NextToken", "first": "ServiceSummaryList"}},
		{Name: "the second page has the rest", Action: "ListServices", Input: object{"MaxResults": 2, "NextToken": "${next}"}, Want: object{"NextToken": "<absent>", "ServiceSummaryList": list{object{"ServiceName": "<text>"}}}},
		{Name: "no page has what another has", Action: "ListServices", Input: object{"MaxResults": 2, "NextToken": "${next}"}, Want: object{"ServiceSummaryList": lacks{
			object{"ServiceName": "${first.0.ServiceName}"}, object{"ServiceName": "${first.1.ServiceName}"},
		}}},
		{Name: "a page that fits has no next", Action: "ListServices", Input: object{"MaxResults": 3}, Want: object{"NextToken": "<absent>", "ServiceSummaryList": list{object{}, object{}, object{}}}},
		{Name: "the page may have another size than the one before", Action: "ListServices", Input: object{"MaxResults": 1, "NextToken": "${next}"}, Want: object{"NextToken": "<absent>", "ServiceSummaryList": list{object{}}}},
		{Name: "a token that was never given", Action: "ListServices", Input: object{"NextToken": "garbage"}, Error: invalidRequest, Message: "NextToken"},
		{Name: "a page of too many", Action: "ListServices", Input: object{"MaxResults": 21}, Error: invalidRequest, Message: "MaxResults"},
		{Name: "a page of none", Action: "ListServices", Input: object{"MaxResults": 0}, Error: invalidRequest, Message: "MaxResults", Local: checksLimits},
		{Name: "a size in words", Action: "ListServices", Input: object{"MaxResults": "three"}, Error: "SerializationException", Local: checksTypes},
	}, removed)
}
