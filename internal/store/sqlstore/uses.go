package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

const (
	selectUses    = `SELECT arn FROM service_uses WHERE service_id = $1`
	deleteUses    = `DELETE FROM service_uses WHERE service_id = $1`
	insertUse     = `INSERT INTO service_uses (arn, service_id) VALUES ($1, $2)`
	selectDeleted = `SELECT deleted_at IS NOT NULL FROM resources WHERE arn = $1`
)

// saveUses writes which resources a service refers to, in the transaction that writes the service. A deleted service
// refers to none, and one in an operation refers also to what it may go back to. A client cannot refer anew to what was
// deleted (isNew), but an operation that fails goes back to what was there before, deleted or not: it could never end
// otherwise.
func saveUses(ctx context.Context, tx *transaction, service platform.Service, isNew bool) error {
	var wanted []string
	if service.Status != platform.ServiceStatusDeleted {
		wanted = service.Configuration.Uses()
	}
	known, err := list(ctx, tx, scanString, selectUses, service.ID)
	if err != nil {
		return err
	}
	slices.Sort(known) // as Uses does; databases sort texts in other ways
	if service.Status == platform.ServiceStatusOperationInProgress {
		wanted = append(wanted, known...)
		slices.Sort(wanted)
		wanted = slices.Compact(wanted)
	}
	if slices.Equal(known, wanted) {
		return nil
	}
	if _, err := tx.ExecContext(ctx, deleteUses, service.ID); err != nil {
		return err
	}
	for _, arn := range wanted {
		if isNew && !slices.Contains(known, arn) {
			if err := needThere(ctx, tx, arn); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, insertUse, arn, service.ID); err != nil {
			return err
		}
	}
	return nil
}

// needThere returns a *store.GoneError for a resource that was deleted.
func needThere(ctx context.Context, tx *transaction, arn string) error {
	var isDeleted bool
	err := tx.QueryRowContext(ctx, selectDeleted, arn).Scan(&isDeleted)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil && isDeleted {
		return &store.GoneError{ARN: arn}
	}
	return err
}

func scanString(from Row) (text string, err error) {
	err = from.Scan(&text)
	return text, err
}
