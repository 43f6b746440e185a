package apprunner

import "reflect"

// endpointUnderTest is an Endpoint of any types.
type endpointUnderTest interface {
	action() Action
	errorOf(code ErrorCode) Exception
	input() reflect.Type
	output() reflect.Type
}

func (e Endpoint[I, O, E]) action() Action       { return e.Action }
func (e Endpoint[I, O, E]) input() reflect.Type  { return of[I]() }
func (e Endpoint[I, O, E]) output() reflect.Type { return of[O]() }
func (e Endpoint[I, O, E]) errorOf(code ErrorCode) Exception {
	return any(e.makeError(code, 400, "why", nil)).(Exception)
}

// endpoints are all there are.
var endpoints = []endpointUnderTest{
	AssociateCustomDomain, CreateAutoScalingConfiguration, CreateConnection, CreateObservabilityConfiguration,
	CreateService, CreateVPCConnector, CreateVPCIngressConnection, DeleteAutoScalingConfiguration, DeleteConnection,
	DeleteObservabilityConfiguration, DeleteService, DeleteVPCConnector, DeleteVPCIngressConnection,
	DescribeAutoScalingConfiguration, DescribeCustomDomains, DescribeObservabilityConfiguration, DescribeService,
	DescribeVPCConnector, DescribeVPCIngressConnection, DisassociateCustomDomain, ListAutoScalingConfigurations,
	ListConnections, ListObservabilityConfigurations, ListOperations, ListServices,
	ListServicesForAutoScalingConfiguration, ListTagsForResource, ListVPCConnectors, ListVPCIngressConnections,
	PauseService, ResumeService, StartDeployment, TagResource, UntagResource, UpdateDefaultAutoScalingConfiguration,
	UpdateService, UpdateVPCIngressConnection,

	AuthorizeConnection, CancelOperation, CancelPreparation, CreateNetwork, DeleteNetwork, DeleteSecret,
	DescribeListeners, DescribeOperation, DescribePreparation, DescribeScaling, DescribeWebhook, ListInstances, ListNetworks, ListRevisions, ListRuntimes,
	ListSecrets, PrepareRuntime, PutSecret, ReadLogs, RollbackService, RotateWebhook, UpdateNetwork,
}
