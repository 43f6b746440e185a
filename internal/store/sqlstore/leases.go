package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

const (
	claimOperation = `UPDATE operations SET lease_owner = $1, lease_until = $2, lease_term = lease_term + 1
		WHERE id = (SELECT id FROM operations WHERE ` + isOpen + ` AND lease_until <= $3
			ORDER BY started_at, id LIMIT 1)
		RETURNING ` + operationColumns
	renewLease   = `UPDATE operations SET lease_until = $3 WHERE id = $1 AND lease_term = $2 AND lease_owner <> ''`
	selectLeases = `SELECT id, lease_owner, lease_term, lease_until FROM operations WHERE ` + isOpen + ` AND lease_owner <> ''`
	endLease     = `UPDATE operations SET lease_owner = '', lease_until = 0
		WHERE id = $1 AND lease_owner = $2 AND lease_term = $3 AND lease_until = $4`
	releaseLeases = `UPDATE operations SET lease_owner = '', lease_until = 0 WHERE ` + isOpen + ` AND lease_owner = $1`
)

// ClaimOperation leases the oldest operation that is neither terminal nor leased at now. An owner is never empty.
func (s *Store) ClaimOperation(ctx context.Context, owner string, now, until time.Time) (platform.Operation, error) {
	if owner == "" {
		return platform.Operation{}, errors.New("claim an operation: no owner")
	}
	var operation platform.Operation
	err := s.write(ctx, func(tx *transaction) (err error) {
		operation, err = scanOperation(tx.QueryRowContext(ctx, claimOperation, owner, until.UnixMicro(), now.UnixMicro()))
		return err
	})
	if err != nil {
		return platform.Operation{}, fmt.Errorf("claim an operation: %w", err)
	}
	return operation, nil
}

// RenewLease prolongs the lease of the given term.
func (s *Store) RenewLease(ctx context.Context, id platform.OperationID, term int, until time.Time) error {
	err := s.write(ctx, func(tx *transaction) error {
		result, err := tx.ExecContext(ctx, renewLease, id, term, until.UnixMicro())
		return needLease(term, result, err)
	})
	if err != nil {
		return fmt.Errorf("renew the lease of operation %s: %w", id, err)
	}
	return nil
}

// Leases lists the leases of operations that have not ended.
func (s *Store) Leases(ctx context.Context) ([]store.Lease, error) {
	scan := func(from Row) (lease store.Lease, err error) {
		return lease, from.Scan(&lease.Operation, &lease.Owner, &lease.Term, micros{&lease.Until})
	}
	leases, err := list(ctx, s.reader, scan, selectLeases)
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	return leases, nil
}

// EndLease frees the operation of a lease that nobody has renewed since it was listed.
func (s *Store) EndLease(ctx context.Context, lease store.Lease) error {
	err := s.write(ctx, func(tx *transaction) error {
		result, err := tx.ExecContext(ctx, endLease, lease.Operation, lease.Owner, lease.Term, lease.Until.UnixMicro())
		return needLease(lease.Term, result, err)
	})
	if err != nil {
		return fmt.Errorf("end the lease of operation %s: %w", lease.Operation, err)
	}
	return nil
}

// ReleaseLeases ends all leases of owner at once.
func (s *Store) ReleaseLeases(ctx context.Context, owner string) error {
	err := s.write(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, releaseLeases, owner)
		return err
	})
	if err != nil {
		return fmt.Errorf("release leases: %w", err)
	}
	return nil
}

// needLease turns the outcome of an UPDATE that names a lease into store.ErrConflict when that lease does not hold.
func needLease(term int, result sql.Result, err error) error {
	if err != nil {
		return err
	}
	changed, err := result.RowsAffected()
	if err == nil && changed == 0 {
		return fmt.Errorf("%w: the lease of term %d does not hold any more", store.ErrConflict, term)
	}
	return err
}
