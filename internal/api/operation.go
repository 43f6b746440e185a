package api

import (
	"context"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

func (h *Handler) startDeployment(ctx context.Context, input *apprunner.StartDeploymentRequest) (*apprunner.StartDeploymentResponse, error) {
	_, operation, err := h.start(ctx, apprunner.StartDeployment.Action, input.ServiceARN, platform.OperationStartDeployment, nil)
	if err != nil {
		return nil, err
	}
	return &apprunner.StartDeploymentResponse{OperationID: wireID(operation.ID)}, nil
}

func (h *Handler) listOperations(ctx context.Context, input *apprunner.ListOperationsRequest) (*apprunner.ListOperationsResponse, error) {
	service, err := h.service(ctx, input.ServiceARN)
	if err != nil {
		return nil, err
	}
	action := apprunner.ListOperations.Action
	after, err := h.pages.place(action, service.ARN, input.NextToken)
	if err != nil {
		return nil, err
	}
	size, limit := limitOf(input.MaxResults)
	query := store.OperationPage{Limit: limit}
	if after != nil {
		query.After = &store.OperationCursor{StartedAt: after.time(), ID: platform.OperationID(after.ID)}
	}
	operations, err := h.Store.ListOperations(ctx, service.ID, query)
	if err != nil {
		return nil, err
	}
	operations, isMore := page(operations, size)
	output := &apprunner.ListOperationsResponse{OperationSummaryList: []apprunner.OperationSummary{}}
	for _, operation := range operations {
		output.OperationSummaryList = append(output.OperationSummaryList, wireOperationSummary(operation))
	}
	if isMore {
		last := operations[len(operations)-1]
		output.NextToken = h.pages.token(action, service.ARN, placeOf(last.StartedAt, string(last.ID)))
	}
	return output, nil
}

func wireOperationSummary(operation platform.Operation) apprunner.OperationSummary {
	return apprunner.OperationSummary{
		ID:        wireID(operation.ID),
		Type:      new(apprunner.OperationType(operation.Type)),
		Status:    new(apprunner.OperationStatus(operation.Status)),
		TargetARN: new(apprunner.AppRunnerResourceARN(operation.ServiceARN)),
		StartedAt: &operation.StartedAt,
		EndedAt:   operation.EndedAt,
		UpdatedAt: &operation.UpdatedAt,
	}
}
