package sqlstore

import (
	"context"
	"fmt"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// What the newest deployment has found already needs no other one, and takes the place of what waited.
	askDeployment = `UPDATE services SET
		waiting_trigger = CASE WHEN $3 <> '' AND found = $3 THEN '' ELSE $2 END,
		waiting_for = CASE WHEN $3 <> '' AND found = $3 THEN '' ELSE $3 END,
		considered = CASE WHEN $4 <> '' THEN $4 ELSE considered END
		WHERE id = $1 AND status <> 'DELETED' RETURNING ` + serviceColumns
	considerChange = `UPDATE services SET considered = $2 WHERE id = $1 AND status <> 'DELETED'`
	keepWebhook    = `UPDATE services SET webhook = CASE WHEN webhook = $3 THEN $2 ELSE webhook END
		WHERE id = $1 AND status <> 'DELETED' RETURNING webhook`
)

// AskDeployment remembers that a service wants a deployment.
func (s *Store) AskDeployment(ctx context.Context, id platform.ServiceID, wish platform.Wish) (platform.Service, error) {
	var service platform.Service
	err := s.write(ctx, func(tx *transaction) (err error) {
		service, err = s.scanService(tx.QueryRowContext(ctx, askDeployment, id, wish.Trigger, wish.For, wish.Considered))
		return err
	})
	if err != nil {
		return platform.Service{}, fmt.Errorf("ask for a deployment of service %s: %w", id, err)
	}
	return service, nil
}

// ConsiderChange remembers that a change of a service's source is not deployed by itself.
func (s *Store) ConsiderChange(ctx context.Context, id platform.ServiceID, change string) error {
	err := s.write(ctx, func(tx *transaction) error {
		return changeOne(tx.ExecContext(ctx, considerChange, id, change))
	})
	if err != nil {
		return fmt.Errorf("consider a change of service %s: %w", id, err)
	}
	return nil
}

// KeepWebhook replaces the sealed secret of a service's webhook, and returns the one that it has then.
func (s *Store) KeepWebhook(ctx context.Context, id platform.ServiceID, sealed, before string) (string, error) {
	var kept string
	err := s.write(ctx, func(tx *transaction) error {
		return interpret(tx.QueryRowContext(ctx, keepWebhook, id, sealed, before).Scan(&kept))
	})
	if err != nil {
		return "", fmt.Errorf("keep the webhook of service %s: %w", id, err)
	}
	return kept, nil
}
