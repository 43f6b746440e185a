package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/store/postgres"
	"github.com/apron-run/apron/internal/store/sqlite"
)

// localOwner is in whose name operations of a database in the data directory are leased. The claim on the directory keeps
// it the only one.
const localOwner = "local"

// openStore opens the database that the settings name.
func (c Config) openStore(ctx context.Context) (store.Store, error) {
	if c.Database == "" {
		return sqlite.Open(ctx, filepath.Join(c.DataDir, "apron.db"))
	}
	return postgres.Open(ctx, c.Database)
}

// storeFault says what is wrong with the database, for an error that says that it cannot be used now.
func (c Config) storeFault(err error) string {
	if c.Database == "" {
		return sqlite.Fault(err)
	}
	return postgres.Fault(err)
}

// leaseOwner is in whose name this apron leases operations: the same at each start, so that it finds what it had leased, and
// another than that of every apron that shares its database.
func (c Config) leaseOwner() (string, error) {
	if c.Database == "" {
		return localOwner, nil
	}
	// A copy of the data directory, on another machine, is another apron.
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("name this apron: %w", err)
	}
	path := filepath.Join(c.DataDir, "owner")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		content = []byte(rand.Text() + "\n")
		err = writeFile(path, content)
	}
	if err != nil {
		return "", fmt.Errorf("name this apron: %w", err)
	}
	return host + "/" + strings.TrimSpace(string(content)), nil
}
