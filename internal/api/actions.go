package api

import "github.com/apron-run/apron/apprunner"

// register names what answers each action.
func (h *Handler) register() registry {
	entries := registry{}
	handle(entries, apprunner.AssociateCustomDomain, h.associateCustomDomain)
	handle(entries, apprunner.CreateAutoScalingConfiguration, h.createAutoScalingConfiguration)
	handle(entries, apprunner.CreateConnection, h.createConnection)
	handle(entries, apprunner.CreateObservabilityConfiguration, h.createObservabilityConfiguration)
	handle(entries, apprunner.CreateService, h.createService)
	handle(entries, apprunner.CreateVPCConnector, h.createVPCConnector)
	handle(entries, apprunner.CreateVPCIngressConnection, h.createVPCIngressConnection)
	handle(entries, apprunner.DeleteAutoScalingConfiguration, h.deleteAutoScalingConfiguration)
	handle(entries, apprunner.DeleteConnection, h.deleteConnection)
	handle(entries, apprunner.DeleteObservabilityConfiguration, h.deleteObservabilityConfiguration)
	handle(entries, apprunner.DeleteService, h.deleteService)
	handle(entries, apprunner.DeleteVPCConnector, h.deleteVPCConnector)
	handle(entries, apprunner.DeleteVPCIngressConnection, h.deleteVPCIngressConnection)
	handle(entries, apprunner.DescribeAutoScalingConfiguration, h.describeAutoScalingConfiguration)
	handle(entries, apprunner.DescribeCustomDomains, h.describeCustomDomains)
	handle(entries, apprunner.DescribeObservabilityConfiguration, h.describeObservabilityConfiguration)
	handle(entries, apprunner.DescribeService, h.describeService)
	handle(entries, apprunner.DescribeVPCConnector, h.describeVPCConnector)
	handle(entries, apprunner.DescribeVPCIngressConnection, h.describeVPCIngressConnection)
	handle(entries, apprunner.DisassociateCustomDomain, h.disassociateCustomDomain)
	handle(entries, apprunner.ListAutoScalingConfigurations, h.listAutoScalingConfigurations)
	handle(entries, apprunner.ListConnections, h.listConnections)
	handle(entries, apprunner.ListObservabilityConfigurations, h.listObservabilityConfigurations)
	handle(entries, apprunner.ListOperations, h.listOperations)
	handle(entries, apprunner.ListServices, h.listServices)
	handle(entries, apprunner.ListServicesForAutoScalingConfiguration, h.listServicesForAutoScalingConfiguration)
	handle(entries, apprunner.ListTagsForResource, h.listTagsForResource)
	handle(entries, apprunner.ListVPCConnectors, h.listVPCConnectors)
	handle(entries, apprunner.ListVPCIngressConnections, h.listVPCIngressConnections)
	handle(entries, apprunner.PauseService, h.pauseService)
	handle(entries, apprunner.ResumeService, h.resumeService)
	handle(entries, apprunner.StartDeployment, h.startDeployment)
	handle(entries, apprunner.TagResource, h.tagResource)
	handle(entries, apprunner.UntagResource, h.untagResource)
	handle(entries, apprunner.UpdateDefaultAutoScalingConfiguration, h.updateDefaultAutoScalingConfiguration)
	handle(entries, apprunner.UpdateService, h.updateService)
	handle(entries, apprunner.UpdateVPCIngressConnection, h.updateVPCIngressConnection)

	handle(entries, apprunner.AuthorizeConnection, h.authorizeConnection)
	handle(entries, apprunner.DescribeOperation, h.describeOperation)
	handle(entries, apprunner.ListInstances, h.listInstances)
	handle(entries, apprunner.ReadLogs, h.readLogs)
	return entries
}
