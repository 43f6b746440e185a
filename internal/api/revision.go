package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

func (h *Handler) listRevisions(ctx context.Context, input *apprunner.ListRevisionsRequest) (*apprunner.ListRevisionsResponse, error) {
	service, err := h.liveService(ctx, input.ServiceARN)
	if err != nil {
		return nil, err
	}
	revisions, err := h.Store.ListRevisions(ctx, service.ID)
	if err != nil {
		return nil, err
	}
	output := &apprunner.ListRevisionsResponse{}
	for _, revision := range revisions {
		output.Revisions = append(output.Revisions, wireRevision(revision, service))
	}
	return output, nil
}

func wireRevision(revision platform.Revision, service platform.Service) apprunner.Revision {
	wire := apprunner.Revision{
		ID: wireID(revision.ID), Number: new(apprunner.RevisionNumber(revision.Number)),
		IsActive: new(revision.ID == service.ActiveRevisionID), CreatedAt: &revision.CreatedAt,
		ImageDigest: new(apprunner.String(revision.ImageDigest)), Commit: optional[apprunner.String](revision.Commit),
	}
	if image := revision.Configuration.Source.Image; image != nil {
		wire.ImageIdentifier = new(apprunner.String(image.Identifier))
	}
	return wire
}

// rollbackService starts an update to the image and the configuration of an earlier revision.
func (h *Handler) rollbackService(ctx context.Context, input *apprunner.RollbackServiceRequest) (*apprunner.RollbackServiceResponse, error) {
	service, err := h.liveService(ctx, input.ServiceARN)
	if err != nil {
		return nil, err
	}
	revisions, err := h.Store.ListRevisions(ctx, service.ID)
	if err != nil {
		return nil, err
	}
	chosen, err := chooseRevision(revisions, service.ActiveRevisionID, input.RevisionNumber)
	if err != nil {
		return nil, err
	}
	service, operation, err := h.Operations.RollBack(ctx, service.ID, chosen)
	if err = h.refusedStart(apprunner.RollbackService.Action, input.ServiceARN, platform.OperationUpdateService, err); err != nil {
		return nil, err
	}
	return &apprunner.RollbackServiceResponse{Service: h.wireService(service), OperationID: wireID(operation.ID)}, nil
}

// chooseRevision returns the revision of that number, or the one that was deployed before the active one.
func chooseRevision(revisions []platform.Revision, active platform.RevisionID, number *apprunner.RevisionNumber) (platform.Revision, error) {
	hasSeenActive := false
	var numbers []string
	for _, revision := range revisions { // newest first
		isActive := revision.ID == active
		switch {
		case number != nil && revision.Number == int(*number) && isActive:
			return revision, invalidRequest("RevisionNumber: revision %d is the active one already.", *number)
		case number != nil && revision.Number == int(*number), number == nil && hasSeenActive:
			return revision, nil
		}
		hasSeenActive = hasSeenActive || isActive
		if !isActive {
			numbers = append(numbers, fmt.Sprint(revision.Number))
		}
	}
	if len(numbers) == 0 {
		return platform.Revision{}, invalidRequest("The service has no other revision to go back to.")
	}
	if number == nil {
		return platform.Revision{}, invalidRequest("The service has no revision before the active one; RevisionNumber may be one of %s.", strings.Join(numbers, ", "))
	}
	return platform.Revision{}, invalidRequest("RevisionNumber: revision %d is not kept; there are %s.", *number, strings.Join(numbers, ", "))
}

// cancelOperation asks for an operation's end. What comes of it is seen as for any operation.
func (h *Handler) cancelOperation(ctx context.Context, input *apprunner.CancelOperationRequest) (*apprunner.CancelOperationResponse, error) {
	service, err := h.service(ctx, input.ServiceARN)
	if err != nil {
		return nil, err
	}
	id, err := h.operationToCancel(ctx, service, input.OperationID)
	if err != nil {
		return nil, err
	}
	operation, err := h.Operations.Cancel(ctx, id)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return nil, invalidState(apprunner.CancelOperation.Action, "The operation %s has ended already.", id)
	}
	if err != nil {
		return nil, err
	}
	return &apprunner.CancelOperationResponse{Operation: wireOperation(operation)}, nil
}

func (h *Handler) operationToCancel(ctx context.Context, service platform.Service, wanted *apprunner.UUID) (platform.OperationID, error) {
	if wanted != nil {
		operation, err := h.operation(ctx, service, *wanted)
		return operation.ID, err
	}
	newest, err := h.Store.ListOperations(ctx, service.ID, store.OperationPage{Limit: 1})
	if err != nil {
		return "", err
	}
	if len(newest) == 0 || newest[0].Status.IsTerminal() {
		return "", invalidState(apprunner.CancelOperation.Action, "The service has no operation in progress, so there is nothing to cancel.")
	}
	return newest[0].ID, nil
}
