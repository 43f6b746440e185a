package api

import (
	"context"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
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
	resource, err := h.create(ctx, resource, input.Tags, nil, h.checkName(QuotaConnections, resource))
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

// connection returns the connection that a service's source refers to, which must have its credentials.
func (h *Handler) connection(ctx context.Context, arn apprunner.AppRunnerResourceARN) (platform.Resource, error) {
	const member = "SourceConfiguration.AuthenticationConfiguration.ConnectionArn"
	resource, err := h.refer(ctx, member, platform.ResourceConnection, arn)
	if err != nil {
		return platform.Resource{}, err
	}
	if resource.Status != connectionAvailable {
		return platform.Resource{}, invalidRequest("%s: the connection %s is %s and must be %s: `apron connection authorize %s` gives it its credentials.",
			member, resource.Name, resource.Status, connectionAvailable, resource.Name)
	}
	return resource, nil
}

// checkReach refuses a repository that the connection's credentials are not for.
func checkReach(connection platform.Resource, repositoryURL string) error {
	const member = codePath + ".RepositoryUrl"
	host := connection.GitHost()
	if !source.IsAtHost(repositoryURL, host) {
		return invalidRequest("%s must be at %s, the host of the connection %s, by https or ssh: a connection's credentials go to its own host alone. The tag %s names another host when a connection is made.",
			member, host, connection.Name, platform.TagHost)
	}
	credentials := connection.Detail.Connection.Credentials
	if credentials == nil {
		return nil
	}
	isSSH, hasKey := source.IsSSH(repositoryURL), credentials.Kind == platform.CredentialSSHKey
	switch {
	case hasKey && !isSSH:
		return invalidRequest("%s must begin with ssh:// or USER@HOST:, because the connection %s has an SSH key.", member, connection.Name)
	case !hasKey && isSSH:
		return invalidRequest("%s must begin with https://, because the connection %s has no SSH key.", member, connection.Name)
	}
	return nil
}

// keepHost keeps a connection that has credentials from being sent elsewhere by its tags.
func keepHost(before, after platform.Resource) error {
	if before.Kind != platform.ResourceConnection || before.Detail.Connection.Credentials == nil || before.GitHost() == after.GitHost() {
		return nil
	}
	return invalidRequest("The tag %s must stay as it is: the connection %s has credentials for %s. Make another connection for another host.",
		platform.TagHost, before.Name, before.GitHost())
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
