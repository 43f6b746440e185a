package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

var waitingTests = map[string]func(*testing.T, store.Store){
	"a deployment that is asked for waits, and the last wish is the one that counts": func(t *testing.T, db store.Store) {
		service, operation := createService(t, db, 1)
		for _, trigger := range []platform.Trigger{"push of first", "push of second"} {
			service.WaitingTrigger = trigger
			checkEqual(t, "service", ask(t, db, service.ID, trigger), service)
		}
		checkWaiting(t, db, service)
		// The operation that runs does not know of it, and does not undo it.
		finish(t, db, claim(t, db, operation.ID), platform.OperationStatusSucceeded, platform.ServiceStatusRunning)
		checkWaiting(t, db, readService(t, db, service.ID))
		if got := readService(t, db, service.ID).WaitingTrigger; got != "push of second" {
			t.Errorf("after the operation waits %q", got)
		}
	},
	"a deployment that begins is the one that waited": func(t *testing.T, db store.Store) {
		service := runningService(t, db, 1)
		ask(t, db, service.ID, "push of main")
		begin := func(kind platform.OperationType, second int) platform.Operation {
			var seen platform.Trigger
			started, operation, err := db.StartOperation(t.Context(), newOperation(service, kind, second), fromRunning,
				func(service *platform.Service) error { seen = service.WaitingTrigger; return nil })
			if err != nil {
				t.Fatal(err)
			}
			isDeployment := kind == platform.OperationStartDeployment
			if isDeployment != (started.WaitingTrigger == "") || seen != "push of main" {
				t.Errorf("after the start of %s waits %q, and before it %q", kind, started.WaitingTrigger, seen)
			}
			checkEqual(t, "stored service", readService(t, db, service.ID), started)
			checkEqual(t, "stored operation", readOperation(t, db, operation.ID), operation)
			finish(t, db, claim(t, db, operation.ID), platform.OperationStatusSucceeded, platform.ServiceStatusRunning)
			return operation
		}
		if operation := begin(platform.OperationUpdateService, 10); operation.Trigger != "" {
			t.Errorf("an update has the trigger %q", operation.Trigger)
		}
		if operation := begin(platform.OperationStartDeployment, 20); operation.Trigger != "push of main" {
			t.Errorf("the deployment has the trigger %q", operation.Trigger)
		}
		checkWaiting(t, db)
	},
	"a start that is refused leaves the deployment waiting": func(t *testing.T, db store.Store) {
		service := runningService(t, db, 1)
		service = ask(t, db, service.ID, "push of main")
		refusal := errors.New("no")
		_, _, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationStartDeployment, 10), fromRunning,
			func(*platform.Service) error { return refusal })
		if !errors.Is(err, refusal) {
			t.Errorf("start: %v", err)
		}
		checkWaiting(t, db, service)
	},
	"a deleted service wants no deployment": func(t *testing.T, db store.Store) {
		service := runningService(t, db, 1)
		ask(t, db, service.ID, "push of main")
		_, operation, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationDeleteService, 10), fromRunning, nil)
		if err != nil {
			t.Fatal(err)
		}
		finish(t, db, claim(t, db, operation.ID), platform.OperationStatusSucceeded, platform.ServiceStatusDeleted)
		checkWaiting(t, db)
		for _, id := range []platform.ServiceID{service.ID, "none"} {
			if _, err := db.AskDeployment(t.Context(), id, "push of main"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("ask for one of %s: %v, want ErrNotFound", id, err)
			}
		}
		if got := readService(t, db, service.ID).WaitingTrigger; got != "" {
			t.Errorf("it waits for %q", got)
		}
	},
	"16 starts of the deployment that waits: exactly one wins, and none is left": func(t *testing.T, db store.Store) {
		service := runningService(t, db, 1)
		ask(t, db, service.ID, "push of main")
		wins := race(16, func(n int) error {
			_, _, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationStartDeployment, 10+n), fromRunning, nil)
			return err
		}, func(err error) {
			if !errors.Is(err, store.ErrConflict) {
				t.Errorf("start: %v, want ErrConflict", err)
			}
		})
		if wins != 1 {
			t.Errorf("%d starts won, want 1", wins)
		}
		checkWaiting(t, db)
	},
	"services with a waiting deployment are listed in order of creation": func(t *testing.T, db store.Store) {
		var want []platform.Service
		for n := range 6 {
			service := runningService(t, db, n)
			if n%2 == 0 {
				want = append(want, ask(t, db, service.ID, platform.Trigger(fmt.Sprintf("push %d", n))))
			}
		}
		checkWaiting(t, db, want...)
		first, err := db.ListServices(t.Context(), store.ServicePage{WaitingOnly: true, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		after := &store.ServiceCursor{CreatedAt: first[0].CreatedAt.Add(time.Microsecond)}
		rest, err := db.ListServices(t.Context(), store.ServicePage{WaitingOnly: true, After: after})
		if err != nil {
			t.Fatal(err)
		}
		checkEqual(t, "pages", append(first, rest...), want)
	},
}

func ask(t testing.TB, db store.Store, id platform.ServiceID, trigger platform.Trigger) platform.Service {
	t.Helper()
	service, err := db.AskDeployment(t.Context(), id, trigger)
	if err != nil {
		t.Fatalf("ask for a deployment: %v", err)
	}
	return service
}

func checkWaiting(t testing.TB, db store.Store, want ...platform.Service) {
	t.Helper()
	got, err := db.ListServices(t.Context(), store.ServicePage{WaitingOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	checkEqual(t, "services with a waiting deployment", got, want)
}
