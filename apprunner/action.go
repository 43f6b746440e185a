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

// Endpoint is an Action with the types of its input, its output and its errors. E is the sum of the exceptions that the
// action declares and UnknownOperationError; see errors.go.
type Endpoint[I, O any, E error] struct{ Action }

// Method and Path are the same for every action (awsJson1_0).
const (
	Method = "POST"
	Path   = "/"
)

// Actions returns all 37 actions of the service, in the model's order.
func Actions() []Action { return append([]Action(nil), actions...) }

// ExtensionActions returns the actions that App Runner does not have.
func ExtensionActions() []Action { return append([]Action(nil), extensions...) }

// The endpoints of App Runner.
var (
	AssociateCustomDomain                   = endpoint[AssociateCustomDomainRequest, AssociateCustomDomainResponse, AssociateCustomDomainError]("AssociateCustomDomain")
	CreateAutoScalingConfiguration          = endpoint[CreateAutoScalingConfigurationRequest, CreateAutoScalingConfigurationResponse, CreateAutoScalingConfigurationError]("CreateAutoScalingConfiguration")
	CreateConnection                        = endpoint[CreateConnectionRequest, CreateConnectionResponse, CreateConnectionError]("CreateConnection")
	CreateObservabilityConfiguration        = endpoint[CreateObservabilityConfigurationRequest, CreateObservabilityConfigurationResponse, CreateObservabilityConfigurationError]("CreateObservabilityConfiguration")
	CreateService                           = endpoint[CreateServiceRequest, CreateServiceResponse, CreateServiceError]("CreateService")
	CreateVPCConnector                      = endpoint[CreateVPCConnectorRequest, CreateVPCConnectorResponse, CreateVPCConnectorError]("CreateVpcConnector")
	CreateVPCIngressConnection              = endpoint[CreateVPCIngressConnectionRequest, CreateVPCIngressConnectionResponse, CreateVPCIngressConnectionError]("CreateVpcIngressConnection")
	DeleteAutoScalingConfiguration          = endpoint[DeleteAutoScalingConfigurationRequest, DeleteAutoScalingConfigurationResponse, DeleteAutoScalingConfigurationError]("DeleteAutoScalingConfiguration")
	DeleteConnection                        = endpoint[DeleteConnectionRequest, DeleteConnectionResponse, DeleteConnectionError]("DeleteConnection")
	DeleteObservabilityConfiguration        = endpoint[DeleteObservabilityConfigurationRequest, DeleteObservabilityConfigurationResponse, DeleteObservabilityConfigurationError]("DeleteObservabilityConfiguration")
	DeleteService                           = endpoint[DeleteServiceRequest, DeleteServiceResponse, DeleteServiceError]("DeleteService")
	DeleteVPCConnector                      = endpoint[DeleteVPCConnectorRequest, DeleteVPCConnectorResponse, DeleteVPCConnectorError]("DeleteVpcConnector")
	DeleteVPCIngressConnection              = endpoint[DeleteVPCIngressConnectionRequest, DeleteVPCIngressConnectionResponse, DeleteVPCIngressConnectionError]("DeleteVpcIngressConnection")
	DescribeAutoScalingConfiguration        = endpoint[DescribeAutoScalingConfigurationRequest, DescribeAutoScalingConfigurationResponse, DescribeAutoScalingConfigurationError]("DescribeAutoScalingConfiguration")
	DescribeCustomDomains                   = endpoint[DescribeCustomDomainsRequest, DescribeCustomDomainsResponse, DescribeCustomDomainsError]("DescribeCustomDomains")
	DescribeObservabilityConfiguration      = endpoint[DescribeObservabilityConfigurationRequest, DescribeObservabilityConfigurationResponse, DescribeObservabilityConfigurationError]("DescribeObservabilityConfiguration")
	DescribeService                         = endpoint[DescribeServiceRequest, DescribeServiceResponse, DescribeServiceError]("DescribeService")
	DescribeVPCConnector                    = endpoint[DescribeVPCConnectorRequest, DescribeVPCConnectorResponse, DescribeVPCConnectorError]("DescribeVpcConnector")
	DescribeVPCIngressConnection            = endpoint[DescribeVPCIngressConnectionRequest, DescribeVPCIngressConnectionResponse, DescribeVPCIngressConnectionError]("DescribeVpcIngressConnection")
	DisassociateCustomDomain                = endpoint[DisassociateCustomDomainRequest, DisassociateCustomDomainResponse, DisassociateCustomDomainError]("DisassociateCustomDomain")
	ListAutoScalingConfigurations           = endpoint[ListAutoScalingConfigurationsRequest, ListAutoScalingConfigurationsResponse, ListAutoScalingConfigurationsError]("ListAutoScalingConfigurations")
	ListConnections                         = endpoint[ListConnectionsRequest, ListConnectionsResponse, ListConnectionsError]("ListConnections")
	ListObservabilityConfigurations         = endpoint[ListObservabilityConfigurationsRequest, ListObservabilityConfigurationsResponse, ListObservabilityConfigurationsError]("ListObservabilityConfigurations")
	ListOperations                          = endpoint[ListOperationsRequest, ListOperationsResponse, ListOperationsError]("ListOperations")
	ListServices                            = endpoint[ListServicesRequest, ListServicesResponse, ListServicesError]("ListServices")
	ListServicesForAutoScalingConfiguration = endpoint[ListServicesForAutoScalingConfigurationRequest, ListServicesForAutoScalingConfigurationResponse, ListServicesForAutoScalingConfigurationError]("ListServicesForAutoScalingConfiguration")
	ListTagsForResource                     = endpoint[ListTagsForResourceRequest, ListTagsForResourceResponse, ListTagsForResourceError]("ListTagsForResource")
	ListVPCConnectors                       = endpoint[ListVPCConnectorsRequest, ListVPCConnectorsResponse, ListVPCConnectorsError]("ListVpcConnectors")
	ListVPCIngressConnections               = endpoint[ListVPCIngressConnectionsRequest, ListVPCIngressConnectionsResponse, ListVPCIngressConnectionsError]("ListVpcIngressConnections")
	PauseService                            = endpoint[PauseServiceRequest, PauseServiceResponse, PauseServiceError]("PauseService")
	ResumeService                           = endpoint[ResumeServiceRequest, ResumeServiceResponse, ResumeServiceError]("ResumeService")
	StartDeployment                         = endpoint[StartDeploymentRequest, StartDeploymentResponse, StartDeploymentError]("StartDeployment")
	TagResource                             = endpoint[TagResourceRequest, TagResourceResponse, TagResourceError]("TagResource")
	UntagResource                           = endpoint[UntagResourceRequest, UntagResourceResponse, UntagResourceError]("UntagResource")
	UpdateDefaultAutoScalingConfiguration   = endpoint[UpdateDefaultAutoScalingConfigurationRequest, UpdateDefaultAutoScalingConfigurationResponse, UpdateDefaultAutoScalingConfigurationError]("UpdateDefaultAutoScalingConfiguration")
	UpdateService                           = endpoint[UpdateServiceRequest, UpdateServiceResponse, UpdateServiceError]("UpdateService")
	UpdateVPCIngressConnection              = endpoint[UpdateVPCIngressConnectionRequest, UpdateVPCIngressConnectionResponse, UpdateVPCIngressConnectionError]("UpdateVpcIngressConnection")
)

