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
	var services []platform.Service
	var revisions []platform.RevisionID
	for n := range 2 {
		service, operation := createService(t, db, n)
		revisions = append(revisions, createRevision(t, db, newRevision(service), operation).ID)
		finish(t, db, claim(t, db, operation.ID), platform.OperationStatusSucceeded, platform.ServiceStatusRunning)
		services = append(services, readService(t, db, service.ID))
	}
	kept, gone := services[0], services[1]
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
