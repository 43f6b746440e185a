package operation

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// awayStore is a store that does not answer the first calls, as a database on another machine may not.
type awayStore struct {
	store.Store
	releases, saves atomic.Int64 // how many more fail
}

var errAway = errors.New("the database is away")

func (s *awayStore) ReleaseLeases(ctx context.Context, owner string) error {
	if s.releases.Add(-1) >= 0 {
		return errAway
	}
	return s.Store.ReleaseLeases(ctx, owner)
}

func (s *awayStore) SaveOperation(ctx context.Context, operation platform.Operation, edit func(*platform.Service)) error {
	if s.saves.Add(-1) >= 0 {
		return errAway
	}
	return s.Store.SaveOperation(ctx, operation, edit)
}

func TestAnOperationGoesOnWhenTheDatabaseIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	away := &awayStore{Store: w.store}
	away.releases.Store(1)
	away.saves.Store(11) // five seconds
	w.store = away
	w.created(w.start(), imageService())
	if left := max(away.releases.Load(), away.saves.Load()); left >= 0 {
		t.Errorf("%d calls more would have failed", left)
	}
}

// What does the work of a step may end while it is at it. It is started again, and nobody's deployment fails for that.
func TestAStepGoesOnWhenItsDaemonIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	for _, call := range []string{"build", "start"} {
		w.set(func() { w.fail[call] = fmt.Errorf("it %w", platform.ErrUnavailable); w.calls[call] = 0 })
		id := w.begin(a, service, platform.OperationStartDeployment, nil)
		w.eventually("the step is tried again", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.calls[call] > 1
		})
		w.set(func() { delete(w.fail, call) })
		if operation, _ := w.ended(id); operation.Status != platform.OperationStatusSucceeded {
			t.Errorf("after an absence during %s the operation ended %s: %+v", call, operation.Status, operation.Failure)
		}
	}
}
