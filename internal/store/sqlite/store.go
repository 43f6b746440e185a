package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store/sqlstore"
)

// Open opens the database at path, makes it if there is none, and brings its schema up to date. A database that a newer
// apron has written is refused and left as it is. Failures that a person can act on are a *platform.ExplainedError.
func Open(ctx context.Context, path string) (*sqlstore.Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the database: %w", err)
	}
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, "&_txlock=immediate"))
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	db.SetMaxOpenConns(1)
	begin := func(ctx context.Context) (*sql.Tx, error) { return db.BeginTx(ctx, nil) }
	before := func(ctx context.Context, version int) error { return keepCopy(ctx, db, path, version) }
	if err := sqlstore.Migrate(ctx, begin, path, before); err != nil {
		return nil, errors.Join(explainOpen(err, path), db.Close())
	}
	reader, err := openPool(ctx, dsn(path, "&_query_only=1"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the database: %w", err), db.Close())
	}
	// The last connection that closes folds the write-ahead log into the file.
	end := func() error { return errors.Join(reader.Close(), db.Close()) }
	return sqlstore.New(sqlstore.Database{Begin: begin, Reader: reader, Sentinel: sentinel, Close: end}), nil
}

// dsn holds the pragmas because they belong to a connection, not to the file: a pool opens connections at any time.
func dsn(path, more string) string {
	file := url.URL{Scheme: "file", Path: path}
	return file.String() + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=foreign_keys(1)&_pragma=journal_size_limit(16777216)" + more
}

// makePrivate makes the file, so that it never exists with a wider mode; SQLite gives its log the same mode.
func makePrivate(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return platform.Explain(err, "The database %s cannot be made because its folder does not exist.", path)
	case errors.Is(err, fs.ErrPermission):
		return platform.Explain(err, "The database %s cannot be opened for writing: permission denied.", path)
	case err != nil:
		return fmt.Errorf("make the database: %w", err)
	}
	return errors.Join(file.Chmod(0o600), file.Close())
}
