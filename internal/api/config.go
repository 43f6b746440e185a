package api

import (
	"context"
	"log/slog"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/telemetry"
)

// Store is what the API reads by itself, and what it writes: tags, resources and custom domains. Services are written
// by Operations. Implemented by store.Store.
type Store interface {
	ServiceByID(ctx context.Context, id platform.ServiceID) (platform.Service, error)
	ListServices(ctx context.Context, page store.ServicePage) ([]platform.Service, error)
	UpdateTags(ctx context.Context, id platform.ServiceID, edit func(tags map[string]string) error) error
	OperationByID(ctx context.Context, id platform.OperationID) (platform.Operation, error)
	ListOperations(ctx context.Context, service platform.ServiceID, page store.OperationPage) ([]platform.Operation, error)
	ListRevisions(ctx context.Context, service platform.ServiceID) ([]platform.Revision, error)
	RevisionByID(ctx context.Context, id platform.RevisionID) (platform.Revision, error)
	store.Resources
	store.Domains
}

// Operations accepts asynchronous work. Implemented by operation.Starter.
type Operations interface {
	// Create records a new service with its CREATE_SERVICE operation. check, when not nil, is told in the same transaction
	// how many services there are, and its error comes back unchanged. store.ErrConflict when the name is taken, a
	// *store.GoneError when the service refers to a resource that was deleted.
	Create(ctx context.Context, service platform.Service, check func(services int) error) (platform.Service, platform.Operation, error)
	// Start records an operation on an existing service. change, when not nil, edits the service in the same
	// transaction, and its error comes back unchanged. store.ErrNotFound without such a service; a *store.StatusError
	// when its status does not allow the operation.
	Start(ctx context.Context, id platform.ServiceID, kind platform.OperationType,
		change func(*platform.Service) error) (platform.Service, platform.Operation, error)
	// RollBack is Start of an update that deploys an earlier revision of the service again.
	RollBack(ctx context.Context, id platform.ServiceID, revision platform.Revision) (platform.Service, platform.Operation, error)
	// Cancel asks for the end of an operation. store.ErrNotFound without such an operation, store.ErrConflict when it
	// has ended.
	Cancel(ctx context.Context, id platform.OperationID) (platform.Operation, error)
}

// Logs reads what services wrote. Implemented by telemetry.Logs.
type Logs interface {
	// Read returns lines, oldest first, and the token to go on with. telemetry.ErrInvalidStream, ErrInvalidToken.
	Read(ctx context.Context, service platform.ServiceID, stream, token string, limit int) (lines []telemetry.Line, next string, err error)
}

// Instances says what runs. Implemented by compute.Backend.
type Instances interface {
	List(ctx context.Context, of ...platform.ServiceID) ([]platform.Instance, error)
}

// Scales knows how many instances services have, and why. Implemented by deploy.Scaler.
type Scales interface {
	// Of returns the size of a service; that of one that does not serve is 0.
	Of(service platform.Service) platform.Scale
}

// Connections holds the credentials of connections. Implemented by connection.Connections.
type Connections interface {
	// Authorize reads a repository with the credentials and returns them as they are remembered. What a person can act on
	// is a *platform.ExplainedError.
	Authorize(ctx context.Context, connection platform.Resource, credentials platform.GitCredentials,
		repositoryURL string) (*platform.SealedCredentials, error)
}

// Secrets keeps named values. Implemented by secret.Vault.
type Secrets interface {
	// Put stores a value in place of the one that was there. secret.ErrTooMany.
	Put(ctx context.Context, name, value string) (platform.Resource, error)
	// List returns all secrets without their values.
	List(ctx context.Context) ([]platform.Resource, error)
	// Delete forgets a secret. store.ErrNotFound.
	Delete(ctx context.Context, name string) (platform.Resource, error)
}

// Networks are those of the host that VPC connectors name. What cannot be is refused with a *platform.ExplainedError.
// Implemented by network.Network.
type Networks interface {
	// HostNetworks returns them all, in order of creation. They are not to be changed.
	HostNetworks() []platform.HostNetwork
	// CreateHostNetwork makes one; what wanted leaves out is chosen.
	CreateHostNetwork(ctx context.Context, wanted platform.HostNetwork) (platform.HostNetwork, error)
	// UpdateHostNetwork replaces the subnets' ids and the ports of one.
	UpdateHostNetwork(ctx context.Context, wanted platform.HostNetwork) (platform.HostNetwork, error)
	// DeleteHostNetwork removes one to which no instance is attached. An unknown name is done already.
	DeleteHostNetwork(ctx context.Context, name string) error
}

// Webhooks keeps the secrets of services' webhooks. Implemented by webhook.Secrets.
type Webhooks interface {
	// Secret returns the secret of a service's webhook, which is made if it has none, or when it is to be another. What a
	// person can act on is a *platform.ExplainedError; store.ErrNotFound for a service that was deleted.
	Secret(ctx context.Context, service platform.Service, renew bool) (string, error)
}

// Config is all that a Handler needs. Every member is required but where a comment says otherwise.
type Config struct {
	Store      Store
	Operations Operations
	Logs       Logs
	Instances  Instances
	Scales     Scales
	// Connections gives connections their credentials.
	Connections Connections
	// Webhooks keeps secrets, and WebhookBase is the URL under which other hosts reach apron.
	Webhooks    Webhooks
	WebhookBase string
	// Secrets keeps what apps and builds refer to.
	Secrets Secrets
	// Networks may be nil: then a VPC connector's subnets are not checked, and no network can be made.
	Networks Networks
	// Provision is called when a custom domain or a VPC ingress connection is to be brought into another state; nil does
	// nothing.
	Provision func()
	// Retag is called when the tags of a service have changed; nil does nothing.
	Retag func()

	// Keys is the key pair that requests are signed with.
	Keys source.KeyPair
	// Region and Account are part of every ARN, and requests must be signed for Region.
	Region, Account string
	// Domain is what the host names of services end with.
	Domain string
	// Listeners are where services answer.
	Listeners platform.Listeners

	// TokenKey authenticates pagination tokens, so that a token outlives a restart.
	TokenKey []byte
	// Runtimes returns the runtimes (PYTHON_311, …) that can be built here.
	Runtimes func() []string
	// ManagedRuntimes may be nil: then there are none to list and to prepare.
	ManagedRuntimes Runtimes
	// Quotas bound what may be made.
	Quotas Quotas

	// StoreFault says in a sentence what is wrong when the store cannot be used now, and is empty for other errors. Nil
	// knows none.
	StoreFault func(error) string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log takes a line for each request and the causes of internal errors; nil means slog.Default().
	Log *slog.Logger
	// BodyTimeout bounds how long a request's body may take to arrive; 0 means 30 s.
	BodyTimeout time.Duration
}

// serviceURL is a service's address without a scheme, as App Runner gives it. A private service has none.
func (c *Config) serviceURL(service platform.Service) string {
	if !service.Configuration.Network.IsPubliclyAccessible {
		return ""
	}
	return c.Listeners.ServiceURL(service.Subdomain.Host(c.Region, c.Domain))
}
