package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

var leaseTests = map[string]func(*testing.T, store.Store){
	"the oldest waiting operation is claimed first, each once": func(t *testing.T, db store.Store) {
		var want []platform.OperationID
		for _, n := range []int{3, 1, 2} {
			createService(t, db, n)
		}
		services := pageServices(t, db, 0, nil)
		for _, service := range services {
			want = append(want, listOperations(t, db, service.ID)[0].ID)
		}
		for _, id := range want {
			if operation := claim(t, db, id); operation.LeaseTerm != 1 {
				t.Errorf("term %d, want 1", operation.LeaseTerm)
			}
		}
		checkNothingToClaim(t, db, epoch)
	},
	"an empty store has nothing to claim": func(t *testing.T, db store.Store) { checkNothingToClaim(t, db, epoch) },
	"an ended operation is not claimed, whatever the time": func(t *testing.T, db store.Store) {
		runningService(t, db, 1)
		checkNothingToClaim(t, db, epoch.Add(24*time.Hour))
	},
	"an operation is claimed again in the moment its lease ends": func(t *testing.T, db store.Store) {
		_, operation := createService(t, db, 1)
		claim(t, db, operation.ID) // for a minute
		checkNothingToClaim(t, db, epoch.Add(time.Minute-time.Microsecond))
		again, err := db.ClaimOperation(t.Context(), "other", epoch.Add(time.Minute), epoch.Add(2*time.Minute))
		if err != nil || again.LeaseTerm != 2 {
			t.Errorf("claim: term %d, %v; want 2, no error", again.LeaseTerm, err)
		}
	},
	"a claimed operation keeps what was saved": func(t *testing.T, db store.Store) {
		_, operation := createService(t, db, 1)
		operation = claim(t, db, operation.ID)
		operation.Status = platform.OperationStatusInProgress
		operation.Progress.Commit = "1a2b3c4"
		if err := db.SaveOperation(t.Context(), operation, nil); err != nil {
			t.Fatal(err)
		}
		again, err := db.ClaimOperation(t.Context(), "other", epoch.Add(time.Hour), epoch.Add(2*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		operation.LeaseTerm = 2
		checkEqual(t, "operation", again, operation)
	},
	"a renewed lease holds longer": func(t *testing.T, db store.Store) {
		_, operation := createService(t, db, 1)
		claim(t, db, operation.ID)
		if err := db.RenewLease(t.Context(), operation.ID, 1, epoch.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		checkNothingToClaim(t, db, epoch.Add(time.Hour-time.Microsecond))
	},
	"a lease that ran out can be renewed as long as nobody claims": func(t *testing.T, db store.Store) {
		_, operation := createService(t, db, 1)
		claim(t, db, operation.ID)
		if err := db.RenewLease(t.Context(), operation.ID, 1, epoch.Add(2*time.Hour)); err != nil {
			t.Errorf("renew: %v", err)
		}
	},
	"a writer with an old term can write nothing":                     testOldTerm,
	"released leases are free at once and their holders cannot write": testRelease,
	"a lease is ended as it was listed, and not once it was renewed":  testEndLease,
	"an operation that nobody has claimed cannot be saved or renewed": func(t *testing.T, db store.Store) {
		_, operation := createService(t, db, 1)
		checkCannotWrite(t, db, operation)
	},
	"16 workers claim 40 operations, each exactly once": testClaimRace,
}

func testOldTerm(t *testing.T, db store.Store) {
	service, operation := createService(t, db, 1)
	old := claim(t, db, operation.ID)
	current, err := db.ClaimOperation(t.Context(), "other", epoch.Add(time.Hour), epoch.Add(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	checkCannotWrite(t, db, old)
	future := current
	future.LeaseTerm++
	checkCannotWrite(t, db, future)
	checkEqual(t, "operation", readOperation(t, db, operation.ID), current)
	checkEqual(t, "service", readService(t, db, service.ID), service)
	finish(t, db, current, platform.OperationStatusSucceeded, platform.ServiceStatusRunning)
}

func testRelease(t *testing.T, db store.Store) {
	_, first := createService(t, db, 1)
	held := claim(t, db, first.ID)
	createService(t, db, 2)
	if _, err := db.ClaimOperation(t.Context(), "other", epoch, epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice is safe
		if err := db.ReleaseLeases(t.Context(), "owner"); err != nil {
			t.Fatal(err)
		}
	}
	checkCannotWrite(t, db, held)
	if again := claim(t, db, first.ID); again.LeaseTerm != 2 {
		t.Errorf("term %d, want 2", again.LeaseTerm)
	}
	checkNothingToClaim(t, db, epoch) // the other owner's lease still holds
	checkCannotWrite(t, db, held)
}

func testEndLease(t *testing.T, db store.Store) {
	runningService(t, db, 3)
	createService(t, db, 2)
	_, operation := createService(t, db, 1)
	held := claim(t, db, operation.ID)
	leases := func() []store.Lease {
		leases, err := db.Leases(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return leases
	}
	old := leases()
	checkEqual(t, "leases", old, []store.Lease{{Operation: operation.ID, Owner: "owner", Term: 1, Until: epoch.Add(time.Minute)}})
	if err := db.RenewLease(t.Context(), operation.ID, 1, epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := db.EndLease(t.Context(), old[0]); !errors.Is(err, store.ErrConflict) {
		t.Errorf("end a lease that was renewed: %v, want ErrConflict", err)
	}
	if err := db.EndLease(t.Context(), leases()[0]); err != nil {
		t.Fatal(err)
	}
	checkEqual(t, "leases", leases(), []store.Lease(nil))
	checkCannotWrite(t, db, held)
	if again, err := db.ClaimOperation(t.Context(), "other", time.UnixMicro(0), epoch); err != nil || again.ID != operation.ID || again.LeaseTerm != 2 {
		t.Errorf("claimed %s in term %d (%v), want %s in term 2", again.ID, again.LeaseTerm, err, operation.ID)
	}
}

func testClaimRace(t *testing.T, db store.Store) {
	for n := range 40 {
		createService(t, db, n)
	}
	var (
		mu      sync.Mutex // guards claimed
		claimed = map[platform.OperationID]int{}
	)
	race(16, func(int) error {
		for {
			operation, err := db.ClaimOperation(t.Context(), "owner", epoch, epoch.Add(time.Hour))
			if err != nil {
				return err
			}
			mu.Lock()
			claimed[operation.ID]++
			mu.Unlock()
		}
	}, func(err error) {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("claim: %v, want ErrNotFound in the end", err)
		}
	})
	if len(claimed) != 40 {
		t.Errorf("%d operations were claimed, want 40", len(claimed))
	}
	for id, times := range claimed {
		if times != 1 {
			t.Errorf("operation %s was claimed %d times", id, times)
		}
	}
}

// checkCannotWrite checks that the holder of operation's term can neither save nor renew.
func checkCannotWrite(t testing.TB, db store.Store, operation platform.Operation) {
	t.Helper()
	operation.Status = platform.OperationStatusInProgress
	operation.Progress.Commit = "written by a holder of no lease"
	save := db.SaveOperation(t.Context(), operation, func(s *platform.Service) { s.Status = platform.ServiceStatusDeleted })
	if !errors.Is(save, store.ErrConflict) {
		t.Errorf("save with term %d: %v, want ErrConflict", operation.LeaseTerm, save)
	}
	renew := db.RenewLease(t.Context(), operation.ID, operation.LeaseTerm, epoch.Add(24*time.Hour))
	if !errors.Is(renew, store.ErrConflict) {
		t.Errorf("renew term %d: %v, want ErrConflict", operation.LeaseTerm, renew)
	}
}

func checkNothingToClaim(t testing.TB, db store.Store, now time.Time) {
	t.Helper()
	operation, err := db.ClaimOperation(t.Context(), "owner", now, now.Add(time.Minute))
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("claimed %s (%v), want ErrNotFound", operation.ID, err)
	}
}
