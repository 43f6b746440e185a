package apprunner

// The errors of an action are a sum: the exceptions that it declares, and *UnknownOperationError. Actions that declare
// the same exceptions share one. A sum is an interface that only its members implement, so that a switch over their types
// can be complete; errors.As takes any of them.

// StateError is the error of an action that a state may forbid: *InternalServiceErrorException, *InvalidRequestException, *InvalidStateException or *UnknownOperationError.
type StateError interface {
	Exception
	isStateError()
}

// CreationError is the error of an action that makes a resource: *InternalServiceErrorException, *InvalidRequestException, *ServiceQuotaExceededException or *UnknownOperationError.
type CreationError interface {
	Exception
	isCreationError()
}

// StateCreationError is the error of an action that makes a resource of a service: *InternalServiceErrorException, *InvalidRequestException, *InvalidStateException, *ServiceQuotaExceededException or *UnknownOperationError.
type StateCreationError interface {
	Exception
	isStateCreationError()
}

// LookupError is the error of an action on a resource: *InternalServiceErrorException, *InvalidRequestException, *ResourceNotFoundException or *UnknownOperationError.
type LookupError interface {
	Exception
	isLookupError()
}

// StateLookupError is the error of an action on a resource that its state may forbid: *InternalServiceErrorException, *InvalidRequestException, *InvalidStateException, *ResourceNotFoundException or *UnknownOperationError.
type StateLookupError interface {
	Exception
	isStateLookupError()
}

// ListError is the error of an action that names no resource: *InternalServiceErrorException, *InvalidRequestException or *UnknownOperationError.
type ListError interface {
	Exception
	isListError()
}

func (*InternalServiceErrorException) isStateError()         {}
func (*InternalServiceErrorException) isCreationError()      {}
func (*InternalServiceErrorException) isStateCreationError() {}
func (*InternalServiceErrorException) isLookupError()        {}
func (*InternalServiceErrorException) isStateLookupError()   {}
func (*InternalServiceErrorException) isListError()          {}

func (*InvalidRequestException) isStateError()         {}
func (*InvalidRequestException) isCreationError()      {}
func (*InvalidRequestException) isStateCreationError() {}
func (*InvalidRequestException) isLookupError()        {}
func (*InvalidRequestException) isStateLookupError()   {}
func (*InvalidRequestException) isListError()          {}

func (*InvalidStateException) isStateError()         {}
func (*InvalidStateException) isStateCreationError() {}
func (*InvalidStateException) isStateLookupError()   {}

func (*ResourceNotFoundException) isLookupError()      {}
func (*ResourceNotFoundException) isStateLookupError() {}

func (*ServiceQuotaExceededException) isCreationError()      {}
func (*ServiceQuotaExceededException) isStateCreationError() {}

func (*UnknownOperationError) isStateError()         {}
func (*UnknownOperationError) isCreationError()      {}
func (*UnknownOperationError) isStateCreationError() {}
func (*UnknownOperationError) isLookupError()        {}
func (*UnknownOperationError) isStateLookupError()   {}
func (*UnknownOperationError) isListError()          {}

// What each action may answer instead of its output.
type (
	AssociateCustomDomainError                   = StateError
	CreateAutoScalingConfigurationError          = CreationError
	CreateConnectionError                        = CreationError
	CreateObservabilityConfigurationError        = CreationError
	CreateServiceError                           = CreationError
	CreateVPCConnectorError                      = CreationError
	CreateVPCIngressConnectionError              = StateCreationError
	DeleteAutoScalingConfigurationError          = LookupError
	DeleteConnectionError                        = LookupError
	DeleteObservabilityConfigurationError        = LookupError
	DeleteServiceError                           = StateLookupError
	DeleteVPCConnectorError                      = LookupError
	DeleteVPCIngressConnectionError              = StateLookupError
	DescribeAutoScalingConfigurationError        = LookupError
	DescribeCustomDomainsError                   = LookupError
	DescribeObservabilityConfigurationError      = LookupError
	DescribeServiceError                         = LookupError
	DescribeVPCConnectorError                    = LookupError
	DescribeVPCIngressConnectionError            = LookupError
	DisassociateCustomDomainError                = StateLookupError
	ListAutoScalingConfigurationsError           = ListError
	ListConnectionsError                         = ListError
	ListObservabilityConfigurationsError         = ListError
	ListOperationsError                          = LookupError
	ListServicesError                            = ListError
	ListServicesForAutoScalingConfigurationError = LookupError
	ListTagsForResourceError                     = StateLookupError
	ListVPCConnectorsError                       = ListError
	ListVPCIngressConnectionsError               = ListError
	PauseServiceError                            = StateLookupError
	ResumeServiceError                           = StateLookupError
	StartDeploymentError                         = LookupError
	TagResourceError                             = StateLookupError
	UntagResourceError                           = StateLookupError
	UpdateDefaultAutoScalingConfigurationError   = LookupError
	UpdateServiceError                           = StateLookupError
	UpdateVPCIngressConnectionError              = StateLookupError
)
