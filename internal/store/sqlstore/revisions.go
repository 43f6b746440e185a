package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

const (
	revisionColumns = `id, service_id, number, created_at, image, image_digest, commit_id, runtime, build_key, process, configuration`
	insertRevision  = `INSERT INTO revisions (` + revisionColumns + `)
		VALUES ($1, $2, (SELECT COALESCE(MAX(number), 0) + 1 FROM revisions WHERE service_id = $2), $3, $4, $5, $6, $7, $8, $9, $10)
		RETURNING ` + revisionColumns
	selectRevisionByID = `SELECT ` + revisionColumns + ` FROM revisions WHERE id = $1`
	selectRevisions    = `SELECT ` + revisionColumns + ` FROM revisions WHERE service_id = $1 ORDER BY number DESC`
	deleteRevision     = `DELETE FROM revisions WHERE id = $1`
)

// CreateRevision inserts the revision of an operation under the next number, or returns the row that has its id already.
func (s *Store) CreateRevision(ctx context.Context, revision platform.Revision, operation platform.Operation) (platform.Revision, error) {
	var stored platform.Revision
	err := s.write(ctx, func(tx *transaction) (err error) {
		now, err := scanOperation(tx.QueryRowContext(ctx, selectOperationByID, operation.ID))
		if err != nil {
			return err
		}
		if now.LeaseTerm != operation.LeaseTerm || now.Status.IsTerminal() || now.Failure != nil {
			return fmt.Errorf("%w: the operation of the revision goes on without its maker", store.ErrConflict)
		}
		stored, err = scanRevision(tx.QueryRowContext(ctx, selectRevisionByID, revision.ID))
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		stored, err = scanRevision(tx.QueryRowContext(ctx, insertRevision, revision.ID, revision.ServiceID,
			micros{&revision.CreatedAt}, revision.Image, revision.ImageDigest, revision.Commit, revision.Runtime, revision.BuildKey,
			document{&processDocument{&revision.Process, revision.Runtimes}}, document{&revision.Configuration}))
		return err
	})
	if err != nil {
		return platform.Revision{}, fmt.Errorf("create revision %s: %w", revision.ID, err)
	}
	return stored, nil
}

// RevisionByID returns one revision.
func (s *Store) RevisionByID(ctx context.Context, id platform.RevisionID) (platform.Revision, error) {
	revision, err := scanRevision(s.reader.QueryRowContext(ctx, selectRevisionByID, id))
	if err != nil {
		return platform.Revision{}, fmt.Errorf("read revision %s: %w", id, err)
	}
	return revision, nil
}

// ListRevisions returns a service's revisions, newest first.
func (s *Store) ListRevisions(ctx context.Context, service platform.ServiceID) ([]platform.Revision, error) {
	revisions, err := list(ctx, s.reader, scanRevision, selectRevisions, service)
	if err != nil {
		return nil, fmt.Errorf("list revisions of service %s: %w", service, err)
	}
	return revisions, nil
}

// DeleteRevision removes one; an unknown id is done already.
func (s *Store) DeleteRevision(ctx context.Context, id platform.RevisionID) error {
	err := s.write(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, deleteRevision, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete revision %s: %w", id, err)
	}
	return nil
}

func scanRevision(from Row) (platform.Revision, error) {
	var revision platform.Revision
	process := processDocument{Process: &revision.Process}
	err := from.Scan(&revision.ID, &revision.ServiceID, &revision.Number, micros{&revision.CreatedAt}, &revision.Image,
		&revision.ImageDigest, &revision.Commit, &revision.Runtime, &revision.BuildKey,
		document{&process}, document{&revision.Configuration})
	revision.Runtimes = process.Runtimes
	return revision, interpret(err)
}

// processDocument is all that a build has found out, in the column of the process.
type processDocument struct {
	*platform.Process
	Runtimes map[string]string `json:",omitempty"`
}
