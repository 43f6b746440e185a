package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// sentinel is the store's name for what the driver reports, by code; nil for what has none.
func sentinel(err error) error {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return nil
	}
	switch failure.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return store.ErrConflict
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return store.ErrNotFound
	}
	return nil
}

// Fault says what is wrong for an error that says that the database cannot be used now; empty for other errors.
func Fault(err error) string {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return ""
	}
	switch failure.Code() & 0xff { // the low byte is the primary code
	case sqlite3.SQLITE_FULL:
		return "apron's database cannot be written because its disk is full."
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
		return "apron's database cannot be used because its disk fails or is read-only."
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "apron's database is held by another process."
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return "apron's database is damaged."
	}
	return ""
}

// explainOpen says in words why a file cannot be used as a database.
func explainOpen(err error, file string) error {
	if platform.AsExplained(err) != nil {
		return err
	}
	var failure *sqlite.Error
	if errors.As(err, &failure) {
		switch failure.Code() & 0xff { // the low byte is the primary code
		case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
			return platform.Explain(err, "The file %s is not a database, or it is damaged. Restore it from a backup, or move it away to begin anew.", file)
		case sqlite3.SQLITE_FULL:
			return platform.Explain(err, "The database %s cannot be written because the disk is full.", file)
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return platform.Explain(err, "The database %s is held by another process. Stop it first.", file)
		}
	}
	return fmt.Errorf("open the database %s: %w", file, err)
}
