package operation

import (
	"context"
	"errors"
	"time"

	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/failpoint"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// allowedStatuses says from which statuses of its service an operation may start (App Runner developer guide, service
// states). Unlike App Runner's, a service whose creation failed can be deployed: what was wrong may be mended where its
// source is.
var allowedStatuses = map[platform.OperationType][]platform.ServiceStatus{
	platform.OperationStartDeployment: {platform.ServiceStatusRunning, platform.ServiceStatusCreateFailed},
	platform.OperationUpdateService:   {platform.ServiceStatusRunning, platform.ServiceStatusCreateFailed},
	platform.OperationPauseService:    {platform.ServiceStatusRunning},
	platform.OperationResumeService:   {platform.ServiceStatusPaused},
	platform.OperationDeleteService: {
		platform.ServiceStatusRunning, platform.ServiceStatusPaused,
		platform.ServiceStatusCreateFailed, platform.ServiceStatusDeleteFailed,
	},
}

// Starter accepts operations: it records them and wakes the worker. The caller has its answer before any work is done.
type Starter struct {
	store store.Store
	logs  deploy.Logs
	wake  func()
	now   func() time.Time
}

// NewStarter returns a Starter. wake is called after each accepted operation.
func NewStarter(db store.Store, logs deploy.Logs, wake func()) *Starter {
	return &Starter{store: db, logs: logs, wake: wake, now: time.Now}
}

// Create records a new service with its CREATE_SERVICE operation. check, when not nil, is told in the same transaction how
// many services there are, and its error comes back unchanged. store.ErrConflict when the name is taken, a
// *store.GoneError when the service refers to a resource that was deleted.
func (s *Starter) Create(ctx context.Context, service platform.Service, check func(services int) error) (platform.Service, platform.Operation, error) {
	operation := newOperation(service.ID, platform.OperationCreateService, s.now())
	operation.ServiceARN = service.ARN
	service.Status = platform.ServiceStatusOperationInProgress
	service.CreatedAt, service.UpdatedAt = operation.StartedAt, operation.StartedAt
	if err := s.store.CreateService(ctx, service, operation, check); err != nil {
		return platform.Service{}, platform.Operation{}, err
	}
	failpoint.Pass(operation.Type, failpoint.Accept, failpoint.AfterRecord)
	s.logs.Event(service.ID, "Service creation started.")
	s.wake()
	return service, operation, nil
}

// Start records an operation on an existing service. change, when not nil, edits the service in the same transaction,
// and its error comes back unchanged. store.ErrNotFound without such a service; a *store.StatusError when its status
// does not allow the operation.
func (s *Starter) Start(ctx context.Context, id platform.ServiceID, kind platform.OperationType,
	change func(*platform.Service) error) (platform.Service, platform.Operation, error) {
	return s.start(ctx, newOperation(id, kind, s.now()), change)
}

// RollBack is Start of an update that deploys an earlier revision of the service again: its image, with the
// configuration that it had.
func (s *Starter) RollBack(ctx context.Context, id platform.ServiceID, revision platform.Revision) (platform.Service, platform.Operation, error) {
	operation := newOperation(id, platform.OperationUpdateService, s.now())
	operation.RollsBackTo = revision.ID
	return s.start(ctx, operation, func(service *platform.Service) error {
		service.Configuration = revision.Configuration.Clone()
		return nil
	})
}

func (s *Starter) start(ctx context.Context, operation platform.Operation, change func(*platform.Service) error) (platform.Service, platform.Operation, error) {
	service, operation, err := s.store.StartOperation(ctx, operation, allowedStatuses[operation.Type], change)
	if err != nil {
		return platform.Service{}, platform.Operation{}, err
	}
	failpoint.Pass(operation.Type, failpoint.Accept, failpoint.AfterRecord)
	if operation.Type == platform.OperationUpdateService {
		s.logs.Event(service.ID, "Service update started.")
	}
	s.wake()
	return service, operation, nil
}

// Ask asks for a deployment of what is newest, on behalf of what triggers it and not of a client. It begins at once where the
// service allows one, and else waits until it does: for the end of the operation that runs, or until the service is resumed.
// Of several that wait, the last one counts. Once Ask has returned without an error, the wish is durable. A service that was
// deleted wants nothing, and one that the newest deployment is of needs no other.
func (s *Starter) Ask(ctx context.Context, id platform.ServiceID, wish platform.Wish) error {
	service, err := s.store.AskDeployment(ctx, id, wish)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case service.WaitingTrigger == "": // it is being deployed already
		return nil
	case service.Status == platform.ServiceStatusOperationInProgress:
		s.logs.Event(id, "A deployment waits for the end of the running operation (%s).", wish.Trigger)
	case service.Status == platform.ServiceStatusPaused:
		s.logs.Event(id, "A deployment waits until the service is resumed (%s).", wish.Trigger)
	}
	s.wake()
	return nil
}

// Cancel asks for the end of an operation: before its switch it is rolled back, after that it finishes without waiting.
// store.ErrNotFound without such an operation, store.ErrConflict when it has ended.
func (s *Starter) Cancel(ctx context.Context, id platform.OperationID) (platform.Operation, error) {
	operation, err := s.store.AskCancel(ctx, id, s.now())
	if err == nil {
		failpoint.Pass(operation.Type, failpoint.Cancel, failpoint.AfterRecord)
		s.logs.Event(operation.ServiceID, "The operation with ID : %s is being cancelled.", id)
		s.wake()
	}
	return operation, err
}

func newOperation(service platform.ServiceID, kind platform.OperationType, now time.Time) platform.Operation {
	now = now.UTC().Truncate(time.Microsecond)
	return platform.Operation{
		ID: platform.NewOperationID(), ServiceID: service, Type: kind, Status: platform.OperationStatusPending,
		StartedAt: now, UpdatedAt: now,
	}
}
