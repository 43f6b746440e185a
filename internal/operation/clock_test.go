package operation

import (
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// To the time of day that a lease carries, a clock that jumps ahead by an hour and a process that was stopped for longer than
// a lease look the same: it ran out. The operation goes on as it is, once.
func TestAnOperationThatRunsIsNotClaimedAgainWhenTheClockJumps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start()
	service := w.created(a, imageService())
	id := w.reach(a, service, "pull")
	before, err := w.store.OperationByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.RenewLease(t.Context(), id, before.LeaseTerm, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.created(a, codeService()) // operations are claimed in order, so this one comes after
	w.set(func() {
		if pulls := w.calls["pull"]; pulls != 2 {
			t.Errorf("images were pulled %d times, want 2", pulls)
		}
		close(w.hold["pull"])
		delete(w.hold, "pull")
	})
	operation, _ := w.ended(id)
	if operation.Status != platform.OperationStatusSucceeded || operation.LeaseTerm != before.LeaseTerm {
		t.Errorf("%s in term %d, want SUCCEEDED in term %d", operation.Status, operation.LeaseTerm, before.LeaseTerm)
	}
}

func TestALeaseIsOverOnceItWasWatchedForLongEnough(t *testing.T) {
	t.Parallel()
	const mine = "mine"
	renewed := func(owner string, at time.Duration) store.Lease {
		return store.Lease{Operation: "one", Owner: owner, Term: 1, Until: time.Unix(1e9, 0).Add(at)}
	}
	for name, c := range map[string]struct {
		// lease is what is there at a look, pause how long the next look comes after it.
		lease func(look int) store.Lease
		pause func(look int) time.Duration
		// want is how many looks it takes; 0 says that the lease stays.
		want int
	}{
		"nobody renews it": {
			func(int) store.Lease { return renewed("other", 0) }, func(int) time.Duration { return claimEvery }, 31,
		},
		"nobody renews it, and it ends in an hour, by a clock that was ahead": {
			func(int) store.Lease { return renewed("other", time.Hour) }, func(int) time.Duration { return claimEvery }, 31,
		},
		"it is renewed, by a clock that is an hour behind": {
			func(look int) store.Lease { return renewed("other", time.Duration(look/10*10)*time.Second-time.Hour) },
			func(int) time.Duration { return claimEvery }, 0,
		},
		"this process was stopped for an hour, and its holder too": {
			func(look int) store.Lease { return renewed("other", time.Duration(look/10*10)*time.Second) },
			func(look int) time.Duration {
				if look == 15 {
					return time.Hour
				}
				return claimEvery
			}, 0,
		},
		"wake-ups come often": {
			func(int) store.Lease { return renewed("other", 0) }, func(int) time.Duration { return claimEvery / 10 }, 301,
		},
		"it is of this owner, and its record could not be written": {
			func(int) store.Lease { return renewed(mine, 0) }, func(int) time.Duration { return claimEvery }, 6,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w watch
			now, got := time.Unix(2e9, 0), 0
			for look := 0; look < 400 && got == 0; look++ {
				if len(w.look(now, []store.Lease{c.lease(look)}, mine, leaseFor)) > 0 {
					got = look + 1
				}
				now = now.Add(c.pause(look))
			}
			if got != c.want {
				t.Errorf("over after %d looks, want %d", got, c.want)
			}
		})
	}
}
