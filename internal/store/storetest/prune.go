package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// testPruneServices deletes one of two services, each with a revision, and prunes at two times.
func testPruneServices(t *testing.T, db store.Store) {
	kept, gone := runningService(t, db, 1), runningService(t, db, 2)
	var revisions []platform.RevisionID
	for _, service := range []platform.Service{kept, gone} {
		revision, err := db.CreateRevision(t.Context(), platform.Revision{
			ID: platform.RevisionIDFor(platform.NewOperationID()), ServiceID: service.ID, CreatedAt: epoch, Configuration: service.Configuration,
		})
		if err != nil {
			t.Fatal(err)
		}
		revisions = append(revisions, revision.ID)
	}
	deletedAt := epoch.Add(time.Hour)
	_, operation, err := db.StartOperation(t.Context(), newOperation(gone, platform.OperationDeleteService, 3), fromRunning, nil)
	if err != nil {
		t.Fatal(err)
	}
	operation = claim(t, db, operation.ID)
	for _, next := range pathTo(operation.Status, platform.OperationStatusSucceeded) {
		operation.Status = next
		err := db.SaveOperation(t.Context(), operation, func(s *platform.Service) {
			s.Status, s.DeletedAt = platform.ServiceStatusDeleted, &deletedAt
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		before time.Time
		isGone bool
	}{{deletedAt, false}, {deletedAt.Add(time.Second), true}} {
		if err := db.PruneServices(t.Context(), step.before); err != nil {
			t.Fatal(err)
		}
		_, byID := db.ServiceByID(t.Context(), gone.ID)
		_, ofOperation := db.OperationByID(t.Context(), operation.ID)
		_, ofRevision := db.RevisionByID(t.Context(), revisions[1])
		for what, err := range map[string]error{"service": byID, "operation": ofOperation, "revision": ofRevision} {
			if errors.Is(err, store.ErrNotFound) != step.isGone || err != nil && !step.isGone {
				t.Errorf("pruned before %s: the %s: %v", step.before, what, err)
			}
		}
	}
	checkEqual(t, "the other service", readService(t, db, kept.ID), kept)
	if got := listOperations(t, db, kept.ID); len(got) != 1 {
		t.Errorf("the other service has %d operations", len(got))
	}
	if _, err := db.RevisionByID(t.Context(), revisions[0]); err != nil {
		t.Errorf("the other service's revision: %v", err)
	}
}
