// Package sqlitetest fills a database for a measurement, which through the store would take a transaction for each row.
package sqlitetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// numbers are those of the copies.
const numbers = `WITH RECURSIVE numbers (n) AS (SELECT $2 UNION ALL SELECT n + 1 FROM numbers WHERE n < $3) `

// What differs from copy to copy, by column.
var (
	changedInService = map[string]string{
		"id": `printf('%032x', n)`, "name": `name || '-' || n`, "subdomain": `printf('c%09d', n)`,
		"arn":        `replace(arn, name || '/' || id, name || '-' || n || '/' || printf('%032x', n))`,
		"created_at": `created_at + n`, "updated_at": `updated_at + n`,
		"configuration": `json_set(configuration, '$.Source.Image.Environment', json_object('NUMBER', CAST(n AS TEXT)))`,
	}
	changedInOperation = map[string]string{
		"id": `printf('%032x', n)`, "started_at": `started_at + n`, "updated_at": `updated_at + n`, "ended_at": `ended_at + n`,
	}
)

const (
	copyUses = `INSERT INTO service_uses SELECT service_uses.arn, services.id FROM service_uses, services
		WHERE service_uses.service_id = $1 AND services.id NOT IN (SELECT service_id FROM service_uses)`
	isEnded = `id = (SELECT id FROM operations WHERE service_id = $1 AND ended_at IS NOT NULL LIMIT 1)`
)

// CopyService makes copies of a service in the database at path, numbered from first to last. They differ in their names
// and in a variable, each is a microsecond younger than the one before, and they have no operations. No service but the
// one and its copies may use a resource.
func CopyService(ctx context.Context, path, id string, first, last int) error {
	return change(ctx, path, func(tx *sql.Tx) error {
		if err := copyRow(ctx, tx, "services", changedInService, "id = $1", id, first, last); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, copyUses, id); err != nil {
			return fmt.Errorf("copy what the service uses: %w", err)
		}
		return nil
	})
}

// CopyOperation gives a service so many copies of an operation of its own that has ended.
func CopyOperation(ctx context.Context, path, service string, copies int) error {
	return change(ctx, path, func(tx *sql.Tx) error {
		return copyRow(ctx, tx, "operations", changedInOperation, isEnded, service, 1, copies)
	})
}

// copyRow copies the row that condition finds, with whatever columns its table has.
func copyRow(ctx context.Context, tx *sql.Tx, table string, changed map[string]string, condition, id string, first, last int) error {
	rows, err := tx.QueryContext(ctx, "SELECT * FROM "+table+" LIMIT 0")
	if err != nil {
		return err
	}
	columns, err := rows.Columns()
	if err := errors.Join(err, rows.Close()); err != nil { //nolint:sqlclosecheck // the connection is needed next
		return err
	}
	for i, column := range columns {
		if expression := changed[column]; expression != "" {
			columns[i] = expression
		}
	}
	result, err := tx.ExecContext(ctx, numbers+"INSERT INTO "+table+" SELECT "+strings.Join(columns, ", ")+
		" FROM "+table+", numbers WHERE "+condition, id, first, last)
	if err != nil {
		return fmt.Errorf("copy a row of %s: %w", table, err)
	}
	if made, err := result.RowsAffected(); err != nil || made != int64(last-first+1) {
		return errors.Join(fmt.Errorf("made %d copies of a row of %s, want %d", made, table, last-first+1), err)
	}
	return nil
}

// change runs one transaction, beside a store that may have the database open.
func change(ctx context.Context, path string, work func(tx *sql.Tx) error) error {
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	if err := work(tx); err != nil {
		return errors.Join(err, tx.Rollback(), db.Close())
	}
	return errors.Join(tx.Commit(), db.Close())
}
