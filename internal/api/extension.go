package api

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/telemetry"
)

func (h *Handler) describeOperation(ctx context.Context, input *apprunner.DescribeOperationRequest) (*apprunner.DescribeOperationResponse, error) {
	operation, service, err := h.operationOf(ctx, input)
	if err != nil {
		return nil, err
	}
	return &apprunner.DescribeOperationResponse{
		Operation: wireOperation(operation), WaitingTrigger: optional[apprunner.String](string(service.WaitingTrigger)),
	}, nil
}

// operationOf finds an operation by its service and its id, or by its id alone.
func (h *Handler) operationOf(ctx context.Context, input *apprunner.DescribeOperationRequest) (operation platform.Operation, service platform.Service, err error) {
	if input.ServiceARN != nil {
		if service, err = h.service(ctx, input.ServiceARN); err != nil {
			return operation, service, err
		}
		operation, err = h.operation(ctx, service, *input.OperationID)
		return operation, service, err
	}
	if operation, err = h.Store.OperationByID(ctx, platform.OperationID(*input.OperationID)); err == nil {
		service, err = h.Store.ServiceByID(ctx, operation.ServiceID)
	}
	if errors.Is(err, store.ErrNotFound) {
		err = notFound("There is no operation %s.", *input.OperationID)
	}
	return operation, service, err
}

// operation returns an operation of the service.
func (h *Handler) operation(ctx context.Context, service platform.Service, id apprunner.UUID) (platform.Operation, error) {
	operation, err := h.Store.OperationByID(ctx, platform.OperationID(id))
	if errors.Is(err, store.ErrNotFound) || err == nil && operation.ServiceID != service.ID {
		return operation, notFound("The service has no operation %s.", id)
	}
	return operation, err
}

func wireOperation(operation platform.Operation) *apprunner.Operation {
	wire := &apprunner.Operation{
		ID:             wireID(operation.ID),
		Type:           new(apprunner.OperationType(operation.Type)),
		Status:         new(apprunner.OperationStatus(operation.Status)),
		TargetARN:      new(apprunner.AppRunnerResourceARN(operation.ServiceARN)),
		StartedAt:      &operation.StartedAt,
		EndedAt:        operation.EndedAt,
		UpdatedAt:      &operation.UpdatedAt,
		Commit:         optional[apprunner.String](operation.Progress.Commit),
		ImageReference: optional[apprunner.String](operation.Progress.ImageReference),
		Trigger:        optional[apprunner.String](string(operation.Trigger)),
	}
	for _, step := range operation.Steps {
		wire.Steps = append(wire.Steps, apprunner.Step{
			Name:      new(apprunner.String(step.Name)),
			State:     new(apprunner.String(step.State)),
			StartedAt: new(step.StartedAt),
			EndedAt:   step.EndedAt,
			Detail:    optional[apprunner.String](step.Detail),
		})
	}
	if failure := operation.Failure; failure != nil {
		wire.Failure = &apprunner.Failure{
			Step:   new(apprunner.String(failure.Step)),
			Cause:  new(apprunner.String(failure.Cause)),
			Remedy: optional[apprunner.String](failure.Remedy),
		}
		for _, line := range failure.Observed {
			wire.Failure.Observed = append(wire.Failure.Observed, apprunner.String(line))
		}
		for _, line := range failure.Evidence {
			wire.Failure.Evidence = append(wire.Failure.Evidence, apprunner.String(line))
		}
	}
	return wire
}

func (h *Handler) readLogs(ctx context.Context, input *apprunner.ReadLogsRequest) (*apprunner.ReadLogsResponse, error) {
	service, err := h.service(ctx, input.ServiceARN)
	if err != nil {
		return nil, err
	}
	token, limit := "", 0
	set(&token, input.NextToken)
	setInt(&limit, input.Limit)
	lines, next, err := h.Logs.Read(ctx, service.ID, string(*input.Stream), token, limit)
	switch {
	case errors.Is(err, telemetry.ErrInvalidToken):
		return nil, invalidRequest("NextToken is not a token that %s gave.", apprunner.ReadLogs.Name)
	case errors.Is(err, telemetry.ErrInvalidStream):
		return nil, invalidRequest("Stream names no log.")
	case err != nil:
		return nil, err
	}
	output := &apprunner.ReadLogsResponse{NextToken: new(apprunner.String(next))}
	for _, line := range lines {
		wire := apprunner.LogLine{
			Stream: optional[apprunner.String](line.Stream), Message: new(apprunner.String(line.Message)),
		}
		if !line.Time.IsZero() {
			wire.Timestamp = new(line.Time)
		}
		output.Lines = append(output.Lines, wire)
	}
	return output, nil
}

func (h *Handler) listInstances(ctx context.Context, input *apprunner.ListInstancesRequest) (*apprunner.ListInstancesResponse, error) {
	service, err := h.service(ctx, input.ServiceARN)
	if err != nil {
		return nil, err
	}
	instances, err := h.Instances.List(ctx, service.ID)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(instances, func(a, b platform.Instance) int {
		if order := a.StartedAt.Compare(b.StartedAt); order != 0 {
			return order
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	frozen := h.Scales.Of(service).Load.Frozen // which the backend does not hear of
	output := &apprunner.ListInstancesResponse{}
	for _, instance := range instances {
		if instance.State == platform.InstanceStateRunning && slices.Contains(frozen, instance.ID) {
			instance.State = platform.InstanceStateFrozen
		}
		output.Instances = append(output.Instances, wireInstance(instance))
	}
	return output, nil
}

func wireInstance(instance platform.Instance) apprunner.Instance {
	wire := apprunner.Instance{
		ID:         wireID(instance.ID),
		RevisionID: wireID(instance.RevisionID),
		State:      new(apprunner.String(instance.State)),
		Address:    optional[apprunner.String](instance.Address),
	}
	if !instance.StartedAt.IsZero() {
		wire.StartedAt = new(instance.StartedAt)
	}
	if exit := instance.Exit; exit != nil {
		wire.Exit = &apprunner.InstanceExit{
			Code: new(apprunner.Integer(exit.Code)), At: new(exit.At),
			IsOutOfMemory: new(exit.IsOutOfMemory), IsOverStorage: new(exit.IsOverStorage),
		}
	}
	return wire
}
