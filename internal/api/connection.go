package api

import (
	"context"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

const (
	connectionPending   = string(apprunner.ConnectionStatusPendingHandshake)
	connectionAvailable = string(apprunner.ConnectionStatusAvailable)
	connectionDeleted   = string(apprunner.ConnectionStatusDeleted)
)

func (h *Handler) createConnection(ctx context.Context, input *apprunner.CreateConnectionRequest) (*apprunner.CreateConnectionResponse, error) {
	resource := platform.Resource{
		Kind: platform.ResourceConnection, Name: string(*input.ConnectionName), Status: connectionPending,
		Detail: platform.ResourceDetail{Connection: &platform.ConnectionDetail{Provider: string(*input.ProviderType)}},
	}
	resource, err := h.create(ctx, resource, input.Tags, h.checkName(QuotaConnections, resource))
	if err != nil {
		return nil, err
	}
	return &apprunner.CreateConnectionResponse{Connection: wireConnection(resource)}, nil
}

func (h *Handler) listConnections(ctx context.Context, input *apprunner.ListConnectionsRequest) (*apprunner.ListConnectionsResponse, error) {
	query := store.ResourceQuery{Kind: platform.ResourceConnection}
	set(&query.Name, input.ConnectionName)
	resources, next, err := h.list(ctx, apprunner.ListConnections.Action, query, query.Name, input.NextToken, input.MaxResults, nil)
	if err != nil {
		return nil, err
	}
	output := &apprunner.ListConnectionsResponse{NextToken: next}
	for _, resource := range resources {
		output.ConnectionSummaryList = append(output.ConnectionSummaryList, apprunner.ConnectionSummary(*wireConnection(resource)))
	}
	return output, nil
}

// deleteConnection forgets the credentials with the connection.
func (h *Handler) deleteConnection(ctx context.Context, input *apprunner.DeleteConnectionRequest) (*apprunner.DeleteConnectionResponse, error) {
	resource, err := h.find(ctx, apprunner.DeleteConnection.Action, platform.ResourceConnection, input.ConnectionARN)
	if err != nil {
		return nil, err
	}
	if resource.DeletedAt != nil {
		return nil, notFound("There is no connection %s: it was deleted.", resource.ARN)
	}
	resource, err = h.remove(ctx, store.ResourceQuery{Kind: resource.Kind, ID: resource.ID}, connectionDeleted, func(resource platform.Resource) error {
		if err := refuseUsed(resource); err != nil {
			return err
		}
		resource.Detail.Connection.Credentials = nil
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &apprunner.DeleteConnectionResponse{Connection: wireConnection(resource)}, nil
}

// connection returns the ARN of the connection that a service's source refers to, which must have its credentials.
func (h *Handler) connection(ctx context.Context, arn apprunner.AppRunnerResourceARN) (string, error) {
	const member = "SourceConfiguration.AuthenticationConfiguration.ConnectionArn"
	resource, err := h.refer(ctx, member, platform.ResourceConnection, arn)
	if err != nil {
		return "", err
	}
	if resource.Status != connectionAvailable {
		return "", invalidRequest("%s: the connection %s is %s and must be %s: `apron connection authorize %s` gives it its credentials.",
			member, resource.Name, resource.Status, connectionAvailable, resource.Name)
	}
	return resource.ARN, nil
}

func wireConnection(resource platform.Resource) *apprunner.Connection {
	return &apprunner.Connection{
		ConnectionName: new(apprunner.ConnectionName(resource.Name)),
		ConnectionARN:  wireARN(resource.ARN),
		ProviderType:   new(apprunner.ProviderType(resource.Detail.Connection.Provider)),
		Status:         new(apprunner.ConnectionStatus(resource.Status)),
		CreatedAt:      &resource.CreatedAt,
	}
}
