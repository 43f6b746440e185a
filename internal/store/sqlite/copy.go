package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// copySuffix is what the name of a copy has after the database's own, before the schema that it was made ahead of.
const copySuffix = ".before-schema-"

// keepCopy keeps the database as it is before its schema becomes that of a newer version. The copy of an upgrade that was
// cut short stays as it is, and those of earlier upgrades go.
func keepCopy(ctx context.Context, db *sql.DB, path string, version int) error {
	kept := path + copySuffix + strconv.Itoa(version)
	if _, err := os.Stat(kept); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	partial := kept + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	// SQLite copies what is in the write-ahead log too. The mode and the way to the disk are left to us.
	if _, err := db.ExecContext(ctx, "VACUUM INTO $1", partial); err != nil {
		return fmt.Errorf("copy the database: %w", errors.Join(err, os.RemoveAll(partial)))
	}
	if err := makeDurable(partial); err != nil {
		return fmt.Errorf("keep the copy of the database: %w", err)
	}
	if err := os.Rename(partial, kept); err != nil {
		return err
	}
	earlier, err := filepath.Glob(escaped(path) + copySuffix + "*")
	if err != nil {
		return err
	}
	var errs []error
	for _, each := range earlier {
		if each != kept {
			errs = append(errs, os.Remove(each))
		}
	}
	return errors.Join(errs...)
}

// makeDurable brings a file to the disk and keeps it from others, before it gets the name that says it is whole.
func makeDurable(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Chmod(0o600), file.Sync(), file.Close())
}

// escaped is a path in which no character means anything to Glob.
func escaped(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
