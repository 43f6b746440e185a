package sqlstore

import (
	"context"
	"embed"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

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

// Migrate brings the schema up to date, each migration in a transaction of its own, and refuses a newer schema. Several
// processes may do that at once, because begin lets only one of them write. The database has a name for people. before,
// when not nil, is called ahead of the first change to a database that has data, with the version that it is to have.
func Migrate(ctx context.Context, begin Begin, name string, before func(ctx context.Context, version int) error) error {
	migrations, err := migrations()
	if err != nil {
		return err
	}
	version, err := currentVersion(ctx, begin)
	if err != nil {
		return err
	}
	newest := migrations[len(migrations)-1].version
	if version > newest {
		return platform.Explain(nil,
			"The database %s was written by a newer apron (schema %d, and this apron knows schemas up to %d). Start that apron, or restore a backup from before the upgrade.",
			name, version, newest)
	}
	if before != nil && version > 0 && version < newest {
		if err := before(ctx, newest); err != nil {
			return fmt.Errorf("before the database is migrated: %w", err)
		}
	}
	for _, m := range migrations {
		if m.version <= version {
			continue
		}
		if err := m.apply(ctx, begin); err != nil {
			return fmt.Errorf("migrate the database to %s: %w", m.name, err)
		}
	}
	return nil
}

// currentVersion is that of the newest migration that was applied; 0 in a new database.
func currentVersion(ctx context.Context, begin Begin) (version int, err error) {
	tx, err := begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() // does nothing after Commit
	if _, err := tx.ExecContext(ctx, createSchemaVersions); err != nil {
		return 0, err
	}
	if err := tx.QueryRowContext(ctx, selectSchemaVersion).Scan(&version); err != nil {
		return 0, err
	}
	return version, tx.Commit()
}

func (m migration) apply(ctx context.Context, begin Begin) error {
	tx, err := begin(ctx)
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
