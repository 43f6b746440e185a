package operation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// unleased is a time at which every lease holds: only operations that nobody has leased are claimed at it.
var unleased = time.UnixMicro(0)

// endLeases ends the leases of holders that are gone. Those of operations that run here are not looked at: their own
// goroutines know best.
func (w *Worker) endLeases(ctx context.Context) {
	leases, err := w.store.Leases(ctx)
	if err != nil {
		if ctx.Err() == nil {
			w.log.Error("look for leases whose holders are gone", "error", err)
		}
		return
	}
	leases = slices.DeleteFunc(leases, func(lease store.Lease) bool { return w.runsHere(lease.Operation) })
	for _, lease := range w.watch.look(time.Now(), leases, w.owner, w.LeaseFor) {
		err := w.store.EndLease(ctx, lease)
		if err != nil && !errors.Is(err, store.ErrConflict) && ctx.Err() == nil {
			w.log.Error("end a lease whose holder is gone", "operation", lease.Operation, "error", err)
		}
	}
}

// watch finds the leases whose holders are gone: those that stay as they are while it looks at them for as long as a lease
// holds. It does not go by the time that a lease carries. The clocks of aprons that share a database differ, and every
// clock may jump.
type watch struct {
	looked time.Time
	seen   map[platform.OperationID]watchedLease
}

type watchedLease struct {
	lease store.Lease
	// quiet is for how long it was seen to stay as it is.
	quiet time.Duration
}

// retryAfter is how long an operation of this owner waits that does not run here, because its record could not be written.
const retryAfter = 5 * time.Second

// look takes the leases as they are now, and returns those whose holders are gone. Time that lies between two looks counts
// as a pause between two looks does: a process that was stopped has not seen what others renewed meanwhile.
func (w *watch) look(now time.Time, leases []store.Lease, owner string, leaseFor time.Duration) (gone []store.Lease) {
	passed := min(now.Sub(w.looked), 2*claimEvery)
	seen := make(map[platform.OperationID]watchedLease, len(leases))
	for _, lease := range leases {
		one := w.seen[lease.Operation]
		if one.lease == lease {
			one.quiet += passed
		} else {
			one = watchedLease{lease: lease}
		}
		seen[lease.Operation] = one
		if one.quiet >= leaseFor || lease.Owner == owner && one.quiet >= retryAfter {
			gone = append(gone, lease)
		}
	}
	w.looked, w.seen = now, seen
	return gone
}
