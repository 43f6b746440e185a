package app

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/secret"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/connection"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/store"
)

// secretsFile is the key of what is sealed in the database. It lies beside the database, in a file of its own.
const secretsFile = "secrets.key"

// newBox reads the key of what is sealed, or makes it.
func newBox(config Config) (*secret.Box, error) {
	key, err := ensureKey(filepath.Join(config.DataDir, secretsFile))
	if err != nil {
		return nil, fmt.Errorf("read the key of secrets: %w", err)
	}
	return secret.New(key)
}

// newVault keeps secrets in the database.
func newVault(config Config, db store.Resources, box *secret.Box) *secret.Vault {
	arn := func(path string) string {
		return "arn:aws:apprunner:" + config.Region + ":" + config.Account + ":" + path
	}
	return &secret.Vault{Box: box, Store: db, ARN: arn, Now: time.Now}
}

// newConnections reads repositories by git, with the credentials of connections, which are sealed in the database.
func newConnections(db store.Resources, box *secret.Box, repositories *git.Repositories) *connection.Connections {
	return connection.New(connection.Config{
		Secrets: box,
		As:      func(access *source.Access) connection.Repositories { return repositories.As(access) },
		ByARN: func(ctx context.Context, arn string) (platform.Resource, bool, error) {
			query := store.ResourceQuery{Kind: platform.ResourceConnection, ID: platform.ResourceID(path.Base(arn))}
			found, err := db.ListResources(ctx, query)
			if err != nil || len(found) == 0 || found[0].ARN != arn {
				return platform.Resource{}, false, err
			}
			return found[0], true, nil
		},
	})
}
