package postgres

import (
	"context"
	"database/sql"

	"github.com/apron-run/apron/internal/store/sqlstore"
)

// pool is the connections that read. Each query has a deadline, which holds until its last row is read.
type pool struct{ db *sql.DB }

func (p pool) QueryContext(ctx context.Context, query string, args ...any) (sqlstore.Rows, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	found, err := p.db.QueryContext(ctx, query, args...) //nolint:rowserrcheck // the caller checks it
	if err != nil {
		cancel()
		return nil, err
	}
	return &rows{found, cancel}, nil
}

func (p pool) QueryRowContext(ctx context.Context, query string, args ...any) sqlstore.Row {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	return &row{p.db.QueryRowContext(ctx, query, args...), cancel}
}

type rows struct {
	*sql.Rows
	cancel context.CancelFunc
}

func (r *rows) Close() error {
	defer r.cancel()
	return r.Rows.Close()
}

type row struct {
	*sql.Row
	cancel context.CancelFunc
}

func (r *row) Scan(to ...any) error {
	defer r.cancel()
	return r.Row.Scan(to...)
}
