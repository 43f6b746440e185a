package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

const (
	serviceColumns = `id, name, arn, subdomain, status, created_at, updated_at, deleted_at, configuration, tags,
		active_revision_id, is_serving, waiting_trigger, waiting_for, found, considered, webhook`
	insertService = `INSERT INTO services (` + serviceColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`
	selectServiceByID   = `SELECT ` + serviceColumns + ` FROM services WHERE id = $1`
	selectServiceByName = `SELECT ` + serviceColumns + ` FROM services WHERE name = $1 AND status <> 'DELETED'`
	selectServices      = `SELECT ` + serviceColumns + ` FROM services
		WHERE status <> 'DELETED' AND (created_at, id) > ($1, $2) ORDER BY created_at, id LIMIT $3`
	selectServingServices = `SELECT ` + serviceColumns + ` FROM services
		WHERE is_serving AND status <> 'DELETED' AND (created_at, id) > ($1, $2) ORDER BY created_at, id LIMIT $3`
	selectWaitingServices = `SELECT ` + serviceColumns + ` FROM services
		WHERE waiting_trigger <> '' AND status <> 'DELETED' AND (created_at, id) > ($1, $2) ORDER BY created_at, id LIMIT $3`
	selectServicesByUse = `SELECT ` + serviceColumns + ` FROM services
		WHERE id IN (SELECT service_id FROM service_uses WHERE arn = $4) AND status <> 'DELETED' AND (created_at, id) > ($1, $2)
		ORDER BY created_at, id LIMIT $3`
	countServices = `SELECT COUNT(*) FROM services WHERE status <> 'DELETED'`
	// An id, an ARN, a name, a subdomain and a time of creation never change.
	updateService = `UPDATE services SET status = $2, updated_at = $3, deleted_at = $4, configuration = $5, tags = $6,
		active_revision_id = $7, is_serving = $8, waiting_trigger = $9, waiting_for = $10, found = $11, considered = $12,
		webhook = $13 WHERE id = $1`
	updateServiceTags = `UPDATE services SET tags = $2 WHERE id = $1`
)

// CreateService inserts service and its CREATE_SERVICE operation.
func (s *Store) CreateService(ctx context.Context, service platform.Service, operation platform.Operation, check func(services int) error) error {
	var refusal error
	err := s.write(ctx, func(tx *transaction) error {
		if check != nil {
			var services int
			if err := tx.QueryRowContext(ctx, countServices).Scan(&services); err != nil {
				return err
			}
			if refusal = check(services); refusal != nil {
				return refusal
			}
		}
		_, err := tx.ExecContext(ctx, insertService, service.ID, service.Name, service.ARN, service.Subdomain, service.Status,
			micros{&service.CreatedAt}, micros{&service.UpdatedAt}, optionalMicros{&service.DeletedAt},
			document{&service.Configuration}, document{&service.Tags}, service.ActiveRevisionID, service.IsServing,
			service.WaitingTrigger, service.WaitingFor, service.Found, service.Considered, service.Webhook)
		if err != nil {
			return err
		}
		if err := saveUses(ctx, tx, service, true); err != nil {
			return err
		}
		return createOperation(ctx, tx, operation)
	})
	switch {
	case refusal != nil: // the caller's own error, unchanged
		return refusal
	case err != nil:
		return fmt.Errorf("create service: %w", err)
	}
	return nil
}

// ServiceByID returns one service, deleted ones too.
func (s *Store) ServiceByID(ctx context.Context, id platform.ServiceID) (platform.Service, error) {
	service, err := s.scanService(s.reader.QueryRowContext(ctx, selectServiceByID, id))
	if err != nil {
		return platform.Service{}, fmt.Errorf("read service %s: %w", id, err)
	}
	return service, nil
}

// ServiceByName returns the service of that name that is not DELETED.
func (s *Store) ServiceByName(ctx context.Context, name string) (platform.Service, error) {
	service, err := s.scanService(s.reader.QueryRowContext(ctx, selectServiceByName, name))
	if err != nil {
		return platform.Service{}, fmt.Errorf("read service %q: %w", name, err)
	}
	return service, nil
}

// ListServices returns services in order of creation, deleted ones left out.
func (s *Store) ListServices(ctx context.Context, page store.ServicePage) ([]platform.Service, error) {
	createdAt, id := int64(math.MinInt64), platform.ServiceID("")
	if page.After != nil {
		createdAt, id = page.After.CreatedAt.UnixMicro(), page.After.ID
	}
	query, args := selectServices, []any{createdAt, id, limit(page.Limit)}
	switch {
	case page.UsesARN != "":
		query, args = selectServicesByUse, append(args, page.UsesARN)
	case page.ServingOnly:
		query = selectServingServices
	case page.WaitingOnly:
		query = selectWaitingServices
	}
	services, err := list(ctx, s.reader, s.scanService, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	return services, nil
}

// UpdateTags lets edit change the tags of a service.
func (s *Store) UpdateTags(ctx context.Context, id platform.ServiceID, edit func(tags map[string]string) error) error {
	var refusal error
	err := s.write(ctx, func(tx *transaction) error {
		service, err := s.scanService(tx.QueryRowContext(ctx, selectServiceByID, id))
		if err != nil {
			return err
		}
		if service.Tags == nil {
			service.Tags = map[string]string{}
		}
		if refusal = edit(service.Tags); refusal != nil {
			return refusal
		}
		return changeOne(tx.ExecContext(ctx, updateServiceTags, id, document{&service.Tags}))
	})
	switch {
	case refusal != nil: // the caller's own error, unchanged
		return refusal
	case err != nil:
		return fmt.Errorf("update tags of service %s: %w", id, err)
	}
	return nil
}

// saveService writes a service back. isNew says that a client changed it, and not an operation that goes on.
func saveService(ctx context.Context, tx *transaction, service platform.Service, isNew bool) error {
	if err := saveUses(ctx, tx, service, isNew); err != nil {
		return err
	}
	if service.Status == platform.ServiceStatusDeleted {
		service.WaitingTrigger, service.WaitingFor, service.Webhook = "", "", ""
		if _, err := tx.ExecContext(ctx, deleteDomainsOfService, service.ID); err != nil {
			return err
		}
	}
	return changeOne(tx.ExecContext(ctx, updateService, service.ID, service.Status, micros{&service.UpdatedAt},
		optionalMicros{&service.DeletedAt}, document{&service.Configuration}, document{&service.Tags},
		service.ActiveRevisionID, service.IsServing, service.WaitingTrigger, service.WaitingFor, service.Found,
		service.Considered, service.Webhook))
}

func (s *Store) scanService(from Row) (platform.Service, error) {
	var service platform.Service
	err := from.Scan(&service.ID, &service.Name, &service.ARN, &service.Subdomain, &service.Status,
		micros{&service.CreatedAt}, micros{&service.UpdatedAt}, optionalMicros{&service.DeletedAt},
		s.configurations.scanner(&service.Configuration), document{&service.Tags}, &service.ActiveRevisionID, &service.IsServing,
		&service.WaitingTrigger, &service.WaitingFor, &service.Found, &service.Considered, &service.Webhook)
	return service, interpret(err)
}

// changeOne turns the outcome of an UPDATE by id into store.ErrNotFound when there was no such row.
func changeOne(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	changed, err := result.RowsAffected()
	if err == nil && changed == 0 {
		return store.ErrNotFound
	}
	return err
}
