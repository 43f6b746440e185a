// Package store is what apron remembers, by noun. store/sqlite implements it on one machine and store/postgres for several
// aprons, both by the queries of store/sqlstore; store/storetest is the suite that every implementation passes.
//
// One public method is one transaction, and what it has returned without an error is durable. Times are kept to the
// microsecond, in UTC. What a caller branches on are the sentinels below, made in one function per
// implementation from the driver's codes.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

var (
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that the row is not in the state that the write asked for: a name is taken, a status does not
	// allow it, or a lease has a newer term.
	ErrConflict = errors.New("conflict")
)

// Store is everything that is remembered.
type Store interface {
	Services
	Operations
	Revisions
	Resources
	Domains
	// Own makes the database owner's, if it is nobody's yet or that of the apron with the id from, and returns whose it is
	// then. It is for a backend whose instances only one apron reaches.
	Own(ctx context.Context, owner Owner, from string) (Owner, error)
	Close() error
}

// Owner is an apron that has a database to itself.
type Owner struct {
	ID string
	// Host is the name of its machine, for people.
	Host string
}

// Services remembers services.
type Services interface {
	// CreateService inserts service and its CREATE_SERVICE operation. ErrConflict when the name or the subdomain is
	// taken by a service that is not DELETED, or a *GoneError. check, when not nil, is asked in the same transaction with
	// the number of services that are not DELETED, and its error comes back unchanged.
	CreateService(ctx context.Context, service platform.Service, operation platform.Operation, check func(services int) error) error
	// ServiceByID returns one service, deleted ones too. ErrNotFound.
	ServiceByID(ctx context.Context, id platform.ServiceID) (platform.Service, error)
	// ServiceByName returns the service of that name that is not DELETED. ErrNotFound.
	ServiceByName(ctx context.Context, name string) (platform.Service, error)
	// ListServices returns services in order of creation (CreatedAt, then ID), deleted ones left out.
	ListServices(ctx context.Context, page ServicePage) ([]platform.Service, error)
	// UpdateTags lets edit change the tags of a service, in one transaction; edit's error comes back unchanged.
	// ErrNotFound.
	UpdateTags(ctx context.Context, id platform.ServiceID, edit func(tags map[string]string) error) error
	// AskDeployment remembers that a service wants a deployment, and because of what, until the next START_DEPLOYMENT
	// begins: by StartOperation, in whose transaction both change. A later wish takes the place of an earlier one, and one for
	// what the service has Found leaves none. A deleted service wants none: ErrNotFound. It returns the service as it is then.
	AskDeployment(ctx context.Context, id platform.ServiceID, wish platform.Wish) (platform.Service, error)
	// ConsiderChange remembers that a change of a service's source is not deployed by itself. ErrNotFound.
	ConsiderChange(ctx context.Context, id platform.ServiceID, change string) error
	// KeepWebhook replaces the sealed secret of a service's webhook if that is still the one before, and returns the one that
	// the service has then. ErrNotFound.
	KeepWebhook(ctx context.Context, id platform.ServiceID, sealed, before string) (string, error)
	// PruneServices removes the services that were deleted before a time, with their operations, revisions and domains.
	PruneServices(ctx context.Context, before time.Time) error
}

// ServicePage says which services to list.
type ServicePage struct {
	// After is the last service of the page before; nil for the first page.
	After *ServiceCursor
	// UsesARN keeps only the services that refer to that resource, or may go back to it; empty means all.
	UsesARN string
	// ServingOnly keeps only the services that are serving, WaitingOnly those that want a deployment. A page is narrowed
	// by one of UsesARN, ServingOnly and WaitingOnly.
	ServingOnly, WaitingOnly bool
	// Limit is the most rows returned; 0 means all.
	Limit int
}

// ServiceCursor names a place in the list of services.
type ServiceCursor struct {
	CreatedAt time.Time
	ID        platform.ServiceID
}

