package api

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// authorizeTimeout bounds how long a host may take to let its repository be read. Clients wait a little longer.
const authorizeTimeout = 20 * time.Second

// authorizeConnection gives a connection its credentials, once a repository was read with them. A connection that has
// some gets others; when the repository cannot be read, it stays as it was. The credentials are in no answer and no log.
func (h *Handler) authorizeConnection(ctx context.Context, input *apprunner.AuthorizeConnectionRequest) (*apprunner.AuthorizeConnectionResponse, error) {
	connection, err := h.connectionToAuthorize(ctx, input)
	if err != nil {
		return nil, err
	}
	credentials, err := credentialsOf(input)
	if err != nil {
		return nil, err
	}
	services, err := h.Store.ListServices(ctx, store.ServicePage{UsesARN: connection.ARN})
	if err != nil {
		return nil, err
	}
	if err := refuseUnfit(connection, credentials.Kind(), services); err != nil {
		return nil, err
	}
	repository, err := repositoryToTry(connection, services, input.RepositoryURL)
	if err != nil {
		return nil, err
	}
	trying, cancel := context.WithTimeout(ctx, authorizeTimeout)
	defer cancel()
	sealed, err := h.Connections.Authorize(trying, connection, credentials, repository)
	explained := platform.AsExplained(err)
	switch {
	case explained != nil:
		return nil, invalidRequest("The connection %s was not authorized: %s.", connection.Name, cut(explained.Error(), 500))
	case err != nil && ctx.Err() == nil && errors.Is(trying.Err(), context.DeadlineExceeded):
		return nil, invalidRequest("The connection %s was not authorized: %s did not answer within %s.", connection.Name, connection.GitHost(), authorizeTimeout)
	case err != nil:
		return nil, err
	}
	if connection, err = h.saveCredentials(ctx, connection, sealed); err != nil {
		return nil, err
	}
	return &apprunner.AuthorizeConnectionResponse{
		Connection: wireConnection(connection), RepositoryURL: new(apprunner.String(withoutPassword(repository))),
	}, nil
}

func (h *Handler) connectionToAuthorize(ctx context.Context, input *apprunner.AuthorizeConnectionRequest) (platform.Resource, error) {
	switch {
	case (input.ConnectionName == nil) == (input.ConnectionARN == nil):
		return platform.Resource{}, invalidRequest("One of ConnectionName and ConnectionArn is required, and not both.")
	case input.ConnectionARN != nil:
		connection, err := h.find(ctx, apprunner.AuthorizeConnection.Action, platform.ResourceConnection, input.ConnectionARN)
		if err == nil && connection.DeletedAt != nil {
			err = notFound("There is no connection %s: it was deleted.", connection.ARN)
		}
		return connection, err
	}
	found, err := h.Store.ListResources(ctx, store.ResourceQuery{Kind: platform.ResourceConnection, Name: string(*input.ConnectionName)})
	if err != nil {
		return platform.Resource{}, err
	}
	if len(found) == 0 {
		return platform.Resource{}, notFound("There is no connection with the name %s.", *input.ConnectionName)
	}
	return found[0], nil
}

// credentialsOf reads the one kind of credentials that is given.
func credentialsOf(input *apprunner.AuthorizeConnectionRequest) (credentials platform.GitCredentials, err error) {
	kinds := 0
	if input.Token != nil {
		kinds++
		credentials.Token = string(*input.Token)
		set(&credentials.User, input.UserName)
	}
	if input.SSHPrivateKey != nil {
		kinds++
		credentials.SSHKey = string(*input.SSHPrivateKey)
	}
	if app := input.App; app != nil {
		kinds++
		credentials.App = &platform.GitApp{ID: string(*app.ID), Installation: string(*app.InstallationID), Key: string(*app.PrivateKey)}
	}
	switch {
	case kinds != 1:
		return credentials, invalidRequest("One of Token, SshPrivateKey and App is required, and only one.")
	case input.UserName != nil && input.Token == nil:
		return credentials, invalidRequest("UserName may be given only with Token.")
	}
	return credentials, nil
}

// refuseUnfit refuses credentials of another kind than the services that use the connection can be read with: an SSH key
// where they have URLs of https, and the other way round.
func refuseUnfit(connection platform.Resource, kind platform.CredentialKind, services []platform.Service) error {
	connection.Detail.Connection = &platform.ConnectionDetail{
		Provider: connection.Detail.Connection.Provider, Credentials: &platform.SealedCredentials{Kind: kind},
	}
	for _, service := range services {
		code := service.Configuration.Source.Code
		var refused *Error
		if code != nil && errors.As(checkReach(connection, code.RepositoryURL), &refused) {
			return invalidRequest("The connection %s was not authorized, because of the service %s, which uses it: %s Make another connection for other credentials.",
				connection.Name, service.Name, refused.Message)
		}
	}
	return nil
}

// repositoryToTry is the one that was named, or that of a service which uses the connection.
func repositoryToTry(connection platform.Resource, services []platform.Service, named *apprunner.String) (string, error) {
	if named != nil {
		repository := string(*named)
		return repository, checkRepositoryURL("RepositoryUrl", repository)
	}
	if len(services) == 0 || services[0].Configuration.Source.Code == nil {
		return "", invalidRequest("RepositoryUrl is required, because no service uses the connection %s yet: name a private repository at %s to try the credentials with (apron connection authorize %s --repository URL).",
			connection.Name, connection.GitHost(), connection.Name)
	}
	return services[0].Configuration.Source.Code.RepositoryURL, nil
}

// saveCredentials makes the connection AVAILABLE, unless it was changed while the credentials were tried.
func (h *Handler) saveCredentials(ctx context.Context, tried platform.Resource, sealed *platform.SealedCredentials) (saved platform.Resource, err error) {
	err = h.Store.EditResources(ctx, store.ResourceQuery{Kind: tried.Kind, ID: tried.ID}, func(found []platform.Resource) error {
		if len(found) == 0 {
			return notFound("There is no connection %s: it was deleted.", tried.ARN)
		}
		connection := &found[0]
		if connection.GitHost() != tried.GitHost() {
			return invalidRequest("The connection %s was not authorized: its tag %s was changed meanwhile.", tried.Name, platform.TagHost)
		}
		connection.Status = connectionAvailable
		connection.Detail.Connection = &platform.ConnectionDetail{Provider: connection.Detail.Connection.Provider, Credentials: sealed}
		saved = connection.Clone()
		return nil
	})
	return saved, err
}

// withoutPassword is a repository's URL without the password that it may carry. Over http the user alone may be a token.
func withoutPassword(repository string) string {
	parsed, err := url.Parse(repository)
	if err != nil || parsed.User == nil {
		return repository
	}
	user := parsed.User.Username()
	if parsed.User = nil; parsed.Scheme == "ssh" {
		parsed.User = url.User(user)
	}
	return parsed.String()
}
