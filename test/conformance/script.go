package conformance

import (
	"slices"
	"time"
)

// object is a JSON object of a step's input or expectation.
type object = map[string]any

// list is a JSON array. As an expectation it has as many elements, in this order.
type list = []any

// holds is an expectation of a list: each of these is among its elements.
type holds []any

// lacks is an expectation of a list: none of these is among its elements.
type lacks []any

// Step is one call of the script, or one thing done beside the API.
//
// Texts of the input and of what is wanted may hold ${variable.path}: a value that an earlier step has saved.
type Step struct {
	// Name says what the step shows. It is unique in its chapter.
	Name   string
	Action string
	Input  object
	// Want is part of the output: each of its members must be there and match. Texts in angle brackets match kinds of
	// text (see match.go).
	Want object
	// WantNew is part of the output, of members that clients of 2022 do not know and leave out.
	WantNew object
	// Error is the code that is wanted instead, and Message part of its text. Where neither the model nor a record says
	// which of two codes it is, both stand there with | between.
	Error, Message string
	// Save keeps the members of the output at these paths under these names.
	Save map[string]string
	// Until calls again until all this is so, at most for so long.
	Until time.Duration
	// Local are the clients that refuse the input themselves, which then is what is wanted of them.
	Local []string
	// IsNew is for an action or member that came after the clients of 2022. When such a client refuses it, that is
	// told as such; when it does not, the step is like any other.
	IsNew bool
	// Image is pushed to apron's registry instead of a call.
	Image *Push
}

// Push puts a version of the sample application under a tag.
type Push struct {
	Tag, Version string
	// Environment is part of the image.
	Environment map[string]string
}

// Chapter is steps about one subject. A chapter uses nothing that another has left, so a failure stays in its chapter.
type Chapter struct {
	Name  string
	Steps []Step
}

// script is what every client runs, in this order.
func script() []Chapter {
	return []Chapter{
		{"services", serviceSteps()},
		{"services that fail", failureSteps()},
		{"inputs of services", serviceInputSteps()},
		{"operations and deployments", operationSteps()},
		{"pages of services", servicePageSteps()},
		{"tags", tagSteps()},
		{"auto scaling configurations", autoScalingSteps()},
		{"scaled services", scaledServiceSteps()},
		{"connections", connectionSteps()},
		{"observability configurations", observabilitySteps()},
		{"VPC connectors", connectorSteps()},
		{"private services", ingressSteps()},
		{"custom domains", domainSteps()},
		{"ARNs of nothing", nothingSteps()},
	}
}

// The bounds of what is waited for: an operation starts containers, a setting of the network does not.
const (
	operationTime = 3 * time.Minute
	settingTime   = time.Minute
)

// Codes of the service's model.
const (
	invalidRequest = "InvalidRequestException"
	invalidState   = "InvalidStateException"
	notFound       = "ResourceNotFoundException"
	quotaExceeded  = "ServiceQuotaExceededException"
)

// merge adds members to a copy of an object.
func merge(objects ...object) object {
	merged := object{}
	for _, each := range objects {
		for name, value := range each {
			merged[name] = value
		}
	}
	return merged
}

// steps joins lists of steps.
func steps(lists ...[]Step) []Step { return slices.Concat(lists...) }
