package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/apron-run/apron/internal/store/sqlstore"
)

// maxReaders bounds the connections that read at the same time; each has its own page cache of up to 2 MB.
const maxReaders = 4

// pool is the connections that read. What each request asks for is prepared once for a connection: to parse the text of
// a query takes as long as to find its row.
type pool struct {
	db       *sql.DB
	prepared map[string]*sql.Stmt
}

func openPool(ctx context.Context, dsn string) (*pool, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(maxReaders)
	db.SetMaxIdleConns(maxReaders)
	p := &pool{db, map[string]*sql.Stmt{}}
	for _, query := range sqlstore.Frequent {
		statement, err := db.PrepareContext(ctx, query) //nolint:sqlclosecheck // it lives as long as db
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
		p.prepared[query] = statement
	}
	return p, nil
}

// Close ends the connections, and with them what was prepared for each.
func (p *pool) Close() error { return p.db.Close() }

func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (sqlstore.Rows, error) {
	if statement := p.prepared[query]; statement != nil {
		return statement.QueryContext(ctx, args...) //nolint:rowserrcheck // the caller checks it
	}
	return p.db.QueryContext(ctx, query, args...) //nolint:rowserrcheck // the caller checks it
}

// QueryRowContext is not ended with ctx: one row is there in microseconds, and to watch for the end takes goroutines,
// which cost as much.
func (p *pool) QueryRowContext(ctx context.Context, query string, args ...any) sqlstore.Row {
	ctx = context.WithoutCancel(ctx)
	if statement := p.prepared[query]; statement != nil {
		return statement.QueryRowContext(ctx, args...)
	}
	return p.db.QueryRowContext(ctx, query, args...)
}
