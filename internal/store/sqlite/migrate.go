package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/apron-run/apron/internal/platform"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one step of the schema. Its version is the number that its file name begins with.
type migration struct {
	version int
	name    string
	text    string
}

const (
	createSchemaVersions = `CREATE TABLE IF NOT EXISTS schema_versions
		(version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)`
	selectSchemaVersion = `SELECT COALESCE(MAX(version), 0) FROM schema_versions`
	insertSchemaVersion = `INSERT INTO schema_versions (version, name, applied_at) VALUES ($1, $2, $3)`
)

// migrate brings the schema up to date, each migration in a transaction of its own, and refuses a newer schema.
func migrate(ctx context.Context, db *sql.DB, file string) error {
	migrations, err := migrations()
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, createSchemaVersions); err != nil {
		return explainOpen(err, file)
	}
	var version int
	if err := db.QueryRowContext(ctx, selectSchemaVersion).Scan(&version); err != nil {
		return explainOpen(err, file)
	}
	if newest := migrations[len(migrations)-1].version; version > newest {
		return platform.Explain(nil,
			"The database %s was written by a newer apron (schema %d, and this apron knows schemas up to %d). Start that apron, or restore a backup from before the upgrade.",
			file, version, newest)
	}
	for _, m := range migrations {
		if m.version <= version {
			continue
		}
		if err := m.apply(ctx, db); err != nil {
			return fmt.Errorf("migrate the database to %s: %w", m.name, err)
		}
	}
	return nil
}

func (m migration) apply(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	var version int
	if err := tx.QueryRowContext(ctx, selectSchemaVersion).Scan(&version); err != nil {
		return err
	}
	if version >= m.version {
		return nil // another process was faster
	}
	if _, err := tx.ExecContext(ctx, m.text); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, insertSchemaVersion, m.version, m.name, time.Now().UnixMicro()); err != nil {
		return err
	}
	return tx.Commit()
}

// migrations returns the embedded migrations in order; embed lists files by name, and names begin with four digits.
func migrations() ([]migration, error) {
	entries, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	all := make([]migration, len(entries))
	for i, entry := range entries {
		text, err := migrationFiles.ReadFile(path.Join("migrations", entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		digits, _, _ := strings.Cut(entry.Name(), "_")
		version, err := strconv.Atoi(digits)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %s is not the %d. of an unbroken row", entry.Name(), i+1)
		}
		all[i] = migration{version: version, name: strings.TrimSuffix(entry.Name(), ".sql"), text: string(text)}
	}
	return all, nil
}

// explainOpen says in words why a file cannot be used as a database.
func explainOpen(err error, file string) error {
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
