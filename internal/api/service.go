package api

import (
	"context"
	"errors"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

func (h *Handler) createService(ctx context.Context, input *apprunner.CreateServiceRequest) (*apprunner.CreateServiceResponse, error) {
	tags, badTags := tagsOf("Tags", input.Tags)
	configuration, err := h.newConfiguration(ctx, input, tags)
	if err := asOne(errors.Join(err, badTags)); err != nil {
		return nil, err
	}
	if err := checkServing(tags, configuration.AutoScaling); err != nil {
		return nil, err
	}
	id := platform.NewServiceID()
	now := h.Now().UTC()
	service, operation, err := h.Operations.Create(ctx, platform.Service{
		ID: id, Name: string(*input.ServiceName), ARN: h.serviceARN(string(*input.ServiceName), id),
		Subdomain: platform.NewSubdomain(), CreatedAt: now, UpdatedAt: now,
		Configuration: configuration, Tags: tags,
	}, h.Quotas.check(QuotaServices, "services"))
	var gone *store.GoneError
	if errors.As(err, &gone) {
		return nil, invalidRequest("%s has been deleted.", gone.ARN)
	}
	if errors.Is(err, store.ErrConflict) {
		return nil, invalidRequest("There is already a service with the name %s.", *input.ServiceName)
	}
	if err != nil {
		return nil, err
	}
	return &apprunner.CreateServiceResponse{Service: h.wireService(service), OperationID: wireID(operation.ID)}, nil
}

func (h *Handler) describeService(ctx context.Context, input *apprunner.DescribeServiceRequest) (*apprunner.DescribeServiceResponse, error) {
	service, err := h.service(ctx, input.ServiceARN)
	if err != nil {
		return nil, err
	}
	return &apprunner.DescribeServiceResponse{Service: h.wireService(service)}, nil
}

func (h *Handler) listServices(ctx context.Context, input *apprunner.ListServicesRequest) (*apprunner.ListServicesResponse, error) {
	after, err := h.pages.place(apprunner.ListServices.Action, "", input.NextToken)
	if err != nil {
		return nil, err
	}
	size, limit := limitOf(input.MaxResults)
	query := store.ServicePage{Limit: limit}
	if after != nil {
		query.After = &store.ServiceCursor{CreatedAt: after.time(), ID: platform.ServiceID(after.ID)}
	}
	services, err := h.Store.ListServices(ctx, query)
	if err != nil {
		return nil, err
	}
	services, isMore := page(services, size)
	output := &apprunner.ListServicesResponse{}
	for _, service := range services {
		output.ServiceSummaryList = append(output.ServiceSummaryList, h.wireSummary(service))
	}
	if isMore {
		last := services[len(services)-1]
		output.NextToken = h.pages.token(apprunner.ListServices.Action, "", placeOf(last.CreatedAt, string(last.ID)))
	}
	return output, nil
}

func (h *Handler) updateService(ctx context.Context, input *apprunner.UpdateServiceRequest) (*apprunner.UpdateServiceResponse, error) {
	service, operation, err := h.start(ctx, apprunner.UpdateService.Action, input.ServiceARN, platform.OperationUpdateService,
		func(service *platform.Service) error { return h.updateConfiguration(ctx, service, input) })
	if err != nil {
		return nil, err
	}
	return &apprunner.UpdateServiceResponse{Service: h.wireService(service), OperationID: wireID(operation.ID)}, nil
}

func (h *Handler) deleteService(ctx context.Context, input *apprunner.DeleteServiceRequest) (*apprunner.DeleteServiceResponse, error) {
	service, operation, err := h.start(ctx, apprunner.DeleteService.Action, input.ServiceARN, platform.OperationDeleteService,
		func(service *platform.Service) error {
			return h.refuseIngress(ctx, apprunner.DeleteService.Action, service.ID, "deleted")
		})
	if err != nil {
		return nil, err
	}
	return &apprunner.DeleteServiceResponse{Service: h.wireService(service), OperationID: wireID(operation.ID)}, nil
}

func (h *Handler) pauseService(ctx context.Context, input *apprunner.PauseServiceRequest) (*apprunner.PauseServiceResponse, error) {
	service, operation, err := h.settle(ctx, apprunner.PauseService.Action, input.ServiceARN,
		platform.OperationPauseService, platform.ServiceStatusPaused)
	if err != nil {
		return nil, err
	}
	return &apprunner.PauseServiceResponse{Service: h.wireService(service), OperationID: operation}, nil
}

func (h *Handler) resumeService(ctx context.Context, input *apprunner.ResumeServiceRequest) (*apprunner.ResumeServiceResponse, error) {
	service, operation, err := h.settle(ctx, apprunner.ResumeService.Action, input.ServiceARN,
		platform.OperationResumeService, platform.ServiceStatusRunning)
	if err != nil {
		return nil, err
	}
	return &apprunner.ResumeServiceResponse{Service: h.wireService(service), OperationID: operation}, nil
}

// settle starts an operation that leads to a status. A service that has the status already is answered as it is,
// without an operation.
func (h *Handler) settle(ctx context.Context, action apprunner.Action, arn *apprunner.AppRunnerResourceARN,
	kind platform.OperationType, wanted platform.ServiceStatus) (platform.Service, *apprunner.UUID, error) {
	service, err := h.liveService(ctx, arn)
	if err != nil || service.Status == wanted {
		return service, nil, err
	}
	service, operation, err := h.start(ctx, action, arn, kind, nil)
	if err != nil {
		return platform.Service{}, nil, err
	}
	return service, wireID(operation.ID), nil
}

// start records an operation on the service that arn names, and chooses the code when that is refused.
func (h *Handler) start(ctx context.Context, action apprunner.Action, arn *apprunner.AppRunnerResourceARN,
	kind platform.OperationType, change func(*platform.Service) error) (platform.Service, platform.Operation, error) {
	service, err := h.liveService(ctx, arn)
	if err != nil {
		return platform.Service{}, platform.Operation{}, err
	}
	service, operation, err := h.Operations.Start(ctx, service.ID, kind, change)
	return service, operation, h.refusedStart(action, arn, kind, err)
}

// refusedStart chooses the code of an operation that could not be started; nil for nil.
func (h *Handler) refusedStart(action apprunner.Action, arn *apprunner.AppRunnerResourceARN, kind platform.OperationType, err error) error {
	var status *store.StatusError
	var gone *store.GoneError
	switch {
	case errors.As(err, &gone):
		return invalidRequest("%s has been deleted.", gone.ARN)
	case errors.As(err, &status) && status.Status == platform.ServiceStatusDeleted:
		return notFoundService(*arn) // deleted a moment ago
	case errors.As(err, &status):
		return invalidState(action, "Service cannot be %s in the current state: %s.", participles[kind], status.Status)
	case errors.Is(err, store.ErrNotFound):
		return notFoundService(*arn)
	}
	return err
}

// participles complete "Service cannot be".
var participles = map[platform.OperationType]string{
	platform.OperationUpdateService:   "updated",
	platform.OperationStartDeployment: "deployed",
	platform.OperationPauseService:    "paused",
	platform.OperationResumeService:   "resumed",
	platform.OperationDeleteService:   "deleted",
}
