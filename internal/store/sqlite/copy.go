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
	"time"

	"golang.org/x/sys/unix"
)

// copySuffix is what the name of a copy has after the database's own, before the schema that it was made ahead of.
const copySuffix = ".before-schema-"

// keepCopy keeps the database as it is before its schema becomes that of a newer version. The copy of an upgrade that was
// cut short stays as it is, and those of earlier upgrades go. Of several that do this at once one makes the copy.
func keepCopy(ctx context.Context, db *sql.DB, path string, version int) error {
	folder, err := lockFolder(ctx, filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
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

// lockFolder waits until nobody else has the folder locked, and locks it until it is closed.
func lockFolder(ctx context.Context, dir string) (*os.File, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return folder, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock the database's folder: %w", err), folder.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), folder.Close())
		case <-time.After(10 * time.Millisecond):
		}
	}
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
