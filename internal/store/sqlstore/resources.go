package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

const (
	resourceColumns = `id, kind, name, revision, arn, status, created_at, deleted_at, service_id, tags, detail, is_default`
	insertResource  = `INSERT INTO resources (` + resourceColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	// isLatest is true of the highest revision that is not deleted.
	isLatest = `(deleted_at IS NULL AND revision = (SELECT MAX(other.revision) FROM resources AS other
		WHERE other.kind = resources.kind AND other.name = resources.name AND other.deleted_at IS NULL))`
	isUsed          = `EXISTS (SELECT 1 FROM service_uses WHERE service_uses.arn = resources.arn)`
	selectResources = `SELECT ` + resourceColumns + `, ` + isLatest + `, ` + isUsed + ` FROM resources`
	updateResource  = `UPDATE resources SET status = $2, deleted_at = $3, tags = $4, detail = $5, is_default = $6 WHERE id = $1`
	countResources  = `SELECT COUNT(DISTINCT name) FILTER (WHERE deleted_at IS NULL),
		COUNT(*) FILTER (WHERE name = $2 AND deleted_at IS NULL), COALESCE(MAX(revision) FILTER (WHERE name = $2), 0)
		FROM resources WHERE kind = $1`
	deleteOldResources = `DELETE FROM resources WHERE deleted_at < $1`
)

// CreateResource inserts what make returns.
func (s *Store) CreateResource(ctx context.Context, kind platform.ResourceKind, name string,
	make func(existing store.Existing) (platform.Resource, error)) (platform.Resource, error) {
	var resource platform.Resource
	var refusal error
	err := s.write(ctx, func(tx *transaction) error {
		var existing store.Existing
		err := tx.QueryRowContext(ctx, countResources, kind, name).Scan(&existing.Names, &existing.Revisions, &existing.Newest)
		if err != nil {
			return err
		}
		if resource, refusal = make(existing); refusal != nil {
			return refusal
		}
		resource.CreatedAt = resource.CreatedAt.UTC().Truncate(time.Microsecond)
		_, err = tx.ExecContext(ctx, insertResource, resource.ID, resource.Kind, resource.Name, resource.Revision, resource.ARN,
			resource.Status, micros{&resource.CreatedAt}, optionalMicros{&resource.DeletedAt}, resource.ServiceID,
			document{&resource.Tags}, document{&resource.Detail}, resource.IsDefault)
		if err != nil {
			return err
		}
		created, err := findResources(ctx, tx, store.ResourceQuery{Kind: kind, ID: resource.ID, WithDeleted: true})
		if err == nil {
			resource = created[0]
		}
		return err
	})
	switch {
	case refusal != nil: // the caller's own error, unchanged
		return platform.Resource{}, refusal
	case err != nil:
		return platform.Resource{}, fmt.Errorf("create %s %q: %w", kind, name, err)
	}
	return resource, nil
}

// ListResources returns resources in order of creation.
func (s *Store) ListResources(ctx context.Context, query store.ResourceQuery) ([]platform.Resource, error) {
	resources, err := findResources(ctx, s.reader, query)
	if err != nil {
		return nil, fmt.Errorf("list resources: %w", err)
	}
	return resources, nil
}

// EditResources lets edit change the resources that query finds.
func (s *Store) EditResources(ctx context.Context, query store.ResourceQuery, edit func([]platform.Resource) error) error {
	var refusal error
	err := s.write(ctx, func(tx *transaction) error {
		resources, err := findResources(ctx, tx, query)
		if err != nil {
			return err
		}
		if refusal = edit(resources); refusal != nil {
			return refusal
		}
		// There is one default at most at every moment, also within the transaction: it is taken away before it is given.
		for _, isDefault := range []bool{false, true} {
			for _, resource := range resources {
				if resource.IsDefault != isDefault {
					continue
				}
				err := changeOne(tx.ExecContext(ctx, updateResource, resource.ID, resource.Status, optionalMicros{&resource.DeletedAt},
					document{&resource.Tags}, document{&resource.Detail}, resource.IsDefault))
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	switch {
	case refusal != nil: // the caller's own error, unchanged
		return refusal
	case err != nil:
		return fmt.Errorf("edit resources: %w", err)
	}
	return nil
}

// PruneResources removes the resources that were deleted before a time.
func (s *Store) PruneResources(ctx context.Context, before time.Time) error {
	err := s.write(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, deleteOldResources, before.UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("prune resources: %w", err)
	}
	return nil
}

func findResources(ctx context.Context, from Reader, query store.ResourceQuery) ([]platform.Resource, error) {
	var found where
	if query.ID != "" {
		found.and("id = ?", query.ID)
	}
	if query.Kind != "" {
		found.and("kind = ?", query.Kind)
	}
	if query.Name != "" {
		found.and("name = ?", query.Name)
	}
	if query.Revision != 0 {
		found.and("revision = ?", query.Revision)
	}
	if query.ServiceID != "" {
		found.and("service_id = ?", query.ServiceID)
	}
	if query.Status != "" {
		found.and("status = ?", query.Status)
	}
	if !query.WithDeleted {
		found.and("deleted_at IS NULL")
	}
	if query.LatestOnly {
		found.and(isLatest)
	}
	if query.DefaultOnly {
		found.and("is_default")
	}
	if query.After != nil {
		found.and("(created_at, id) > (?, ?)", query.After.CreatedAt.UnixMicro(), query.After.ID)
	}
	text := selectResources + found.text() + " ORDER BY created_at, id LIMIT " + found.bind(limit(query.Limit))
	return list(ctx, from, scanResource, text, found.args...)
}

func scanResource(from Row) (platform.Resource, error) {
	var resource platform.Resource
	err := from.Scan(&resource.ID, &resource.Kind, &resource.Name, &resource.Revision, &resource.ARN, &resource.Status,
		micros{&resource.CreatedAt}, optionalMicros{&resource.DeletedAt}, &resource.ServiceID, document{&resource.Tags},
		document{&resource.Detail}, &resource.IsDefault, &resource.IsLatest, &resource.IsUsed)
	return resource, interpret(err)
}
