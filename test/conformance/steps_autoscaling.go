package conformance

import "fmt"

const (
	defaultScaling    = "autoscalingconfiguration/DefaultConfiguration"
	defaultScalingID  = "00000000000000000000000000000001"
	scalingList       = "AutoScalingConfigurationSummaryList"
	observabilityList = "ObservabilityConfigurationSummaryList"
)

func scalingARN(arn string) object { return object{"AutoScalingConfigurationArn": arn} }

// autoScalingSteps is configurations without services.
func autoScalingSteps() []Step {
	builtin := object{
		"AutoScalingConfigurationArn":  "<builtin:" + defaultScaling + "/1/" + defaultScalingID + ">",
		"AutoScalingConfigurationName": "DefaultConfiguration", "AutoScalingConfigurationRevision": 1,
	}
	limits := object{"Status": "active", "MaxConcurrency": 100, "MinSize": 1, "MaxSize": 25, "Latest": true, "DeletedAt": "<absent>"}
	describing := func(name, arn string, want object) Step {
		return Step{Name: name, Action: "DescribeAutoScalingConfiguration", Input: scalingARN(arn), Want: object{"AutoScalingConfiguration": want}}
	}
	made := func(revision int) object {
		return object{
			"AutoScalingConfigurationArn":  fmt.Sprintf("<arn:autoscalingconfiguration/scaling/%d>", revision),
			"AutoScalingConfigurationName": "scaling", "AutoScalingConfigurationRevision": revision, "Latest": true,
			"Status": "active", "CreatedAt": "<time>", "DeletedAt": "<absent>",
		}
	}
	fresh := object{"AutoScalingConfiguration": object{"HasAssociatedService": false, "IsDefault": false}}
	return steps([]Step{
		{
			Name: "the built-in configuration is listed", Action: "ListAutoScalingConfigurations",
			Want: object{"NextToken": "<absent>", scalingList: list{builtin}}, WantNew: object{scalingList: list{object{"Status": "active", "IsDefault": true}}},
		},
		describing("the built-in configuration by its ARN", arnHere(defaultScaling+"/1/"+defaultScalingID), merge(builtin, limits)),
		describing("the built-in configuration by its revision", arnHere(defaultScaling+"/1"), builtin),
		describing("the built-in configuration by its name", arnHere(defaultScaling), builtin),
		{
			Name: "a new configuration tells all its members", Action: "CreateAutoScalingConfiguration",
			Input:   object{"AutoScalingConfigurationName": "scaling", "MaxConcurrency": 50, "MinSize": 2, "MaxSize": 4, "Tags": tagged},
			Want:    object{"AutoScalingConfiguration": merge(made(1), object{"MaxConcurrency": 50, "MinSize": 2, "MaxSize": 4})},
			WantNew: fresh, Save: map[string]string{"first": "AutoScalingConfiguration"},
		},
	}, taggedSteps("first.AutoScalingConfigurationArn"), []Step{
		{
			Name: "the same name makes the next revision, and defaults are filled in", Action: "CreateAutoScalingConfiguration",
			Input:   object{"AutoScalingConfigurationName": "scaling"},
			Want:    object{"AutoScalingConfiguration": merge(made(2), object{"MaxConcurrency": 100, "MinSize": 1, "MaxSize": 25})},
			WantNew: fresh, Save: map[string]string{"second": "AutoScalingConfiguration"},
		},
		describing("the first revision is not the latest any more", "${first.AutoScalingConfigurationArn}", object{"Latest": false, "MinSize": 2, "Status": "active"}),
		describing("a name is its latest revision", arnHere("autoscalingconfiguration/scaling"), object{"AutoScalingConfigurationArn": "${second.AutoScalingConfigurationArn}"}),
		describing("a revision is found without its id", arnHere("autoscalingconfiguration/scaling/1"), object{"AutoScalingConfigurationArn": "${first.AutoScalingConfigurationArn}"}),
	}, autoScalingListSteps(), autoScalingInputSteps(), []Step{
		{
			Name: "a revision is deleted", Action: "DeleteAutoScalingConfiguration", Input: scalingARN("${second.AutoScalingConfigurationArn}"),
			Want: object{"AutoScalingConfiguration": object{
				"AutoScalingConfigurationArn": "${second.AutoScalingConfigurationArn}", "Status": "inactive", "Latest": false, "DeletedAt": "<time>",
			}},
		},
		describing("a deleted revision is still described", "${second.AutoScalingConfigurationArn}", object{"Status": "inactive", "DeletedAt": "<time>"}),
		{Name: "a deleted revision is not deleted again", Action: "DeleteAutoScalingConfiguration", Input: scalingARN("${second.AutoScalingConfigurationArn}"), Error: invalidRequest, Message: "has been deleted"},
		{Name: "a deleted revision is not listed", Action: "ListAutoScalingConfigurations", Input: object{"AutoScalingConfigurationName": "scaling"}, Want: object{scalingList: list{object{"AutoScalingConfigurationRevision": 1}}}},
		{
			Name: "all revisions of one revision", Action: "DeleteAutoScalingConfiguration", Error: invalidRequest,
			Input:   merge(scalingARN("${first.AutoScalingConfigurationArn}"), object{"DeleteAllRevisions": true}),
			Message: "You cannot specify full auto scaling configuration ARN and DeleteAllRevisions as true at same time", IsNew: true,
		},
		{Name: "the built-in configuration stays", Action: "DeleteAutoScalingConfiguration", Input: scalingARN(arnHere(defaultScaling + "/1/" + defaultScalingID)), Error: invalidRequest},
	}, quotaSteps("CreateAutoScalingConfiguration", 5, func(int) object { return object{"AutoScalingConfigurationName": "many"} }), []Step{
		{
			Name: "all revisions of a name are deleted", Action: "DeleteAutoScalingConfiguration", IsNew: true,
			Input:   merge(scalingARN(arnHere("autoscalingconfiguration/many")), object{"DeleteAllRevisions": true}),
			WantNew: object{"AutoScalingConfiguration": object{"AutoScalingConfigurationName": "many", "Status": "inactive"}},
		},
		{Name: "none of them is listed", Action: "ListAutoScalingConfigurations", Input: object{"AutoScalingConfigurationName": "many"}, WantNew: object{scalingList: list{}}},
		{Name: "the latest of a name is deleted", Action: "DeleteAutoScalingConfiguration", Input: scalingARN(arnHere("autoscalingconfiguration/scaling")), Want: object{"AutoScalingConfiguration": object{"AutoScalingConfigurationArn": "${first.AutoScalingConfigurationArn}"}}},
	})
}

