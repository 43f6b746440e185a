package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

func testCancel(t *testing.T, db store.Store) {
	service, operation := createService(t, db, 1)
	asked := func(owner string) []platform.OperationID {
		t.Helper()
		ids, err := db.CancelsAsked(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	operation = claim(t, db, operation.ID)
	checkEqual(t, "before it is asked for", asked("owner"), []platform.OperationID(nil))
	at := epoch.Add(time.Second)
	for _, when := range []time.Time{at, at.Add(time.Second)} { // the second changes nothing
		got, err := db.AskCancel(t.Context(), operation.ID, when)
		if err != nil || got.CancelAskedAt == nil || !got.CancelAskedAt.Equal(at) {
			t.Errorf("asked at %v: %v, %v", when, got.CancelAskedAt, err)
		}
	}
	checkEqual(t, "of the holder", asked("owner"), []platform.OperationID{operation.ID})
	checkEqual(t, "of another", asked("other"), []platform.OperationID(nil))

	// A writer who does not know of it yet does not undo it.
	operation.Status = platform.OperationStatusInProgress
	if err := db.SaveOperation(t.Context(), operation, nil); err != nil {
		t.Fatal(err)
	}
	if got := readOperation(t, db, operation.ID); got.CancelAskedAt == nil {
		t.Error("a save has undone the cancel")
	}
	finish(t, db, operation, platform.OperationStatusFailed, platform.ServiceStatusCreateFailed)
	checkEqual(t, "after the end", asked("owner"), []platform.OperationID(nil))
	if _, err := db.AskCancel(t.Context(), operation.ID, at); !errors.Is(err, store.ErrConflict) {
		t.Errorf("of one that has ended: %v, want ErrConflict", err)
	}
	if _, err := db.AskCancel(t.Context(), "none", at); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of none: %v, want ErrNotFound", err)
	}
	if next := readService(t, db, service.ID); next.Status != platform.ServiceStatusCreateFailed {
		t.Errorf("the service is %s", next.Status)
	}
}
