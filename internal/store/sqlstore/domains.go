package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

const (
	domainColumns = `id, service_id, name, has_www, status, created_at, updated_at, records`
	insertDomain  = `INSERT INTO custom_domains (` + domainColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	selectDomains = `SELECT ` + domainColumns + ` FROM custom_domains`
	countDomains  = `SELECT COUNT(*) FROM custom_domains WHERE service_id = $1`
	// selectHolder finds the service that has one of two names, as a name or as the www of one.
	selectHolder = `SELECT services.arn FROM custom_domains JOIN services ON services.id = custom_domains.service_id
		WHERE custom_domains.name IN ($1, $2) OR has_www AND 'www.' || custom_domains.name IN ($1, $2) LIMIT 1`
	updateDomain           = `UPDATE custom_domains SET status = $2, updated_at = $3, records = $4 WHERE id = $1`
	deleteDomain           = `DELETE FROM custom_domains WHERE id = $1`
	deleteDomainsOfService = `DELETE FROM custom_domains WHERE service_id = $1`
)

// CreateDomain inserts domain if its service allows it and no service has the name.
func (s *Store) CreateDomain(ctx context.Context, domain platform.CustomDomain, allowed []platform.ServiceStatus, check func(domains int) error) error {
	var refusal error
	err := s.write(ctx, func(tx *transaction) error {
		service, err := s.scanService(tx.QueryRowContext(ctx, selectServiceByID, domain.ServiceID))
		if err != nil {
			return err
		}
		if !slices.Contains(allowed, service.Status) {
			return &store.StatusError{Status: service.Status}
		}
		hosts := domain.Hosts()
		holder, err := scanString(tx.QueryRowContext(ctx, selectHolder, hosts[0], hosts[len(hosts)-1]))
		if err == nil {
			return &store.TakenError{ServiceARN: holder}
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var domains int
		if err := tx.QueryRowContext(ctx, countDomains, domain.ServiceID).Scan(&domains); err != nil {
			return err
		}
		if check != nil {
			if refusal = check(domains); refusal != nil {
				return refusal
			}
		}
		_, err = tx.ExecContext(ctx, insertDomain, domain.ID, domain.ServiceID, domain.Name, domain.HasWWW, domain.Status,
			micros{&domain.CreatedAt}, micros{&domain.UpdatedAt}, document{&domain.Records})
		return err
	})
	switch {
	case refusal != nil: // the caller's own error, unchanged
		return refusal
	case err != nil:
		return fmt.Errorf("create domain %s: %w", domain.Name, err)
	}
	return nil
}

// ListDomains returns domains, newest first.
func (s *Store) ListDomains(ctx context.Context, query store.DomainQuery) ([]platform.CustomDomain, error) {
	var found where
	if query.ServiceID != "" {
		found.and("service_id = ?", query.ServiceID)
	}
	if query.Name != "" {
		found.and("name = ?", query.Name)
	}
	if query.Unsettled {
		found.and("status NOT IN (?, ?, ?)", platform.DomainStatusActive, platform.DomainStatusCreateFailed, platform.DomainStatusDeleteFailed)
	}
	if query.After != nil {
		found.and("(created_at, id) < (?, ?)", query.After.CreatedAt.UnixMicro(), query.After.ID)
	}
	text := selectDomains + found.text() + " ORDER BY created_at DESC, id DESC LIMIT " + found.bind(limit(query.Limit))
	domains, err := list(ctx, s.reader, scanDomain, text, found.args...)
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	return domains, nil
}

// EditDomain lets edit change a domain.
func (s *Store) EditDomain(ctx context.Context, id platform.ResourceID, edit func(*platform.CustomDomain) error) (platform.CustomDomain, error) {
	var domain platform.CustomDomain
	var refusal error
	err := s.write(ctx, func(tx *transaction) (err error) {
		if domain, err = scanDomain(tx.QueryRowContext(ctx, selectDomains+" WHERE id = $1", id)); err != nil {
			return err
		}
		if refusal = edit(&domain); refusal != nil {
			return refusal
		}
		domain.UpdatedAt = domain.UpdatedAt.UTC().Truncate(time.Microsecond)
		return changeOne(tx.ExecContext(ctx, updateDomain, id, domain.Status, micros{&domain.UpdatedAt}, document{&domain.Records}))
	})
	switch {
	case refusal != nil: // the caller's own error, unchanged
		return platform.CustomDomain{}, refusal
	case err != nil:
		return platform.CustomDomain{}, fmt.Errorf("edit domain %s: %w", id, err)
	}
	return domain, nil
}

// DeleteDomain removes one; an unknown id is done already.
func (s *Store) DeleteDomain(ctx context.Context, id platform.ResourceID) error {
	err := s.write(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, deleteDomain, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete domain %s: %w", id, err)
	}
	return nil
}

func scanDomain(from Row) (platform.CustomDomain, error) {
	var domain platform.CustomDomain
	err := from.Scan(&domain.ID, &domain.ServiceID, &domain.Name, &domain.HasWWW, &domain.Status,
		micros{&domain.CreatedAt}, micros{&domain.UpdatedAt}, document{&domain.Records})
	return domain, interpret(err)
}
