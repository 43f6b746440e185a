package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/apron-run/apron/internal/store/sqlstore"
)

const (
	// maxReaders bounds the connections that read at the same time; one more writes.
	maxReaders = 8
	// maxIdle is how long a connection is kept that nobody uses: what lies on its way may forget it.
	maxIdle = time.Minute
	// readTimeout bounds a query, writeTimeout a transaction, with the connecting before it. The server ends what it can
	// tell earlier (timeouts); these are for a server that does not answer at all.
	readTimeout, writeTimeout = 20 * time.Second, 40 * time.Second
	// migrateTimeout bounds all that opening does: another process may be migrating.
	migrateTimeout = 5 * time.Minute
)

// lockWrites makes the transaction the only one that writes. The number is apron's own, whatever else locks in the database.
const lockWrites = `SELECT pg_advisory_xact_lock(4707759172061132398)`

// patiently lets a transaction take as long as its context: another process may hold the lock for its migration, or hang with
// it until the server gives that up.
const patiently = `SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; `

// Open opens the database that url names and brings its schema up to date. A database that a newer apron has written is
// refused and left as it is. Failures that a person can act on are a *platform.ExplainedError.
func Open(ctx context.Context, url string) (*sqlstore.Store, error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	writer, reader := stdlib.OpenDB(*config), stdlib.OpenDB(*config)
	writer.SetMaxOpenConns(1)
	reader.SetMaxOpenConns(maxReaders)
	reader.SetMaxIdleConns(maxReaders)
	writer.SetConnMaxIdleTime(maxIdle)
	reader.SetConnMaxIdleTime(maxIdle)
	end := func() error { return errors.Join(reader.Close(), writer.Close()) }
	beginWith := func(settings string) sqlstore.Begin {
		return func(ctx context.Context) (*sql.Tx, error) { return begin(ctx, writer, settings) }
	}

	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	if err := sqlstore.Migrate(ctx, beginWith(patiently), name(config), nil); err != nil {
		return nil, errors.Join(explainOpen(err, config), end())
	}
	return sqlstore.New(sqlstore.Database{
		Begin: beginWith(""), WriteTimeout: writeTimeout, Reader: pool{reader}, Sentinel: sentinel, Close: end,
	}), nil
}

// begin begins a transaction that writes. Its statements see what was committed before each of them, whatever the server's
// default is: a transaction that sees what was there at its begin would not see what was written while it waited. settings are
// statements that go before.
func begin(ctx context.Context, db *sql.DB, settings string) (*sql.Tx, error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, settings+lockWrites); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for other writers: %w", err), tx.Rollback())
	}
	return tx, nil
}
