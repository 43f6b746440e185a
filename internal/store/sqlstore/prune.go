package sqlstore

import (
	"context"
	"fmt"
	"time"
)

// forgotten are the services that nobody can read any more.
const forgotten = `(SELECT id FROM services WHERE status = 'DELETED' AND deleted_at < $1)`

// pruneServices removes what refers to those services first, and a resource that led to one only when it is deleted too.
var pruneServices = []string{
	`DELETE FROM operations WHERE service_id IN ` + forgotten,
	`DELETE FROM revisions WHERE service_id IN ` + forgotten,
	`DELETE FROM service_uses WHERE service_id IN ` + forgotten,
	`DELETE FROM custom_domains WHERE service_id IN ` + forgotten,
	`DELETE FROM resources WHERE service_id IN ` + forgotten + ` AND deleted_at IS NOT NULL`,
	`DELETE FROM services WHERE status = 'DELETED' AND deleted_at < $1`,
}

// PruneServices removes the services that were deleted before a time, with all that is remembered of them.
func (s *Store) PruneServices(ctx context.Context, before time.Time) error {
	err := s.write(ctx, func(tx *transaction) error {
		for _, statement := range pruneServices {
			if _, err := tx.ExecContext(ctx, statement, before.UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("prune services: %w", err)
	}
	return nil
}
