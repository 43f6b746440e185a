package conformance

import "fmt"

// connectorSteps is VPC connectors, without and with a service.
func connectorSteps() []Step {
	subnets, groups := list{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1"}, list{"sg-0123456789abcdef0"}
	told := object{
		"VpcConnectorName": "lower", "VpcConnectorArn": "<arn:vpcconnector/lower/1>", "VpcConnectorRevision": 1, "Subnets": subnets,
		"SecurityGroups": groups, "Status": "ACTIVE", "CreatedAt": "<time>", "DeletedAt": "<absent>",
	}
	arn := object{"VpcConnectorArn": "${lower.VpcConnectorArn}"}
	egress := object{"EgressConfiguration": object{"EgressType": "VPC", "VpcConnectorArn": "${lower.VpcConnectorArn}"}}
	return steps([]Step{
		{Name: "there is no connector", Action: "ListVpcConnectors", Want: object{"VpcConnectors": list{}, "NextToken": "<absent>"}},
		{
			Name: "a new connector tells all its members", Action: "CreateVpcConnector",
			Input: object{"VpcConnectorName": "lower", "Subnets": subnets, "SecurityGroups": groups, "Tags": tagged},
			Want:  object{"VpcConnector": told}, Save: map[string]string{"lower": "VpcConnector"},
		},
	}, taggedSteps("lower.VpcConnectorArn"), []Step{
		{Name: "a connector is described", Action: "DescribeVpcConnector", Input: arn, Want: object{"VpcConnector": told}},
		{Name: "a connector has no other names", Action: "DescribeVpcConnector", Input: object{"VpcConnectorArn": arnHere("vpcconnector/lower")}, Error: invalidRequest, Message: "VpcConnectorArn"},
		{Name: "a connector's name is given once", Action: "CreateVpcConnector", Input: object{"VpcConnectorName": "lower", "Subnets": subnets}, Error: invalidRequest, Message: "lower"},
		{Name: "a connector without groups", Action: "CreateVpcConnector", Input: object{"VpcConnectorName": "open", "Subnets": subnets}, Want: object{"VpcConnector": object{"Status": "ACTIVE", "Subnets": subnets}}},
		{Name: "no subnets", Action: "CreateVpcConnector", Input: object{"VpcConnectorName": "none", "Subnets": list{}}, Error: invalidRequest, Message: "Subnets"},
		{Name: "subnets not given", Action: "CreateVpcConnector", Input: object{"VpcConnectorName": "none"}, Error: invalidRequest, Message: "Subnets", Local: checksRequired},
		{Name: "a name of three letters", Action: "CreateVpcConnector", Input: object{"VpcConnectorName": "abc", "Subnets": subnets}, Error: invalidRequest, Message: "VpcConnectorName", Local: checksLimits},
		{Name: "all connectors are listed", Action: "ListVpcConnectors", Want: object{"VpcConnectors": holds{told, object{"VpcConnectorName": "open"}}, "NextToken": "<absent>"}},
		{Name: "the first page of connectors", Action: "ListVpcConnectors", Input: object{"MaxResults": 1}, Want: object{"VpcConnectors": list{object{}}, "NextToken": "<text>"}, Save: map[string]string{"next": "NextToken"}},
		{Name: "the last page of connectors", Action: "ListVpcConnectors", Input: object{"MaxResults": 1, "NextToken": "${next}"}, Want: object{"VpcConnectors": list{object{}}, "NextToken": "<absent>"}},
		{Name: "a token of connectors is none of connections", Action: "ListConnections", Input: object{"NextToken": "${next}"}, Error: invalidRequest, Message: "NextToken"},
		{Name: "a page of too many", Action: "ListVpcConnectors", Input: object{"MaxResults": 101}, Error: invalidRequest, Message: "MaxResults"},
		{
			Name: "a service takes a connector", Action: "CreateService", Input: imageService("egress", "egress:live", object{"NetworkConfiguration": egress}),
			Want: object{"Service": object{"NetworkConfiguration": egress}}, Save: map[string]string{"egress": "Service"},
		},
		becomes("egress", "CREATE_FAILED", "its image is not there"),
		{Name: "a used connector is not deleted", Action: "DeleteVpcConnector", Input: arn, Error: invalidRequest},
	}, deleteService("egress"), []Step{
		{Name: "without its service the connector is deleted", Action: "DeleteVpcConnector", Input: arn, Until: settingTime, Want: object{"VpcConnector": merge(told, object{"Status": "INACTIVE", "DeletedAt": "<time>"})}},
		{Name: "a deleted connector is still described", Action: "DescribeVpcConnector", Input: arn, Want: object{"VpcConnector": object{"Status": "INACTIVE", "DeletedAt": "<time>"}}},
		{Name: "a deleted connector is not listed", Action: "ListVpcConnectors", Want: object{"VpcConnectors": list{object{"VpcConnectorName": "open"}}}},
	}, quotaSteps("CreateVpcConnector", 9, func(i int) object { // and the one without groups
		return object{"VpcConnectorName": fmt.Sprintf("many-%d", i), "Subnets": subnets}
	}))
}

// ingressSteps is services that are not public, and the connections that lead to them.
func ingressSteps() []Step {
	closed := object{"NetworkConfiguration": object{"IngressConfiguration": object{"IsPubliclyAccessible": false}}}
	network := func(end string) object {
		return object{"VpcId": "vpc-0123456789abcdef0", "VpcEndpointId": "vpce-" + end}
	}
	creating := object{"ServiceArn": "${inner.ServiceArn}", "VpcIngressConnectionName": "door", "IngressVpcConfiguration": network("0123456789abcdef0")}
	arn := object{"VpcIngressConnectionArn": "${door.VpcIngressConnectionArn}"}
	told := object{
		"VpcIngressConnectionArn": "<arn:vpcingressconnection/door>", "VpcIngressConnectionName": "door", "ServiceArn": "${inner.ServiceArn}",
		"AccountId": "000000000000", "IngressVpcConfiguration": network("0123456789abcdef0"), "CreatedAt": "<time>", "DeletedAt": "<absent>",
	}
	summary := object{"VpcIngressConnectionArn": "${door.VpcIngressConnectionArn}", "ServiceArn": "${inner.ServiceArn}"}
	listing := func(name string, input object, elements list) Step {
		return Step{Name: name, Action: "ListVpcIngressConnections", Input: input, Want: object{"VpcIngressConnectionSummaryList": elements, "NextToken": "<absent>"}}
	}
	awaiting := func(name, status string, more object) Step {
		return Step{Name: name, Action: "DescribeVpcIngressConnection", Input: arn, Want: object{"VpcIngressConnection": merge(object{"Status": status}, more)}, Until: settingTime}
	}
	return steps(runningService("inner", "inner", closed), []Step{
		{Name: "a private service tells so, and has no public name", Action: "DescribeService", Input: arnOf("inner"), Want: object{"Service": merge(closed, object{"ServiceUrl": "<empty>"})}},
		listing("there is no connection", nil, list{}),
		{
			Name: "a new connection tells all its members", Action: "CreateVpcIngressConnection", Input: merge(creating, object{"Tags": tagged}),
			Want: object{"VpcIngressConnection": merge(told, object{"Status": "<one:PENDING_CREATION|AVAILABLE>"})}, Save: map[string]string{"door": "VpcIngressConnection"},
		},
		awaiting("the connection becomes available", "AVAILABLE", merge(told, object{"DomainName": "<host>"})),
	}, taggedSteps("door.VpcIngressConnectionArn"), []Step{
		{Name: "a service has one connection", Action: "CreateVpcIngressConnection", Input: merge(creating, object{"VpcIngressConnectionName": "second"}), Error: quotaExceeded + "|" + invalidRequest},
		{Name: "no network", Action: "CreateVpcIngressConnection", Input: object{"ServiceArn": "${inner.ServiceArn}", "VpcIngressConnectionName": "door"}, Error: invalidRequest, Message: "IngressVpcConfiguration", Local: checksRequired},
		{Name: "a connection to a service that is not there", Action: "CreateVpcIngressConnection", Input: merge(creating, object{"ServiceArn": arnHere("service/nothing/" + noID)}), Error: invalidRequest},
		listing("the connection is listed", nil, list{summary}),
		listing("the connection is found by its service", object{"Filter": arnOf("inner")}, list{summary}),
		listing("the connection is found by its endpoint", object{"Filter": object{"VpcEndpointId": "vpce-0123456789abcdef0"}}, list{summary}),
		listing("another endpoint has none", object{"Filter": object{"VpcEndpointId": "vpce-00000000000000000"}}, list{}),
		{Name: "a page of too many", Action: "ListVpcIngressConnections", Input: object{"MaxResults": 101}, Error: invalidRequest, Message: "MaxResults"},
		{
			Name: "an update begins", Action: "UpdateVpcIngressConnection", Input: merge(arn, object{"IngressVpcConfiguration": network("0123456789abcdef1")}),
			Want: object{"VpcIngressConnection": object{"Status": "<one:PENDING_UPDATE|AVAILABLE>"}},
		},
		awaiting("the updated connection is available", "AVAILABLE", object{"IngressVpcConfiguration": network("0123456789abcdef1")}),
		{Name: "a service with a connection is not deleted", Action: "DeleteService", Input: arnOf("inner"), Error: invalidState + "|" + invalidRequest},
	}, runningService("inner2", "inner2", closed), []Step{
		{
			Name: "a name is given once", Action: "CreateVpcIngressConnection", Error: invalidRequest, Message: "door",
			Input: merge(creating, object{"ServiceArn": "${inner2.ServiceArn}"}),
		},
		{
			Name: "another service has another connection", Action: "CreateVpcIngressConnection", Save: map[string]string{"gate": "VpcIngressConnection"},
			Input: merge(creating, object{"ServiceArn": "${inner2.ServiceArn}", "VpcIngressConnectionName": "gate"}),
		},
		{Name: "the first page of connections", Action: "ListVpcIngressConnections", Input: object{"MaxResults": 1}, Want: object{"VpcIngressConnectionSummaryList": list{object{}}, "NextToken": "<text>"}, Save: map[string]string{"next": "NextToken"}},
		listing("the last page of connections", object{"MaxResults": 1, "NextToken": "${next}"}, list{object{}}),
		{Name: "a token of all is none of a filter", Action: "ListVpcIngressConnections", Input: object{"Filter": arnOf("inner"), "NextToken": "${next}"}, Error: invalidRequest, Message: "NextToken"},
		{
			Name: "the second connection is deleted once it is available", Action: "DeleteVpcIngressConnection", Until: settingTime,
			Input: object{"VpcIngressConnectionArn": "${gate.VpcIngressConnectionArn}"}, Want: object{"VpcIngressConnection": object{"Status": "<one:PENDING_DELETION|DELETED>"}},
		},
		{Name: "a deletion begins", Action: "DeleteVpcIngressConnection", Input: arn, Want: object{"VpcIngressConnection": object{"Status": "<one:PENDING_DELETION|DELETED>"}}},
		awaiting("the connection is deleted", "DELETED", object{"DeletedAt": "<time>"}),
		{Name: "a deleted connection is not deleted again", Action: "DeleteVpcIngressConnection", Input: arn, Error: invalidState + "|" + notFound},
		{Name: "a deleted connection is not updated", Action: "UpdateVpcIngressConnection", Input: merge(arn, object{"IngressVpcConfiguration": network("0123456789abcdef2")}), Error: invalidState + "|" + notFound},
		{
			Name: "an update makes a service public", Action: "UpdateService", Input: merge(arnOf("inner"), object{"NetworkConfiguration": object{"IngressConfiguration": object{"IsPubliclyAccessible": true}}}),
			Want: object{"Service": object{"NetworkConfiguration": object{"IngressConfiguration": object{"IsPubliclyAccessible": true}}}},
		},
		{Name: "a public service runs and has a name", Action: "DescribeService", Input: arnOf("inner"), Until: operationTime, Want: object{"Service": object{"Status": "RUNNING", "ServiceUrl": "<host>"}}},
		{Name: "a public service has no connection", Action: "CreateVpcIngressConnection", Input: creating, Error: invalidRequest + "|" + invalidState},
	}, deleteService("inner"), deleteService("inner2"))
}

// domainSteps is the domains of a service. Nobody makes the DNS records, so none becomes active.
func domainSteps() []Step {
	with := func(name string, more ...object) object {
		return merge(append([]object{arnOf("shop"), {"DomainName": name}}, more...)...)
	}
	const pending = "<one:pending_certificate_dns_validation|binding_certificate>"
	targets := object{"DNSTarget": "<host>", "ServiceArn": "${shop.ServiceArn}", "VpcDNSTargets": list{}}
	record := object{"Name": "<text>", "Type": "CNAME", "Value": "<text>", "Status": "PENDING_VALIDATION"}
	withoutWWW := object{"EnableWWWSubdomain": false}
	listing := func(name string, input object, domains any, next string) Step {
		return Step{Name: name, Action: "DescribeCustomDomains", Input: merge(arnOf("shop"), input), Want: merge(targets, object{"CustomDomains": domains, "NextToken": next}), Until: settingTime}
	}
	page := listing("the first page of domains", object{"MaxResults": 1}, list{object{"DomainName": "api.example.org"}}, "<text>")
	page.Save = map[string]string{"next": "NextToken"}
	return steps(runningService("shop", "shop"), []Step{
		listing("there is no domain", nil, list{}, "<absent>"),
		{
			Name: "a new domain is being created", Action: "AssociateCustomDomain", Input: with("shop.example.org"),
			Want: merge(targets, object{"CustomDomain": object{
				"DomainName": "shop.example.org", "EnableWWWSubdomain": true, "Status": "creating", "CertificateValidationRecords": "<empty>",
			}}),
		},
		listing("the domain waits for its records in DNS", nil, list{object{
			"DomainName": "shop.example.org", "EnableWWWSubdomain": true, "Status": pending, "CertificateValidationRecords": holds{record},
		}}, "<absent>"),
		{Name: "a domain is associated once", Action: "AssociateCustomDomain", Input: with("shop.example.org"), Error: invalidRequest, Message: "is already associated with"},
		{Name: "a domain that is none", Action: "AssociateCustomDomain", Input: with("no_such_domain"), Error: invalidRequest, Message: "DomainName"},
		{Name: "no domain", Action: "AssociateCustomDomain", Input: arnOf("shop"), Error: invalidRequest, Message: "DomainName", Local: checksRequired},
		{Name: "a wildcard has no www", Action: "AssociateCustomDomain", Input: with("*.example.net", object{"EnableWWWSubdomain": true}), Error: invalidRequest},
		{Name: "a domain without www", Action: "AssociateCustomDomain", Input: with("api.example.org", withoutWWW), Want: object{"CustomDomain": object{"EnableWWWSubdomain": false, "Status": "creating"}}},
		listing("the newest domain comes first", nil, list{object{"DomainName": "api.example.org", "Status": pending}, object{"DomainName": "shop.example.org"}}, "<absent>"),
		page,
		listing("the last page of domains", object{"MaxResults": 1, "NextToken": "${next}"}, list{object{"DomainName": "shop.example.org"}}, "<absent>"),
		{Name: "a page of too many", Action: "DescribeCustomDomains", Input: merge(arnOf("shop"), object{"MaxResults": 6}), Error: invalidRequest, Message: "MaxResults"},
		{Name: "a token that was never given", Action: "DescribeCustomDomains", Input: merge(arnOf("shop"), object{"NextToken": "abcd"}), Error: invalidRequest, Message: "NextToken"},
		{Name: "a third domain, a wildcard", Action: "AssociateCustomDomain", Input: with("*.example.net", withoutWWW), Want: object{"CustomDomain": object{"DomainName": "*.example.net"}}},
		{Name: "a fourth domain", Action: "AssociateCustomDomain", Input: with("four.example.net", withoutWWW)},
		{Name: "a fifth domain", Action: "AssociateCustomDomain", Input: with("five.example.net", withoutWWW)},
		{Name: "a sixth domain is too many, which is no error of quota in the model", Action: "AssociateCustomDomain", Input: with("six.example.net", withoutWWW), Error: invalidRequest},
		{
			Name: "a domain is being removed", Action: "DisassociateCustomDomain", Input: with("shop.example.org"),
			Want: merge(targets, object{"CustomDomain": object{"DomainName": "shop.example.org", "Status": "deleting", "CertificateValidationRecords": holds{object{"Type": "CNAME"}}}}),
		},
		listing("the removed domain is not there any more", nil, lacks{object{"DomainName": "shop.example.org"}}, "<absent>"),
		{Name: "a domain is removed once", Action: "DisassociateCustomDomain", Input: with("shop.example.org"), Error: invalidRequest, Message: "No custom domain shop.example.org found for the provided service"},
		{Name: "the service is paused", Action: "PauseService", Input: arnOf("shop"), Want: object{"OperationId": "<32hex>"}},
		becomes("shop", "PAUSED", "the service with domains is paused"),
		{Name: "a paused service keeps its domains", Action: "DisassociateCustomDomain", Input: with("api.example.org"), Error: invalidState, Message: "PAUSED"},
	}, deleteService("shop"))
}
