package conformance

// nothingSteps asks every action that takes an ARN for what is not there, and for what is of another kind.
func nothingSteps() []Step {
	tags, keys := object{"Tags": list{object{"Key": "a", "Value": "b"}}}, object{"TagKeys": list{"a"}}
	const service = "service/nothing/" + noID
	actions := []struct {
		action, member, tail string
		more                 object
		missing              string // the code for what is not there
		isNew                bool
	}{
		{"DescribeService", "ServiceArn", service, nil, notFound, false},
		{"UpdateService", "ServiceArn", service, nil, notFound, false},
		{"PauseService", "ServiceArn", service, nil, notFound, false},
		{"ResumeService", "ServiceArn", service, nil, notFound, false},
		{"DeleteService", "ServiceArn", service, nil, notFound, false},
		{"StartDeployment", "ServiceArn", service, nil, notFound, false},
		{"ListOperations", "ServiceArn", service, nil, notFound, false},
		{"DescribeCustomDomains", "ServiceArn", service, nil, notFound, false},
		{"DisassociateCustomDomain", "ServiceArn", service, object{"DomainName": "shop.example.org"}, notFound, false},
		{"AssociateCustomDomain", "ServiceArn", service, object{"DomainName": "shop.example.org"}, invalidRequest, false}, // declares no other
		{"DescribeAutoScalingConfiguration", "AutoScalingConfigurationArn", "autoscalingconfiguration/nothing/1/" + noID, nil, notFound, false},
		{"DeleteAutoScalingConfiguration", "AutoScalingConfigurationArn", "autoscalingconfiguration/nothing/1/" + noID, nil, notFound, false},
		{"UpdateDefaultAutoScalingConfiguration", "AutoScalingConfigurationArn", "autoscalingconfiguration/nothing/1/" + noID, nil, notFound, true},
		{"ListServicesForAutoScalingConfiguration", "AutoScalingConfigurationArn", "autoscalingconfiguration/nothing/1/" + noID, nil, notFound, true},
		{"DescribeObservabilityConfiguration", "ObservabilityConfigurationArn", "observabilityconfiguration/nothing/1/" + noID, nil, notFound, false},
		{"DeleteObservabilityConfiguration", "ObservabilityConfigurationArn", "observabilityconfiguration/nothing/1/" + noID, nil, notFound, false},
		{"DeleteConnection", "ConnectionArn", "connection/nothing/" + noID, nil, notFound, false},
		{"DescribeVpcConnector", "VpcConnectorArn", "vpcconnector/nothing/1/" + noID, nil, notFound, false},
		{"DeleteVpcConnector", "VpcConnectorArn", "vpcconnector/nothing/1/" + noID, nil, notFound, false},
		{"DescribeVpcIngressConnection", "VpcIngressConnectionArn", "vpcingressconnection/nothing/" + noID, nil, notFound, false},
		{"UpdateVpcIngressConnection", "VpcIngressConnectionArn", "vpcingressconnection/nothing/" + noID, object{"IngressVpcConfiguration": object{"VpcId": "vpc-1"}}, notFound, false},
		{"DeleteVpcIngressConnection", "VpcIngressConnectionArn", "vpcingressconnection/nothing/" + noID, nil, notFound, false},
		{"ListTagsForResource", "ResourceArn", service, nil, notFound, false},
		{"TagResource", "ResourceArn", service, tags, notFound, false},
		{"UntagResource", "ResourceArn", service, keys, notFound, false},
	}
	var all []Step
	for _, each := range actions {
		asking := func(name, arn, code string) Step {
			return Step{Name: each.action + " of " + name, Action: each.action, Input: merge(object{each.member: arn}, each.more), Error: code, IsNew: each.isNew}
		}
		all = append(all,
			asking("what is not there", arnHere(each.tail), each.missing),
			asking("another kind of resource", arnHere("elsewhere/nothing/"+noID), invalidRequest),
			asking("no ARN", "nothing", invalidRequest))
	}
	for _, tail := range []string{
		"connection/nothing/" + noID, "autoscalingconfiguration/nothing/1/" + noID, "observabilityconfiguration/nothing/1/" + noID,
		"vpcconnector/nothing/1/" + noID, "vpcingressconnection/nothing/" + noID,
	} {
		all = append(all, Step{Name: "tags of " + tail, Action: "ListTagsForResource", Input: object{"ResourceArn": arnHere(tail)}, Error: notFound})
	}
	return append(all, Step{
		Name: "a service of another region", Action: "DescribeService", Error: notFound,
		Input: object{"ServiceArn": "arn:aws:apprunner:eu-west-1:000000000000:" + service},
	})
}
