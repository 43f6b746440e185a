package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/apron-run/apron/internal/store"
)

// Database is what differs between the databases that keep a Store.
type Database struct {
	Begin Begin
	// WriteTimeout bounds one transaction. 0 is no bound, for a database that nothing lies between.
	WriteTimeout time.Duration
	// Reader reads outside of transactions, at any time.
	Reader Reader
	// Sentinel returns the sentinel of package store that a driver's error stands for, by its code, or nil.
	Sentinel func(error) error
	// Close ends all connections.
	Close func() error
}

// Begin starts a transaction that is the only one that writes until it ends, among those of all processes. What it reads
// is what the one before has written.
type Begin func(ctx context.Context) (*sql.Tx, error)

// Reader asks queries.
type Reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) Row
}

// Rows are a query's; Close must be called.
type Rows interface {
	Row
	Next() bool
	Err() error
	Close() error
}

// Row is what a scan function reads from. Of a query for one row, Scan must be called.
type Row interface{ Scan(...any) error }

// Frequent are the queries that requests to the API ask.
var Frequent = []string{selectServiceByID, selectServices, selectOperations}

// Store is a store.Store in one database. All methods may be called at the same time.
type Store struct {
	database       Database
	writer         writer
	reader         Reader
	configurations configurations
}

var _ store.Store = (*Store)(nil)

// New returns the store in a database whose schema Migrate has brought up to date.
func New(database Database) *Store {
	return &Store{database: database, writer: writer{database: database}, reader: database.Reader}
}

// Close ends all connections.
func (s *Store) Close() error { return s.database.Close() }

// write runs one transaction; see writer.
func (s *Store) write(ctx context.Context, work func(tx *transaction) error) error {
	return s.writer.write(ctx, work)
}

// list reads all rows of a query.
func list[T any](ctx context.Context, from Reader, scan func(Row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// interpret makes the store's sentinel from the absence of a row; other errors come back as they are.
func interpret(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}

// interpret makes the store's sentinels also from what a write violates.
func (w *writer) interpret(err error) error {
	err = interpret(err)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return err
	}
	if sentinel := w.database.Sentinel(err); sentinel != nil {
		return fmt.Errorf("%w (%w)", sentinel, err)
	}
	return err
}
