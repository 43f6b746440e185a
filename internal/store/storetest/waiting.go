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
	"a wish for what the newest deployment is of leaves none": func(t *testing.T, db store.Store) {
		service := runningService(t, db, 1)
		wish := func(wanted, change string) platform.Service {
			t.Helper()
			asked, err := db.AskDeployment(t.Context(), service.ID, platform.Wish{Trigger: "push of main", For: wanted, Considered: change})
			if err != nil {
				t.Fatal(err)
			}
			return asked
		}
		service.WaitingTrigger, service.WaitingFor, service.Considered = "push of main", "22222222", "1..2"
		checkEqual(t, "after a wish", wish("22222222", "1..2"), service)
		checkWaiting(t, db, service)
		service.WaitingTrigger, service.WaitingFor = "", ""
		checkEqual(t, "after a wish for what it has", wish(service.Found, ""), service)
		checkWaiting(t, db)

		// The deployment that runs finds what is waited for.
		running := runningService(t, db, 2)
		_, operation, err := db.StartOperation(t.Context(), newOperation(running, platform.OperationStartDeployment, 10), fromRunning, nil)
		if err != nil {
			t.Fatal(err)
		}
		service = running
		for _, wanted := range []string{"33333333", "22222222"} {
			if got := wish(wanted, "").WaitingFor; got != wanted {
				t.Errorf("it waits for %q, want %q", got, wanted)
			}
		}
		claimed := claim(t, db, operation.ID)
		for _, found := range []string{"33333333", "22222222"} {
			if err := db.SaveOperation(t.Context(), claimed, func(service *platform.Service) { service.Find(found) }); err != nil {
				t.Fatal(err)
			}
			got := readService(t, db, running.ID)
			if isWaiting := got.WaitingTrigger != ""; got.Found != found || isWaiting != (found == "33333333") {
				t.Errorf("after %s was found: found %q, waits for %q", found, got.Found, got.WaitingFor)
			}
		}
		checkWaiting(t, db)
	},
	"a change that is not deployed is remembered": func(t *testing.T, db store.Store) {
		service := runningService(t, db, 1)
		if err := db.ConsiderChange(t.Context(), service.ID, "1..2"); err != nil {
			t.Fatal(err)
		}
		service.Considered = "1..2"
		checkEqual(t, "service", readService(t, db, service.ID), service)
		if err := db.ConsiderChange(t.Context(), "none", "1..2"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of no service: %v, want ErrNotFound", err)
		}
	},
	"of several secrets for a webhook at a time one stays": func(t *testing.T, db store.Store) {
		service := runningService(t, db, 1)
		keep := func(id platform.ServiceID, sealed, before, want string) {
			t.Helper()
			if kept, err := db.KeepWebhook(t.Context(), id, sealed, before); err != nil || kept != want {
				t.Errorf("kept %q, %v, want %q", kept, err, want)
			}
		}
		keep(service.ID, "second", "other", service.Webhook)
		keep(service.ID, "second", service.Webhook, "second")
		keep(service.ID, "third", service.Webhook, "second")
		if got := readService(t, db, service.ID).Webhook; got != "second" {
			t.Errorf("stored is %q", got)
		}
		_, operation, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationDeleteService, 10), fromRunning, nil)
		if err != nil {
			t.Fatal(err)
		}
		finish(t, db, claim(t, db, operation.ID), platform.OperationStatusSucceeded, platform.ServiceStatusDeleted)
		if got := readService(t, db, service.ID).Webhook; got != "" {
			t.Errorf("the deleted service has %q", got)
		}
		if _, err := db.KeepWebhook(t.Context(), service.ID, "fourth", ""); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of a deleted service: %v, want ErrNotFound", err)
		}
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
			if _, err := db.AskDeployment(t.Context(), id, platform.Wish{Trigger: "push of main"}); !errors.Is(err, store.ErrNotFound) {
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
	service, err := db.AskDeployment(t.Context(), id, platform.Wish{Trigger: trigger})
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