// The endpoints that App Runner does not have.
var (
	AuthorizeConnection = endpoint[AuthorizeConnectionRequest, AuthorizeConnectionResponse, LookupError]("AuthorizeConnection")
	CancelOperation     = endpoint[CancelOperationRequest, CancelOperationResponse, StateLookupError]("CancelOperation")
	CancelPreparation   = endpoint[CancelPreparationRequest, CancelPreparationResponse, LookupError]("CancelPreparation")
	CreateNetwork       = endpoint[CreateNetworkRequest, CreateNetworkResponse, ListError]("CreateNetwork")
	DeleteNetwork       = endpoint[DeleteNetworkRequest, DeleteNetworkResponse, LookupError]("DeleteNetwork")
	DeleteSecret        = endpoint[DeleteSecretRequest, DeleteSecretResponse, LookupError]("DeleteSecret")
	DescribeListeners   = endpoint[DescribeListenersRequest, DescribeListenersResponse, ListError]("DescribeListeners")
	DescribeOperation   = endpoint[DescribeOperationRequest, DescribeOperationResponse, LookupError]("DescribeOperation")
	DescribePreparation = endpoint[DescribePreparationRequest, DescribePreparationResponse, LookupError]("DescribePreparation")
	DescribeScaling     = endpoint[DescribeScalingRequest, DescribeScalingResponse, LookupError]("DescribeScaling")
	DescribeWebhook     = endpoint[DescribeWebhookRequest, DescribeWebhookResponse, LookupError]("DescribeWebhook")
	ListInstances       = endpoint[ListInstancesRequest, ListInstancesResponse, LookupError]("ListInstances")
	ListNetworks        = endpoint[ListNetworksRequest, ListNetworksResponse, ListError]("ListNetworks")
	ListRevisions       = endpoint[ListRevisionsRequest, ListRevisionsResponse, LookupError]("ListRevisions")
	ListRuntimes        = endpoint[ListRuntimesRequest, ListRuntimesResponse, ListError]("ListRuntimes")
	ListSecrets         = endpoint[ListSecretsRequest, ListSecretsResponse, ListError]("ListSecrets")
	PrepareRuntime      = endpoint[PrepareRuntimeRequest, PrepareRuntimeResponse, StateLookupError]("PrepareRuntime")
	PutSecret           = endpoint[PutSecretRequest, PutSecretResponse, CreateConnectionError]("PutSecret")
	ReadLogs            = endpoint[ReadLogsRequest, ReadLogsResponse, LookupError]("ReadLogs")
	RollbackService     = endpoint[RollbackServiceRequest, RollbackServiceResponse, StateLookupError]("RollbackService")
	RotateWebhook       = endpoint[RotateWebhookRequest, RotateWebhookResponse, LookupError]("RotateWebhook")
	UpdateNetwork       = endpoint[UpdateNetworkRequest, UpdateNetworkResponse, LookupError]("UpdateNetwork")
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
	extension("AuthorizeConnection", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("CancelOperation", CodeInvalidRequest, CodeResourceNotFound, CodeInvalidState, CodeInternalServiceError),
	extension("CancelPreparation", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("CreateNetwork", CodeInvalidRequest, CodeInternalServiceError),
	extension("DeleteNetwork", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("DeleteSecret", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("DescribeListeners", CodeInvalidRequest, CodeInternalServiceError),
	extension("DescribeOperation", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("DescribePreparation", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("DescribeScaling", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("DescribeWebhook", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("ListInstances", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("ListNetworks", CodeInvalidRequest, CodeInternalServiceError),
	extension("ListRevisions", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("ListRuntimes", CodeInvalidRequest, CodeInternalServiceError),
	extension("ListSecrets", CodeInvalidRequest, CodeInternalServiceError),
	extension("PrepareRuntime", CodeInvalidRequest, CodeResourceNotFound, CodeInvalidState, CodeInternalServiceError),
	extension("PutSecret", CodeInvalidRequest, CodeInternalServiceError, CodeServiceQuotaExceeded),
	extension("ReadLogs", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("RollbackService", CodeInvalidRequest, CodeResourceNotFound, CodeInvalidState, CodeInternalServiceError),
	extension("RotateWebhook", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
	extension("UpdateNetwork", CodeInvalidRequest, CodeResourceNotFound, CodeInternalServiceError),
}

func action(name string, errors ...ErrorCode) Action {
	return Action{Target: TargetPrefix + name, Name: name, Errors: errors}
}

func extension(name string, errors ...ErrorCode) Action {
	return Action{Target: ExtensionPrefix + name, Name: name, Errors: errors, IsExtension: true}
}

func endpoint[I, O any, E error](name string) Endpoint[I, O, E] {
	for _, table := range [][]Action{actions, extensions} {
		for _, action := range table {
			if action.Name == name {
				return Endpoint[I, O, E]{action}
			}
		}
	}
	panic("apprunner: no action " + name)
}
