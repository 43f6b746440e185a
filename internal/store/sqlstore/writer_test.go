package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store/sqlstore"
)

var errRefused = errors.New("refused")

// hold keeps the writer busy until release is called.
func hold(t *testing.T, db *sqlstore.Store, id platform.ServiceID) (release func()) {
	t.Helper()
	begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- db.UpdateTags(context.WithoutCancel(t.Context()), id, func(map[string]string) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	return func() {
		close(end)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// awaitWaiting waits until so many writes wait.
func awaitWaiting(t *testing.T, db *sqlstore.Store, want int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); db.Waiting() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d writes wait, want %d", db.Waiting(), want)
		}
	}
}

func TestWritesThatShareATransactionHaveEachTheirOwnOutcome(t *testing.T) {
	db := open(t)
	id := create(t, db, "one")
	release := hold(t, db, id)
	const writers = 100
	errs, panics := make([]error, writers), make([]any, writers)
	want := map[string]string{}
	var group sync.WaitGroup
	for n := range writers {
		key := fmt.Sprint(n)
		if n%4 > 1 {
			want[key] = "kept"
		}
		group.Go(func() {
			defer func() { panics[n] = recover() }()
			errs[n] = db.UpdateTags(t.Context(), id, func(tags map[string]string) error {
				tags[key] = "kept"
				switch n % 4 {
				case 0:
					return errRefused
				case 1:
					panic("the cause " + key)
				}
				return nil
			})
		})
	}
	awaitWaiting(t, db, writers)
	release()
	group.Wait()
	for n := range writers {
		isPanicked := panics[n] != nil && strings.HasPrefix(fmt.Sprint(panics[n]), fmt.Sprintf("the cause %d\n", n))
		if isRefused := errors.Is(errs[n], errRefused); isRefused != (n%4 == 0) || isPanicked != (n%4 == 1) || n%4 > 1 && errs[n] != nil {
			t.Errorf("write %d: %v, panic %v", n, errs[n], panics[n])
		}
	}
	service, err := db.ServiceByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, service.Tags); diff != "" {
		t.Errorf("wrong tags (-want +got):\n%s", diff)
	}
}

func TestAWriterThatLeavesBeforeItsTurnWritesNothing(t *testing.T) {
	db := open(t)
	id := create(t, db, "one")
	release := hold(t, db, id)
	ctx, leave := context.WithCancel(t.Context())
	left, stayed := make(chan error, 1), make(chan error, 1)
	write := func(ctx context.Context, key string) error {
		return db.UpdateTags(ctx, id, func(tags map[string]string) error { tags[key] = ""; return nil })
	}
	go func() { left <- write(ctx, "left") }()
	awaitWaiting(t, db, 1)
	go func() { stayed <- write(t.Context(), "stayed") }()
	awaitWaiting(t, db, 2)
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that left: %v, want %v", err, context.Canceled)
	}
	release()
	if err := <-stayed; err != nil {
		t.Error(err)
	}
	service, err := db.ServiceByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"stayed": ""}, service.Tags); diff != "" {
		t.Errorf("wrong tags (-want +got):\n%s", diff)
	}
}

func TestALostTransactionIsAnErrorOfAllThatSharedIt(t *testing.T) {
	db := open(t)
	id := create(t, db, "one")
	release := hold(t, db, id)
	const writers = 10
	errs := make([]error, writers)
	var group sync.WaitGroup
	for n := range writers {
		group.Go(func() {
			errs[n] = db.UpdateTags(t.Context(), id, func(tags map[string]string) error { tags["lost"] = ""; return nil })
		})
	}
	awaitWaiting(t, db, writers)
	group.Go(func() {
		if err := db.LoseTransaction(t.Context()); err == nil {
			t.Error("the one that lost it has no error")
		}
	})
	awaitWaiting(t, db, writers+1)
	release()
	group.Wait()
	for n, err := range errs {
		if err == nil {
			t.Errorf("write %d was told that it was kept", n)
		}
	}
	err := db.UpdateTags(t.Context(), id, func(tags map[string]string) error { tags["next"] = ""; return nil })
	if err != nil {
		t.Errorf("the next write: %v", err)
	}
	service, err := db.ServiceByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"next": ""}, service.Tags); diff != "" {
		t.Errorf("wrong tags (-want +got):\n%s", diff)
	}
}
