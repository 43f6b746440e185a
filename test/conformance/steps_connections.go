package conformance

import "fmt"

// connectionSteps is connections. The handshake is made in no API, so they stay as they are created.
func connectionSteps() []Step {
	told := object{
		"ConnectionName": "forge", "ConnectionArn": "<arn:connection/forge>", "ProviderType": "GITHUB", "Status": "PENDING_HANDSHAKE", "CreatedAt": "<time>",
	}
	creating := func(name, message string, local []string, more object) Step {
		return Step{Name: name, Action: "CreateConnection", Input: merge(object{"ConnectionName": "wrong", "ProviderType": "GITHUB"}, more), Error: invalidRequest, Message: message, Local: local}
	}
	arn := object{"ConnectionArn": "${forge.ConnectionArn}"}
	return steps([]Step{
		{Name: "there is no connection", Action: "ListConnections", Want: object{"ConnectionSummaryList": list{}, "NextToken": "<absent>"}},
		{
			Name: "a new connection waits for its handshake", Action: "CreateConnection", Input: object{"ConnectionName": "forge", "ProviderType": "GITHUB", "Tags": tagged},
			Want: object{"Connection": told}, Save: map[string]string{"forge": "Connection"},
		},
	}, taggedSteps("forge.ConnectionArn"), []Step{
		{Name: "a connection's name is given once", Action: "CreateConnection", Input: object{"ConnectionName": "forge", "ProviderType": "GITHUB"}, Error: invalidRequest, Message: "forge"},
		{
			Name: "a connection to the other provider", Action: "CreateConnection", Input: object{"ConnectionName": "bucket", "ProviderType": "BITBUCKET"},
			Want: object{"Connection": object{"ProviderType": "BITBUCKET", "ConnectionArn": "<arn:connection/bucket>"}},
		},
		{Name: "all connections are listed", Action: "ListConnections", Want: object{"ConnectionSummaryList": holds{told, object{"ConnectionName": "bucket"}}, "NextToken": "<absent>"}},
		{Name: "a connection is found by its name", Action: "ListConnections", Input: object{"ConnectionName": "forge"}, Want: object{"ConnectionSummaryList": list{told}}},
		{Name: "a name that there is not has none", Action: "ListConnections", Input: object{"ConnectionName": "nothing"}, Want: object{"ConnectionSummaryList": list{}}},
		{Name: "the first page of connections", Action: "ListConnections", Input: object{"MaxResults": 1}, Want: object{"ConnectionSummaryList": list{object{}}, "NextToken": "<text>"}, Save: map[string]string{"next": "NextToken"}},
		{Name: "the last page of connections", Action: "ListConnections", Input: object{"MaxResults": 1, "NextToken": "${next}"}, Want: object{"ConnectionSummaryList": list{object{}}, "NextToken": "<absent>"}},
		{Name: "a token of all connections is none of a name", Action: "ListConnections", Input: object{"ConnectionName": "forge", "NextToken": "${next}"}, Error: invalidRequest, Message: "NextToken"},
		{Name: "a page of too many", Action: "ListConnections", Input: object{"MaxResults": 101}, Error: invalidRequest, Message: "MaxResults"},
		creating("a name of three letters", "ConnectionName", checksLimits, object{"ConnectionName": "abc"}),
		creating("a name with a slash", "ConnectionName", nil, object{"ConnectionName": "a/bcd"}),
		creating("an unknown provider", "ProviderType", nil, object{"ProviderType": "SOURCEFORGE"}),
		{Name: "no provider", Action: "CreateConnection", Input: object{"ConnectionName": "wrong"}, Error: invalidRequest, Message: "ProviderType", Local: checksRequired},
		{Name: "a connection is deleted", Action: "DeleteConnection", Input: arn, Want: object{"Connection": merge(told, object{"Status": "DELETED"})}},
		{Name: "a deleted connection is not there", Action: "DeleteConnection", Input: arn, Error: notFound, Message: "forge"},
		{Name: "a deleted connection is not listed", Action: "ListConnections", Input: object{"ConnectionName": "forge"}, Want: object{"ConnectionSummaryList": list{}}},
	}, quotaSteps("CreateConnection", 9, func(i int) object { // and the one to the other provider
		return object{"ConnectionName": fmt.Sprintf("many-%d", i), "ProviderType": "GITHUB"}
	}))
}

