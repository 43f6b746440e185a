package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// isOpen is the condition that the partial indexes of operations are made with: a status that is not terminal.
const isOpen = `status IN ('PENDING', 'IN_PROGRESS', 'ROLLBACK_IN_PROGRESS')`

const (
	operationColumns = `id, service_id, service_arn, type, status, started_at, updated_at, ended_at, previous, steps,
		progress, failure, lease_term, cancel_asked_at, rolls_back_to, triggered_by`
	insertOperation = `INSERT INTO operations (` + operationColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`
	selectOperationByID = `SELECT ` + operationColumns + ` FROM operations WHERE id = $1`
	selectOperations    = `SELECT ` + operationColumns + ` FROM operations
		WHERE service_id = $1 AND (started_at, id) < ($2, $3) ORDER BY started_at DESC, id DESC LIMIT $4`
	// The status as it was read is part of the condition, so that the statement alone is enough to keep the edges.
	updateOperation = `UPDATE operations SET status = $4, updated_at = $5, ended_at = $6, previous = $7, steps = $8,
		progress = $9, failure = $10 WHERE id = $1 AND lease_term = $2 AND lease_owner <> '' AND status = $3`
	// An operation keeps the first time at which its end was asked for.
	askCancel = `UPDATE operations SET cancel_asked_at = COALESCE(cancel_asked_at, $2) WHERE id = $1 AND ` + isOpen + `
		RETURNING ` + operationColumns
	selectCancels       = `SELECT id FROM operations WHERE ` + isOpen + ` AND lease_owner = $1 AND cancel_asked_at IS NOT NULL`
	deleteOldOperations = `DELETE FROM operations WHERE id IN (SELECT id FROM operations
		WHERE service_id = $1 AND NOT (` + isOpen + `) ORDER BY started_at DESC, id DESC LIMIT $2 OFFSET $3)`
)

// StartOperation inserts a PENDING operation and sets its service OPERATION_IN_PROGRESS, if the service allows it.
func (s *Store) StartOperation(ctx context.Context, operation platform.Operation, allowed []platform.ServiceStatus,
	change func(*platform.Service) error) (platform.Service, platform.Operation, error) {
	var service platform.Service
	var refusal error
	err := s.write(ctx, func(tx *transaction) (err error) {
		if service, err = s.scanService(tx.QueryRowContext(ctx, selectServiceByID, operation.ServiceID)); err != nil {
			return err
		}
		if !slices.Contains(allowed, service.Status) {
			return &store.StatusError{Status: service.Status}
		}
		operation = newOperation(operation, service)
		service.Status, service.UpdatedAt = platform.ServiceStatusOperationInProgress, operation.StartedAt
		if change != nil {
			if refusal = change(&service); refusal != nil {
				return refusal
			}
		}
		if operation.Type == platform.OperationStartDeployment {
			operation.Trigger, service.WaitingTrigger, service.WaitingFor = service.WaitingTrigger, "", ""
		}
		if err := saveService(ctx, tx, service, true); err != nil {
			return err
		}
		return createOperation(ctx, tx, operation)
	})
	switch {
	case refusal != nil: // the caller's own error, unchanged
		return platform.Service{}, platform.Operation{}, refusal
	case err != nil:
		return platform.Service{}, platform.Operation{}, fmt.Errorf("start operation: %w", err)
	}
	return service, operation, nil
}

// newOperation fills in what an operation takes from its service as it is before.
func newOperation(operation platform.Operation, service platform.Service) platform.Operation {
	operation.Status = platform.OperationStatusPending
	operation.ServiceARN = service.ARN
	operation.Previous = &platform.Before{Status: service.Status, Configuration: service.Configuration.Clone()}
	operation.StartedAt = operation.StartedAt.UTC().Truncate(time.Microsecond)
	operation.UpdatedAt = operation.UpdatedAt.UTC().Truncate(time.Microsecond)
	operation.LeaseTerm, operation.CancelAskedAt = 0, nil
	return operation
}

// OperationByID returns one operation.
func (s *Store) OperationByID(ctx context.Context, id platform.OperationID) (platform.Operation, error) {
	operation, err := scanOperation(s.reader.QueryRowContext(ctx, selectOperationByID, id))
	if err != nil {
		return platform.Operation{}, fmt.Errorf("read operation %s: %w", id, err)
	}
	return operation, nil
}

// ListOperations returns a service's operations, newest first.
func (s *Store) ListOperations(ctx context.Context, service platform.ServiceID, page store.OperationPage) ([]platform.Operation, error) {
	startedAt, id := int64(math.MaxInt64), platform.OperationID("")
	if page.After != nil {
		startedAt, id = page.After.StartedAt.UnixMicro(), page.After.ID
	}
	operations, err := list(ctx, s.reader, scanOperation, selectOperations, service, startedAt, id, limit(page.Limit))
	if err != nil {
		return nil, fmt.Errorf("list operations of service %s: %w", service, err)
	}
	return operations, nil
}

// SaveOperation writes operation back in the name of its lease, and edits its service in the same transaction.
func (s *Store) SaveOperation(ctx context.Context, operation platform.Operation, edit func(*platform.Service)) error {
	err := s.write(ctx, func(tx *transaction) error {
		stored, err := scanOperation(tx.QueryRowContext(ctx, selectOperationByID, operation.ID))
		if err != nil {
			return err
		}
		isStep := stored.Status.CanBecome(operation.Status) || stored.Status == operation.Status && !stored.Status.IsTerminal()
		if !isStep {
			return fmt.Errorf("%w: %s cannot become %s", store.ErrConflict, stored.Status, operation.Status)
		}
		if stored.Progress.HasSwitched && !operation.Progress.HasSwitched {
			return fmt.Errorf("%w: its switch is kept already", store.ErrConflict)
		}
		if err := saveOperation(ctx, tx, operation, stored.Status); err != nil || edit == nil {
			return err
		}
		service, err := s.scanService(tx.QueryRowContext(ctx, selectServiceByID, stored.ServiceID))
		if err != nil {
			return err
		}
		edit(&service)
		return saveService(ctx, tx, service, false)
	})
	if err != nil {
		return fmt.Errorf("save operation %s: %w", operation.ID, err)
	}
	return nil
}

// saveOperation writes what may change, if the lease still holds and the status is still as it was read.
func saveOperation(ctx context.Context, tx *transaction, operation platform.Operation, was platform.OperationStatus) error {
	result, err := tx.ExecContext(ctx, updateOperation, operation.ID, operation.LeaseTerm, was, operation.Status,
		micros{&operation.UpdatedAt}, optionalMicros{&operation.EndedAt}, document{&operation.Previous},
		document{&operation.Steps}, document{&operation.Progress}, document{&operation.Failure})
	return needLease(operation.LeaseTerm, result, err)
}

// AskCancel notes that an operation is to be given up.
func (s *Store) AskCancel(ctx context.Context, id platform.OperationID, now time.Time) (platform.Operation, error) {
	var operation platform.Operation
	err := s.write(ctx, func(tx *transaction) (err error) {
		operation, err = scanOperation(tx.QueryRowContext(ctx, askCancel, id, now.UnixMicro()))
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if _, err = scanOperation(tx.QueryRowContext(ctx, selectOperationByID, id)); err == nil {
			err = fmt.Errorf("%w: it has ended", store.ErrConflict)
		}
		return err
	})
	if err != nil {
		return platform.Operation{}, fmt.Errorf("cancel operation %s: %w", id, err)
	}
	return operation, nil
}

// CancelsAsked lists the operations of an owner that are to be given up.
func (s *Store) CancelsAsked(ctx context.Context, owner string) ([]platform.OperationID, error) {
	scan := func(from Row) (id platform.OperationID, err error) { return id, from.Scan(&id) }
	ids, err := list(ctx, s.reader, scan, selectCancels, owner)
	if err != nil {
		return nil, fmt.Errorf("list the operations to give up: %w", err)
	}
	return ids, nil
}

// PruneOperations removes the oldest terminal operations of a service beyond keep.
func (s *Store) PruneOperations(ctx context.Context, service platform.ServiceID, keep int) error {
	err := s.write(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, deleteOldOperations, service, int64(math.MaxInt64), keep)
		return err
	})
	if err != nil {
		return fmt.Errorf("prune operations of service %s: %w", service, err)
	}
	return nil
}

func createOperation(ctx context.Context, tx *transaction, operation platform.Operation) error {
	_, err := tx.ExecContext(ctx, insertOperation, operation.ID, operation.ServiceID, operation.ServiceARN, operation.Type,
		operation.Status, micros{&operation.StartedAt}, micros{&operation.UpdatedAt}, optionalMicros{&operation.EndedAt},
		document{&operation.Previous}, document{&operation.Steps}, document{&operation.Progress},
		document{&operation.Failure}, operation.LeaseTerm, optionalMicros{&operation.CancelAskedAt}, operation.RollsBackTo, operation.Trigger)
	return err
}

func scanOperation(from Row) (platform.Operation, error) {
	var operation platform.Operation
	err := from.Scan(&operation.ID, &operation.ServiceID, &operation.ServiceARN, &operation.Type, &operation.Status,
		micros{&operation.StartedAt}, micros{&operation.UpdatedAt}, optionalMicros{&operation.EndedAt},
		document{&operation.Previous}, document{&operation.Steps}, document{&operation.Progress},
		document{&operation.Failure}, &operation.LeaseTerm, optionalMicros{&operation.CancelAskedAt}, &operation.RollsBackTo, &operation.Trigger)
	return operation, interpret(err)
}
