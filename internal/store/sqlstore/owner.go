package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/apron-run/apron/internal/store"
)

const (
	selectOwner = `SELECT id, host FROM database_owner`
	saveOwner   = `INSERT INTO database_owner (one, id, host) VALUES (1, $1, $2)
		ON CONFLICT (one) DO UPDATE SET id = excluded.id, host = excluded.host`
)

// Own makes the database owner's, if it is nobody's yet or that of from, and returns whose it is then.
func (s *Store) Own(ctx context.Context, owner store.Owner, from string) (store.Owner, error) {
	var current store.Owner
	err := s.write(ctx, func(tx *transaction) error {
		err := tx.QueryRowContext(ctx, selectOwner).Scan(&current.ID, &current.Host)
		isNew := errors.Is(interpret(err), store.ErrNotFound)
		if err != nil && !isNew {
			return err
		}
		if current == owner || !isNew && current.ID != owner.ID && current.ID != from {
			return nil
		}
		current = owner
		_, err = tx.ExecContext(ctx, saveOwner, owner.ID, owner.Host)
		return err
	})
	if err != nil {
		return store.Owner{}, fmt.Errorf("find whose the database is: %w", err)
	}
	return current, nil
}
