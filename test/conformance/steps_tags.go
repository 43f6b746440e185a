package conformance

import "fmt"

// tagged are the tags that a resource is created with, for taggedSteps.
var tagged = list{object{"Key": "team", "Value": "blue"}, object{"Key": "empty", "Value": ""}}

// taggedSteps is the life of the tags of any resource that was created with tagged. arn is the variable with its ARN.
func taggedSteps(arn string) []Step {
	resource := object{"ResourceArn": "${" + arn + "}"}
	listed := func(name string, tags ...any) Step {
		return Step{Name: name, Action: "ListTagsForResource", Input: resource, Want: object{"Tags": holds(tags)}}
	}
	return []Step{
		listed("the tags of the creation are there", tagged...),
		{
			Name: "tags are added and replaced", Action: "TagResource",
			Input: merge(resource, object{"Tags": list{object{"Key": "team", "Value": "red"}, object{"Key": "stage", "Value": "test"}}}), Want: object{},
		},
		listed("the new tags are there", object{"Key": "team", "Value": "red"}, object{"Key": "stage", "Value": "test"}, object{"Key": "empty", "Value": ""}),
		{Name: "tags are removed", Action: "UntagResource", Input: merge(resource, object{"TagKeys": list{"team", "empty"}}), Want: object{}},
		{Name: "only the others stay", Action: "ListTagsForResource", Input: resource, Want: object{"Tags": list{object{"Key": "stage", "Value": "test"}}}},
		{Name: "removing what is not there is no error", Action: "UntagResource", Input: merge(resource, object{"TagKeys": list{"team"}}), Want: object{}},
		{Name: "the last tag is removed", Action: "UntagResource", Input: merge(resource, object{"TagKeys": list{"stage"}}), Want: object{}},
		{Name: "no tag is left", Action: "ListTagsForResource", Input: resource, Want: object{"Tags": "<empty>"}},
	}
}

// tagSteps is the tags of a service, and what is refused as a tag of anything.
func tagSteps() []Step {
	resource := object{"ResourceArn": "${tagged.ServiceArn}"}
	tagging := func(name, message string, local []string, tags list) Step {
		return Step{Name: name, Action: "TagResource", Input: merge(resource, object{"Tags": tags}), Error: invalidRequest, Message: message, Local: local}
	}
	var many list
	for i := range 51 {
		many = append(many, object{"Key": fmt.Sprintf("key-%d", i), "Value": "x"})
	}
	return steps([]Step{
		{Name: "create a service with tags", Action: "CreateService", Input: imageService("tagged", "tagged:live", object{"Tags": tagged}), Save: map[string]string{"tagged": "Service"}},
		becomes("tagged", "CREATE_FAILED", "what has failed has tags, too"),
	}, taggedSteps("tagged.ServiceArn"), []Step{
		tagging("a key of AWS", "Tags", nil, list{object{"Key": "aws:x", "Value": "y"}}),
		tagging("a key twice", "Tags", nil, list{object{"Key": "x", "Value": "1"}, object{"Key": "x", "Value": "2"}}),
		tagging("a key of no letters", "Tags", checksLimits, list{object{"Key": "", "Value": "1"}}),
		tagging("more tags than there may be", "50", nil, many),
		{Name: "no tags given", Action: "TagResource", Input: resource, Error: invalidRequest, Message: "Tags", Local: checksRequired},
		{Name: "no keys given", Action: "UntagResource", Input: resource, Error: invalidRequest, Message: "TagKeys", Local: checksRequired},
		{Name: "fifty tags are enough", Action: "TagResource", Input: merge(resource, object{"Tags": many[:50]}), Want: object{}},
		tagging("one more is too many", "50", nil, many[50:]),
		{Name: "no resource given", Action: "ListTagsForResource", Input: object{}, Error: invalidRequest, Message: "ResourceArn", Local: checksRequired},
		{Name: "a resource that is no ARN", Action: "ListTagsForResource", Input: object{"ResourceArn": "tagged"}, Error: invalidRequest, Message: "ResourceArn"},
	}, deleteService("tagged"))
}
