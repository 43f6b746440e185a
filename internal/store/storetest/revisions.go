package storetest

import (
	"errors"
	"testing"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

var revisionTests = map[string]func(*testing.T, store.Store){
	"a created revision reads back as it was": func(t *testing.T, db store.Store) {
		service, operation := createService(t, db, 1)
		want := newRevision(service)
		got := createRevision(t, db, want, operation)
		want.Number = 1
		checkEqual(t, "created", got, want)
		stored, err := db.RevisionByID(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		checkEqual(t, "stored", stored, want)
	},
	"revisions are numbered from 1 for each service and listed newest first": func(t *testing.T, db store.Store) {
		first, ofFirst := createService(t, db, 1)
		second, ofSecond := createService(t, db, 2)
		var want []platform.Revision
		for n := range 3 {
			revision := createRevision(t, db, newRevision(first), ofFirst)
			if revision.Number != n+1 {
				t.Errorf("number %d, want %d", revision.Number, n+1)
			}
			want = append([]platform.Revision{revision}, want...)
		}
		if number := createRevision(t, db, newRevision(second), ofSecond).Number; number != 1 {
			t.Errorf("the other service's number %d, want 1", number)
		}
		checkEqual(t, "revisions", listRevisions(t, db, first.ID), want)
	},
	"a second creation returns the first one's row": func(t *testing.T, db store.Store) {
		service, operation := createService(t, db, 1)
		revision := newRevision(service)
		first := createRevision(t, db, revision, operation)
		createRevision(t, db, newRevision(service), operation)
		revision.Image = "another"
		checkEqual(t, "second creation", createRevision(t, db, revision, operation), first)
		if got := len(listRevisions(t, db, service.ID)); got != 2 {
			t.Errorf("%d revisions, want 2", got)
		}
	},
	"16 creations of one revision at the same time make one": func(t *testing.T, db store.Store) {
		service, operation := createService(t, db, 1)
		revision := newRevision(service)
		wins := race(16, func(int) error {
			_, err := db.CreateRevision(t.Context(), revision, operation)
			return err
		}, func(err error) { t.Error(err) })
		if got := len(listRevisions(t, db, service.ID)); wins != 16 || got != 1 {
			t.Errorf("%d creations returned without error and made %d revisions, want 16 and 1", wins, got)
		}
	},
	"a number goes on after older revisions were removed": func(t *testing.T, db store.Store) {
		service, operation := createService(t, db, 1)
		first := createRevision(t, db, newRevision(service), operation)
		createRevision(t, db, newRevision(service), operation)
		for range 2 { // twice is safe
			if err := db.DeleteRevision(t.Context(), first.ID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.RevisionByID(t.Context(), first.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("read a deleted revision: %v, want ErrNotFound", err)
		}
		if number := createRevision(t, db, newRevision(service), operation).Number; number != 3 {
			t.Errorf("number %d, want 3", number)
		}
	},
	"an operation makes its revision in the name of its newest lease, until it fails or ends": func(t *testing.T, db store.Store) {
		service, operation := createService(t, db, 1)
		refuse := func(when string, operation platform.Operation) {
			t.Helper()
			if _, err := db.CreateRevision(t.Context(), newRevision(service), operation); !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s: %v, want ErrConflict", when, err)
			}
		}
		claimed := claim(t, db, operation.ID)
		refuse("with an older term", operation)
		createRevision(t, db, newRevision(service), claimed)
		claimed.Status, claimed.Failure = platform.OperationStatusInProgress, &platform.Failure{Cause: "It failed."}
		if err := db.SaveOperation(t.Context(), claimed, nil); err != nil {
			t.Fatal(err)
		}
		refuse("after a failure", claimed)
		refuse("after the end", finish(t, db, claimed, platform.OperationStatusFailed, platform.ServiceStatusCreateFailed))
		if got := len(listRevisions(t, db, service.ID)); got != 1 {
			t.Errorf("%d revisions, want 1", got)
		}
	},
	"what is not there is ErrNotFound": func(t *testing.T, db store.Store) {
		_, byID := db.RevisionByID(t.Context(), "none")
		_, create := db.CreateRevision(t.Context(), newRevision(platform.Service{ID: "none"}), platform.Operation{ID: "none"})
		for what, err := range map[string]error{"by id": byID, "create for no operation": create} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v, want ErrNotFound", what, err)
			}
		}
		if got := listRevisions(t, db, "none"); len(got) != 0 {
			t.Errorf("listed %v", got)
		}
	},
}

func newRevision(service platform.Service) platform.Revision {
	return platform.Revision{
		ID: platform.RevisionIDFor(platform.NewOperationID()), ServiceID: service.ID, CreatedAt: epoch,
		Image: "apron.local/service/x:y", ImageDigest: "sha256:1", Commit: "1a2b3c4", Runtime: "python311", BuildKey: "sha256:2",
		Process: platform.Process{
			Command: "python app.py", Port: 8080, PortVariable: "APP_PORT",
			Environment: map[string]string{"A": "1"}, Secrets: map[string]string{"B": "arn:b"},
		},
		Configuration: service.Configuration, Runtimes: map[string]string{"python311": "sha256:2"},
	}
}

func createRevision(t testing.TB, db store.Store, revision platform.Revision, operation platform.Operation) platform.Revision {
	t.Helper()
	stored, err := db.CreateRevision(t.Context(), revision, operation)
	if err != nil {
		t.Fatalf("create revision: %v", err)
	}
	return stored
}

func listRevisions(t testing.TB, db store.Store, id platform.ServiceID) []platform.Revision {
	t.Helper()
	revisions, err := db.ListRevisions(t.Context(), id)
	if err != nil {
		t.Fatalf("list revisions: %v", err)
	}
	return revisions
}