// observabilitySteps is observability configurations, without and with a service.
func observabilitySteps() []Step {
	const vendor = "AWSXRAY"
	arnOnly := func(arn string) object { return object{"ObservabilityConfigurationArn": arn} }
	told := func(revision int) object {
		return object{
			"ObservabilityConfigurationArn":  fmt.Sprintf("<arn:observabilityconfiguration/tracing/%d>", revision),
			"ObservabilityConfigurationName": "tracing", "ObservabilityConfigurationRevision": revision, "Latest": true,
			"Status": "ACTIVE", "CreatedAt": "<time>", "DeletedAt": "<absent>",
		}
	}
	describing := func(name, arn string, want object) Step {
		return Step{Name: name, Action: "DescribeObservabilityConfiguration", Input: arnOnly(arn), Want: object{"ObservabilityConfiguration": want}}
	}
	listing := func(name string, input object, elements any, next string) Step {
		return Step{Name: name, Action: "ListObservabilityConfigurations", Input: input, Want: object{"NextToken": next, observabilityList: elements}}
	}
	named := object{"ObservabilityConfigurationName": "tracing"}
	page := listing("the first page of configurations", merge(named, object{"MaxResults": 1}), list{object{}}, "<text>")
	page.Save = map[string]string{"next": "NextToken"}
	used := object{"ObservabilityConfiguration": object{"ObservabilityEnabled": true, "ObservabilityConfigurationArn": "${first.ObservabilityConfigurationArn}"}}
	return steps([]Step{
		listing("there is no configuration", nil, list{}, "<absent>"),
		{
			Name: "a new configuration tells all its members", Action: "CreateObservabilityConfiguration",
			Input: merge(named, object{"TraceConfiguration": object{"Vendor": vendor}, "Tags": tagged}),
			Want:  object{"ObservabilityConfiguration": merge(told(1), object{"TraceConfiguration": object{"Vendor": vendor}})},
			Save:  map[string]string{"first": "ObservabilityConfiguration"},
		},
	}, taggedSteps("first.ObservabilityConfigurationArn"), []Step{
		{
			Name: "the next revision, without tracing", Action: "CreateObservabilityConfiguration", Input: named,
			Want: object{"ObservabilityConfiguration": merge(told(2), object{"TraceConfiguration": "<absent>"})}, Save: map[string]string{"second": "ObservabilityConfiguration"},
		},
		describing("the first revision is not the latest any more", "${first.ObservabilityConfigurationArn}", merge(told(1), object{"Latest": false})),
		describing("a name is its latest revision", arnHere("observabilityconfiguration/tracing"), told(2)),
		describing("a revision is found without its id", arnHere("observabilityconfiguration/tracing/1"), object{"ObservabilityConfigurationRevision": 1}),
		listing("the revisions of a name are listed", named, holds{
			object{"ObservabilityConfigurationArn": "${first.ObservabilityConfigurationArn}", "ObservabilityConfigurationName": "tracing", "ObservabilityConfigurationRevision": 1},
			object{"ObservabilityConfigurationArn": "${second.ObservabilityConfigurationArn}"},
		}, "<absent>"),
		listing("the latest of a name is listed alone", merge(named, object{"LatestOnly": true}), list{object{"ObservabilityConfigurationRevision": 2}}, "<absent>"),
		page,
		listing("the last page of configurations", merge(named, object{"MaxResults": 1, "NextToken": "${next}"}), list{object{}}, "<absent>"),
		{Name: "a token of a name is none of all", Action: "ListObservabilityConfigurations", Input: object{"NextToken": "${next}"}, Error: invalidRequest, Message: "NextToken"},
		{Name: "a page of too many", Action: "ListObservabilityConfigurations", Input: object{"MaxResults": 101}, Error: invalidRequest, Message: "MaxResults"},
		{Name: "a reserved name", Action: "CreateObservabilityConfiguration", Input: object{"ObservabilityConfigurationName": "DefaultConfiguration"}, Error: invalidRequest, Message: "DefaultConfiguration"},
		{Name: "an unknown vendor", Action: "CreateObservabilityConfiguration", Input: merge(named, object{"TraceConfiguration": object{"Vendor": "ZIPKIN"}}), Error: invalidRequest, Message: "Vendor"},
		{Name: "a name of three letters", Action: "CreateObservabilityConfiguration", Input: object{"ObservabilityConfigurationName": "abc"}, Error: invalidRequest, Message: "ObservabilityConfigurationName", Local: checksLimits},
		{Name: "no name", Action: "CreateObservabilityConfiguration", Input: object{}, Error: invalidRequest, Message: "ObservabilityConfigurationName", Local: checksRequired},
		{
			Name: "a service takes a configuration", Action: "CreateService", Input: imageService("traced", "traced:live", used),
			Want: object{"Service": used}, Save: map[string]string{"traced": "Service"},
		},
		becomes("traced", "CREATE_FAILED", "its image is not there"),
		{Name: "a used configuration is not deleted", Action: "DeleteObservabilityConfiguration", Input: arnOnly("${first.ObservabilityConfigurationArn}"), Error: invalidRequest},
		{
			Name: "a name deletes its latest revision", Action: "DeleteObservabilityConfiguration", Input: arnOnly(arnHere("observabilityconfiguration/tracing")),
			Want: object{"ObservabilityConfiguration": object{"ObservabilityConfigurationArn": "${second.ObservabilityConfigurationArn}", "Status": "INACTIVE", "DeletedAt": "<time>", "Latest": false}},
		},
		describing("a deleted configuration is still described", "${second.ObservabilityConfigurationArn}", object{"Status": "INACTIVE", "DeletedAt": "<time>"}),
		listing("a deleted configuration is not listed", named, list{object{"ObservabilityConfigurationRevision": 1}}, "<absent>"),
	}, deleteService("traced"), []Step{
		{Name: "without its service the configuration is deleted", Action: "DeleteObservabilityConfiguration", Input: arnOnly("${first.ObservabilityConfigurationArn}"), Until: settingTime, Want: object{"ObservabilityConfiguration": object{"Status": "INACTIVE"}}},
	}, quotaSteps("CreateObservabilityConfiguration", 10, func(int) object { return object{"ObservabilityConfigurationName": "many"} }))
}
