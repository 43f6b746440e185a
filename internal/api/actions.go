package api

import "github.com/apron-run/apron/apprunner"

// register names what answers each action. An action of the model that is not here is answered as not implemented.
func (h *Handler) register() registry {
	entries := newRegistry()
	handle(entries, apprunner.CreateService, h.createService)
	handle(entries, apprunner.DeleteService, h.deleteService)
	handle(entries, apprunner.DescribeService, h.describeService)
	handle(entries, apprunner.ListOperations, h.listOperations)
	handle(entries, apprunner.ListServices, h.listServices)
	handle(entries, apprunner.ListTagsForResource, h.listTagsForResource)
	handle(entries, apprunner.PauseService, h.pauseService)
	handle(entries, apprunner.ResumeService, h.resumeService)
	handle(entries, apprunner.StartDeployment, h.startDeployment)
	handle(entries, apprunner.TagResource, h.tagResource)
	handle(entries, apprunner.UntagResource, h.untagResource)
	handle(entries, apprunner.UpdateService, h.updateService)

	handle(entries, apprunner.DescribeOperation, h.describeOperation)
	handle(entries, apprunner.ListInstances, h.listInstances)
	handle(entries, apprunner.ReadLogs, h.readLogs)
	return entries
}