func autoScalingListSteps() []Step {
	listing := func(name string, input object, elements any, next string) Step {
		return Step{Name: name, Action: "ListAutoScalingConfigurations", Input: input, Want: object{"NextToken": next, scalingList: elements}}
	}
	named := object{"AutoScalingConfigurationName": "scaling"}
	firstPage := listing("the first page of configurations", object{"MaxResults": 2}, list{object{}, object{}}, "<text>")
	firstPage.Save = map[string]string{"next": "NextToken"}
	namedPage := listing("the first page of a name", merge(named, object{"MaxResults": 1}), list{object{"AutoScalingConfigurationName": "scaling"}}, "<text>")
	namedPage.Save = map[string]string{"namedNext": "NextToken"}
	return []Step{
		listing("all revisions are listed", object{}, list{object{}, object{}, object{}}, "<absent>"),
		listing("the revisions of a name are listed", named, holds{object{"AutoScalingConfigurationRevision": 1}, object{"AutoScalingConfigurationRevision": 2}}, "<absent>"),
		listing("the latest of a name is listed alone", merge(named, object{"LatestOnly": true}), list{object{"AutoScalingConfigurationRevision": 2}}, "<absent>"),
		listing("a name that there is not has none", object{"AutoScalingConfigurationName": "nothing"}, list{}, "<absent>"),
		firstPage,
		listing("the last page of configurations", object{"MaxResults": 2, "NextToken": "${next}"}, list{object{}}, "<absent>"),
		namedPage,
		listing("the last page of a name", merge(named, object{"MaxResults": 1, "NextToken": "${namedNext}"}), list{object{"AutoScalingConfigurationName": "scaling"}}, "<absent>"),
		{Name: "a token of one name is none of all", Action: "ListAutoScalingConfigurations", Input: object{"NextToken": "${namedNext}"}, Error: invalidRequest, Message: "NextToken"},
		{Name: "a token of all revisions is none of the latest", Action: "ListAutoScalingConfigurations", Input: object{"LatestOnly": true, "NextToken": "${next}"}, Error: invalidRequest, Message: "NextToken"},
		{Name: "a page of too many", Action: "ListAutoScalingConfigurations", Input: object{"MaxResults": 101}, Error: invalidRequest, Message: "MaxResults"},
	}
}

func autoScalingInputSteps() []Step {
	creating := func(name, message string, local []string, more object) Step {
		return Step{Name: name, Action: "CreateAutoScalingConfiguration", Input: merge(object{"AutoScalingConfigurationName": "scaling"}, more), Error: invalidRequest, Message: message, Local: local}
	}
	return []Step{
		creating("a name of three letters", "AutoScalingConfigurationName", checksLimits, object{"AutoScalingConfigurationName": "abc"}),
		creating("a name with a dot", "AutoScalingConfigurationName", nil, object{"AutoScalingConfigurationName": "a.bc"}),
		creating("no concurrency", "MaxConcurrency", checksLimits, object{"MaxConcurrency": 0}),
		creating("too much concurrency", "MaxConcurrency", nil, object{"MaxConcurrency": 201}),
		creating("no instance", "MinSize", checksLimits, object{"MinSize": 0}),
		creating("too many instances at least", "MinSize", nil, object{"MinSize": 26}),
		creating("more instances at least than at most", "MaxSize", nil, object{"MinSize": 5, "MaxSize": 4}),
		{Name: "no name", Action: "CreateAutoScalingConfiguration", Input: object{}, Error: invalidRequest, Message: "AutoScalingConfigurationName", Local: checksRequired},
	}
}