// Operations remembers operations and moves services with them.
type Operations interface {
	// StartOperation inserts a PENDING operation for operation.ServiceID if the service's status is one of allowed,
	// and sets the service OPERATION_IN_PROGRESS and updated at operation.StartedAt, in one transaction. change, when
	// not nil, edits the service in that transaction (its Configuration, for an update); its error comes back
	// unchanged. It fills operation.Previous from the service as it was. A START_DEPLOYMENT is the one that the service
	// waited for, if it did: it gets the service's WaitingTrigger, which change still sees.
	// ErrNotFound without such a service, a *StatusError (an ErrConflict) when the status does not allow it.
	StartOperation(ctx context.Context, operation platform.Operation, allowed []platform.ServiceStatus,
		change func(*platform.Service) error) (platform.Service, platform.Operation, error)
	// OperationByID returns one operation. ErrNotFound.
	OperationByID(ctx context.Context, id platform.OperationID) (platform.Operation, error)
	// ListOperations returns a service's operations, newest first (StartedAt, then ID, both descending).
	ListOperations(ctx context.Context, service platform.ServiceID, page OperationPage) ([]platform.Operation, error)
	// ClaimOperation takes the oldest operation that is not terminal and not leased at now, leases it to owner until
	// until, and raises its LeaseTerm by one. ErrNotFound when there is none.
	ClaimOperation(ctx context.Context, owner string, now, until time.Time) (platform.Operation, error)
	// RenewLease prolongs the lease of the given term. ErrConflict when that lease does not hold any more: a newer
	// term or ReleaseLeases ended it. A lease that merely ran out can be renewed as long as nobody has claimed anew.
	RenewLease(ctx context.Context, id platform.OperationID, term int, until time.Time) error
	// Leases lists the leases of operations that have not ended.
	Leases(ctx context.Context) ([]Lease, error)
	// EndLease frees the operation of a lease that is still as it was listed. ErrConflict when it is not.
	EndLease(ctx context.Context, lease Lease) error
	// SaveOperation writes operation back. ErrConflict when the lease of operation.LeaseTerm does not hold any more
	// (as for RenewLease), or the stored status neither is the new one nor can become it; a terminal status is never
	// written again, and Progress.HasSwitched never taken back, also not by a writer that was not told that it was kept.
	// edit, when not nil, changes the service in the same transaction; that is how a step moves the service and its own
	// record together. An edit of the service's ID, Name, ARN, Subdomain or CreatedAt is lost.
	SaveOperation(ctx context.Context, operation platform.Operation, edit func(*platform.Service)) error
	// AskCancel notes that an operation is to be given up, and returns it; asking again changes nothing. ErrNotFound
	// without such an operation, ErrConflict when it has ended.
	AskCancel(ctx context.Context, id platform.OperationID, now time.Time) (platform.Operation, error)
	// CancelsAsked lists the operations that owner has leased and that are to be given up.
	CancelsAsked(ctx context.Context, owner string) ([]platform.OperationID, error)
	// PruneOperations removes the terminal operations of a service but the newest keep of them.
	PruneOperations(ctx context.Context, service platform.ServiceID, keep int) error
	// ReleaseLeases ends all leases of owner at once, for a clean stop or a start after a crash.
	ReleaseLeases(ctx context.Context, owner string) error
}

// Lease says who runs an operation, as it was renewed last.
type Lease struct {
	Operation platform.OperationID
	Owner     string
	Term      int
	Until     time.Time
}

// OperationPage says which operations to list.
type OperationPage struct {
	After *OperationCursor
	Limit int
}

// OperationCursor names a place in a service's list of operations.
type OperationCursor struct {
	StartedAt time.Time
	ID        platform.OperationID
}

// Revisions remembers what was deployed.
type Revisions interface {
	// CreateRevision inserts the revision that operation makes, numbering it after the service's newest, and returns it as
	// stored. It is idempotent by ID: a second call returns the first one's row. ErrNotFound without such an operation,
	// ErrConflict when that has ended, or failed, or was claimed anew.
	CreateRevision(ctx context.Context, revision platform.Revision, operation platform.Operation) (platform.Revision, error)
	// RevisionByID returns one revision. ErrNotFound.
	RevisionByID(ctx context.Context, id platform.RevisionID) (platform.Revision, error)
	// ListRevisions returns a service's revisions, newest first.
	ListRevisions(ctx context.Context, service platform.ServiceID) ([]platform.Revision, error)
	// DeleteRevision removes one. Unknown ids are done already.
	DeleteRevision(ctx context.Context, id platform.RevisionID) error
}

