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
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/store/postgres"
	"github.com/apron-run/apron/internal/store/sqlite"
)

// localOwner is in whose name operations of a database in the data directory are leased. The claim on the directory keeps
// it the only one.
const localOwner = "local"

// openStore opens the database that the settings name. One in the data directory is made only where there was none: by an empty
// one, the services that run would be nobody's, and removed with their images.
func (c Config) openStore(ctx context.Context) (store.Store, error) {
	if c.Database != "" {
		return postgres.Open(ctx, c.Database)
	}
	path := filepath.Join(c.DataDir, "apron.db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if services, _ := os.ReadDir(filepath.Join(c.DataDir, "logs")); len(services) > 0 {
			return nil, platform.Explain(nil,
				"The database %s is gone, and %s has services of it. Put it back from a backup, or name the one that they are in with --database. To begin anew: `apron down`, and remove %[2]s.",
				path, c.DataDir)
		}
	}
	return sqlite.Open(ctx, path)
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
	self, err := c.self()
	return self.Host + "/" + self.ID, err
}

// self is who this apron is, also under another name of its machine.
func (c Config) self() (store.Owner, error) {
	host, err := os.Hostname()
	if err != nil {
		return store.Owner{}, fmt.Errorf("name this apron: %w", err)
	}
	path := filepath.Join(c.DataDir, "owner")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		content = []byte(rand.Text() + "\n")
		err = writeFile(path, content)
	}
	if err != nil {
		return store.Owner{}, fmt.Errorf("name this apron: %w", err)
	}
	return store.Owner{ID: strings.TrimSpace(string(content)), Host: host}, nil
}

// own refuses a database on a server that is another apron's. Each would start the instances of all services, on its own
// machine.
func (c Config) own(ctx context.Context, db store.Store) error {
	if c.Database == "" {
		return nil // the claim on the data directory is enough
	}
	self, err := c.self()
	if err != nil {
		return err
	}
	owner, err := db.Own(ctx, self, c.TakeDatabase)
	if err != nil {
		return err
	}
	if owner.ID != self.ID {
		return platform.Explain(nil,
			"The database belongs to the apron %s on the machine %s, which has the instances. Give this apron a database of its own with --database. If that apron is gone for good, take over what it had with --take-database=%s.",
			owner.ID, owner.Host, owner.ID)
	}
	return nil
}

// ownEvery is how soon an apron notices that another has taken its database.
const ownEvery = 5 * time.Second

// keepOwning returns an error once the database is another apron's.
func (c Config) keepOwning(db store.Store) func(context.Context) error {
	c.TakeDatabase = "" // what was taken over may be taken from this one
	return func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(ownEvery):
			}
			if err := c.own(ctx, db); platform.AsExplained(err) != nil {
				return err
			}
		}
	}
}
