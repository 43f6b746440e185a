package apprunner

// TargetPrefix and ExtensionPrefix precede an action's name in the X-Amz-Target header.
const (
	TargetPrefix    = "AppRunner."
	ExtensionPrefix = "Apron."
)

// Action describes one API call.
type Action struct {
	// Target is the value of the X-Amz-Target header.
	Target string
	// Name is the target without its prefix.
	Name string
	// Errors are the exceptions that the action declares.
	Errors []ErrorCode
	// IsExtension says that App Runner has no such action.
	IsExtension bool
}

// Declares says whether the action may answer with code.
func (a Action) Declares(code ErrorCode) bool {
	for _, declared := range a.Errors {
		if declared == code {
			return true
		}
	}
	return false
}

// Endpoint is an Action with the types of its input and output.
type Endpoint[I, O any] struct{ Action }

// Actions returns all 37 actions of the service, in the model's order.
func Actions() []Action { return append([]Action(nil), actions...) }

// ExtensionActions returns the actions that App Runner does not have.
func ExtensionActions() []Action { return append([]Action(nil), extensions...) }

// The endpoints whose shapes are defined.
var (
	CreateService       = endpoint[CreateServiceRequest, CreateServiceResponse]("CreateService")
	DeleteService       = endpoint[DeleteServiceRequest, DeleteServiceResponse]("DeleteService")
	DescribeService     = endpoint[DescribeServiceRequest, DescribeServiceResponse]("DescribeService")
	ListOperations      = endpoint[ListOperationsRequest, ListOperationsResponse]("ListOperations")
	ListServices        = endpoint[ListServicesRequest, ListServicesResponse]("ListServices")
	ListTagsForResource = endpoint[ListTagsForResourceRequest, ListTagsForResourceResponse]("ListTagsForResource")
	PauseService        = endpoint[PauseServiceRequest, PauseServiceResponse]("PauseService")
	ResumeService       = endpoint[ResumeServiceRequest, ResumeServiceResponse]("ResumeService")
	StartDeployment     = endpoint[StartDeploymentRequest, StartDeploymentResponse]("StartDeployment")
	TagResource         = endpoint[TagResourceRequest, TagResourceResponse]("TagResource")
	UntagResource       = endpoint[UntagResourceRequest, UntagResourceResponse]("UntagResource")
	UpdateService       = endpoint[UpdateServiceRequest, UpdateServiceResponse]("UpdateService")

	DescribeOperation = endpoint[DescribeOperationRequest, DescribeOperationResponse]("DescribeOperation")
	ListInstances     = endpoint[ListInstancesRequest, ListInstancesResponse]("ListInstances")
	ReadLogs          = endpoint[ReadLogsRequest, ReadLogsResponse]("ReadLogs")
)

// actions is the service model's table of actions with their declared errors, in its order.
var actions = []Action{
	action("AssociateCustomDomain", CodeInvalidRequest, CodeInternalServiceError, CodeInvalidState),
	action("CreateAutoScalingConfiguration", CodeInvalidRequest, CodeInternalServiceError, CodeServiceQuotaExceeded),
	action("CreateConnection", CodeInvalidRequest, CodeInternalServiceError, CodeServiceQuotaExceeded),
	action("CreateObservabilityConfiguration", CodeInvalidRequest, CodeInternalServiceError, CodeServiceQuotaExceeded),
	action("CreateService", CodeInvalidRequest, CodeInternalServiceError, CodeServiceQuotaExceeded),
	action("CreateVpcConnector", CodeInvalidRequest, CodeInternalServiceError, CodeServiceQuotaExceeded),
	action("CreateVpcIngressConnection", CodeInvalidRequest, CodeInvalidState, CodeInternalServiceError, CodeServiceQuotaExceeded),
	action("DeleteAutoScalingConfiguration", CodeInvalidRequest, CodeInternalServiceError, CodeResourceNotFound),
	action("DeleteConnection", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	action("DeleteObservabilityConfiguration", CodeInvalidRequest, CodeInternalServiceError, CodeResourceNotFound),
	action("DeleteService", CodeInvalidRequest, CodeResourceNotFound, CodeInvalidState, CodeInternalServiceError),
	action("DeleteVpcConnector", CodeInvalidRequest, CodeInternalServiceError, CodeResourceNotFound),
	action("DeleteVpcIngressConnection", CodeInvalidRequest, CodeInternalServiceError, CodeResourceNotFound, CodeInvalidState),
	action("DescribeAutoScalingConfiguration", CodeInvalidRequest, CodeInternalServiceError, CodeResourceNotFound),
	action("DescribeCustomDomains", CodeInvalidRequest, CodeInternalServiceError, CodeResourceNotFound),
	action("DescribeObservabilityConfiguration", CodeInvalidRequest, CodeInternalServiceError, CodeResourceNotFound),
	action("DescribeService", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	action("DescribeVpcConnector", CodeInvalidRequest, CodeInternalServiceError, CodeResourceNotFound),
	action("DescribeVpcIngressConnection", CodeInvalidRequest, CodeInternalServiceError, CodeResourceNotFound),
	action("DisassociateCustomDomain", CodeInvalidRequest, CodeInternalServiceError, CodeResourceNotFound, CodeInvalidState),
	action("ListAutoScalingConfigurations", CodeInvalidRequest, CodeInternalServiceError),
	action("ListConnections", CodeInvalidRequest, CodeInternalServiceError),
	action("ListObservabilityConfigurations", CodeInvalidRequest, CodeInternalServiceError),
	action("ListOperations", CodeInvalidRequest, CodeInternalServiceError, CodeResourceNotFound),
	action("ListServices", CodeInvalidRequest, CodeInternalServiceError),
	action("ListServicesForAutoScalingConfiguration", CodeInvalidRequest, CodeInternalServiceError, CodeResourceNotFound),
	action("ListTagsForResource", CodeResourceNotFound, CodeInternalServiceError, CodeInvalidRequest, CodeInvalidState),
	action("ListVpcConnectors", CodeInvalidRequest, CodeInternalServiceError),
	action("ListVpcIngressConnections", CodeInvalidRequest, CodeInternalServiceError),
	action("PauseService", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError, CodeInvalidState),
	action("ResumeService", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError, CodeInvalidState),
	action("StartDeployment", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	action("TagResource", CodeResourceNotFound, CodeInternalServiceError, CodeInvalidRequest, CodeInvalidState),
	action("UntagResource", CodeResourceNotFound, CodeInternalServiceError, CodeInvalidRequest, CodeInvalidState),
	action("UpdateDefaultAutoScalingConfiguration", CodeInvalidRequest, CodeInternalServiceError, CodeResourceNotFound),
	action("UpdateService", CodeInvalidRequest, CodeResourceNotFound, CodeInvalidState, CodeInternalServiceError),
	action("UpdateVpcIngressConnection", CodeInvalidRequest, CodeResourceNotFound, CodeInvalidState, CodeInternalServiceError),
}

var extensions = []Action{
	extension("DescribeOperation", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("ListInstances", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("ReadLogs", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
}

func action(name string, errors ...ErrorCode) Action {
	return Action{Target: TargetPrefix + name, Name: name, Errors: errors}
}

func extension(name string, errors ...ErrorCode) Action {
	return Action{Target: ExtensionPrefix + name, Name: name, Errors: errors, IsExtension: true}
}

func endpoint[I, O any](name string) Endpoint[I, O] {
	for _, table := range [][]Action{actions, extensions} {
		for _, action := range table {
			if action.Name == name {
				return Endpoint[I, O]{action}
			}
		}
	}
	panic("apprunner: no action " + name)
}