// Resources remembers what services refer to.
type Resources interface {
	// CreateResource inserts what make returns, which is told in the same transaction what there is of the kind and name;
	// its error comes back unchanged. ErrConflict when the name and revision are taken by a resource that is not deleted.
	CreateResource(ctx context.Context, kind platform.ResourceKind, name string,
		make func(existing Existing) (platform.Resource, error)) (platform.Resource, error)
	// ListResources returns resources in order of creation (CreatedAt, then ID).
	ListResources(ctx context.Context, query ResourceQuery) ([]platform.Resource, error)
	// EditResources lets edit change the resources that query finds, in one transaction; its error comes back unchanged.
	// What it changes of the id, the kind, the name, the revision, the ARN, the service and the time of creation is lost.
	EditResources(ctx context.Context, query ResourceQuery, edit func(resources []platform.Resource) error) error
	// PruneResources removes the resources that were deleted before a time.
	PruneResources(ctx context.Context, before time.Time) error
}

// Existing is what there is of a kind when a resource is made.
type Existing struct {
	// Names counts the different names of the kind, Revisions those of the name; deleted ones do not count.
	Names, Revisions int
	// Newest is the highest revision that the name ever had, as far as that is remembered.
	Newest int
}

// ResourceQuery says which resources. An empty member is no condition.
type ResourceQuery struct {
	Kind      platform.ResourceKind
	ID        platform.ResourceID
	Name      string
	Revision  int
	ServiceID platform.ServiceID
	Status    string
	// LatestOnly keeps the highest revision of each name, DefaultOnly the default.
	LatestOnly, DefaultOnly bool
	// WithDeleted adds those that were deleted.
	WithDeleted bool
	After       *ResourceCursor
	// Limit is the most rows returned; 0 means all.
	Limit int
}

// ResourceCursor names a place in a list of resources.
type ResourceCursor struct {
	CreatedAt time.Time
	ID        platform.ResourceID
}

// Domains remembers custom domains.
type Domains interface {
	// CreateDomain inserts domain if its service's status is allowed. check, when not nil, is asked in the same
	// transaction with the number of the service's domains. ErrNotFound without such a service, a *StatusError when its
	// status does not allow it, a *TakenError when a service has the name.
	CreateDomain(ctx context.Context, domain platform.CustomDomain, allowed []platform.ServiceStatus, check func(domains int) error) error
	// ListDomains returns domains, newest first (CreatedAt, then ID, both descending).
	ListDomains(ctx context.Context, query DomainQuery) ([]platform.CustomDomain, error)
	// EditDomain lets edit change a domain's status, records and time of change; its error comes back unchanged. ErrNotFound.
	EditDomain(ctx context.Context, id platform.ResourceID, edit func(*platform.CustomDomain) error) (platform.CustomDomain, error)
	// DeleteDomain removes one. Unknown ids are done already.
	DeleteDomain(ctx context.Context, id platform.ResourceID) error
}

// DomainQuery says which custom domains. An empty member is no condition.
type DomainQuery struct {
	ServiceID platform.ServiceID
	Name      string
	// Unsettled keeps those whose status is not one to stay in.
	Unsettled bool
	After     *ResourceCursor
	Limit     int
}

// GoneError says that a service refers to a resource that was deleted.
type GoneError struct{ ARN string }

func (e *GoneError) Error() string { return e.ARN + " was deleted" }

// Is makes a GoneError an ErrConflict.
func (e *GoneError) Is(target error) bool { return target == ErrConflict }

// TakenError says that a custom domain belongs to a service already.
type TakenError struct{ ServiceARN string }

func (e *TakenError) Error() string { return "the domain belongs to " + e.ServiceARN }

// Is makes a TakenError an ErrConflict.
func (e *TakenError) Is(target error) bool { return target == ErrConflict }

// StatusError says that a service's status does not allow an operation.
type StatusError struct{ Status platform.ServiceStatus }

func (e *StatusError) Error() string { return "service status is " + string(e.Status) }

// Is makes a StatusError an ErrConflict.
func (e *StatusError) Is(target error) bool { return target == ErrConflict }