// quotaSteps creates as many as there may be, and one more, which is refused.
func quotaSteps(action string, quota int, input func(int) object) []Step {
	var all []Step
	for i := range quota {
		all = append(all, Step{Name: fmt.Sprintf("number %d of the quota", i+1), Action: action, Input: input(i)})
	}
	return append(all, Step{Name: "one more than the quota", Action: action, Input: input(quota), Error: quotaExceeded})
}

// scaledServiceSteps is configurations with services.
func scaledServiceSteps() []Step {
	configuration := func(variable, name string) Step {
		return Step{
			Name: "create the configuration " + name, Action: "CreateAutoScalingConfiguration", Input: object{"AutoScalingConfigurationName": name, "MaxSize": 2},
			Save: map[string]string{variable: "AutoScalingConfiguration"},
		}
	}
	using := func(name, variable string, services list) Step {
		return Step{
			Name: name, Action: "ListServicesForAutoScalingConfiguration", Input: scalingARN("${" + variable + ".AutoScalingConfigurationArn}"),
			Want: object{"ServiceArnList": services, "NextToken": "<absent>"}, IsNew: true,
		}
	}
	return steps(
		[]Step{configuration("narrow", "narrow"), configuration("wide", "wide"), using("no service uses a new configuration", "narrow", list{})},
		runningService("scaled", "scaled", scalingARN("${narrow.AutoScalingConfigurationArn}")),
		[]Step{
			{Name: "a service tells its configuration", Action: "DescribeService", Input: arnOf("scaled"), Want: object{"Service": object{"AutoScalingConfigurationSummary": object{
				"AutoScalingConfigurationArn": "${narrow.AutoScalingConfigurationArn}", "AutoScalingConfigurationName": "narrow", "AutoScalingConfigurationRevision": 1,
			}}}},
			using("a configuration tells its services", "narrow", list{"${scaled.ServiceArn}"}),
			{
				Name: "a used configuration says so", Action: "DescribeAutoScalingConfiguration", Input: scalingARN("${narrow.AutoScalingConfigurationArn}"),
				WantNew: object{"AutoScalingConfiguration": object{"HasAssociatedService": true}},
			},
			{Name: "a used configuration is not deleted", Action: "DeleteAutoScalingConfiguration", Input: scalingARN("${narrow.AutoScalingConfigurationArn}"), Error: invalidRequest},
			{
				Name: "an update takes another configuration, by its name", Action: "UpdateService",
				Input: merge(arnOf("scaled"), scalingARN(arnHere("autoscalingconfiguration/wide"))),
				Want:  object{"Service": object{"AutoScalingConfigurationSummary": object{"AutoScalingConfigurationArn": "${wide.AutoScalingConfigurationArn}"}}},
			},
			becomes("scaled", "RUNNING", "the service runs with it"),
			{Name: "the unused configuration is deleted", Action: "DeleteAutoScalingConfiguration", Input: scalingARN("${narrow.AutoScalingConfigurationArn}"), Until: settingTime, Want: object{"AutoScalingConfiguration": object{"Status": "inactive"}}},
			{Name: "a deleted configuration is none for a service", Action: "UpdateService", Input: merge(arnOf("scaled"), scalingARN("${narrow.AutoScalingConfigurationArn}")), Error: invalidRequest},
			configuration("usual", "usual"),
			{
				Name: "another configuration becomes the default", Action: "UpdateDefaultAutoScalingConfiguration", Input: scalingARN(arnHere("autoscalingconfiguration/usual")), IsNew: true,
				WantNew: object{"AutoScalingConfiguration": object{"AutoScalingConfigurationArn": "${usual.AutoScalingConfigurationArn}", "IsDefault": true, "Status": "active"}},
			},
			{
				Name: "there is one default", Action: "ListAutoScalingConfigurations", WantNew: object{scalingList: holds{
					object{"AutoScalingConfigurationName": "usual", "IsDefault": true}, object{"AutoScalingConfigurationName": "DefaultConfiguration", "IsDefault": false},
				}},
			},
			{
				Name: "a service without a configuration gets the default", Action: "CreateService", Input: imageService("unscaled", "unscaled:live"),
				WantNew: object{"Service": object{"AutoScalingConfigurationSummary": object{"AutoScalingConfigurationName": "usual"}}}, Save: map[string]string{"unscaled": "Service"},
			},
			becomes("unscaled", "CREATE_FAILED", "its image is not there"),
			{Name: "the built-in configuration becomes the default again", Action: "UpdateDefaultAutoScalingConfiguration", Input: scalingARN(arnHere(defaultScaling)), IsNew: true, WantNew: object{"AutoScalingConfiguration": object{"IsDefault": true}}},
		}, deleteService("unscaled"), deleteService("scaled"), []Step{
			{Name: "without its service the configuration is deleted", Action: "DeleteAutoScalingConfiguration", Input: scalingARN("${wide.AutoScalingConfigurationArn}"), Until: settingTime, Want: object{"AutoScalingConfiguration": object{"Status": "inactive"}}},
		})
}
