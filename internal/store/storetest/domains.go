package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

func newDomain(service platform.Service, name string, second int) platform.CustomDomain {
	at := epoch.Add(time.Duration(second) * time.Second)
	return platform.CustomDomain{
		ID: platform.NewResourceID(), ServiceID: service.ID, Name: name, Status: platform.DomainStatusCreating, CreatedAt: at, UpdatedAt: at,
		Records: []platform.ValidationRecord{{Name: "_a." + name + ".", Value: "_b.acm-validations.aws."}},
	}
}

var running = []platform.ServiceStatus{platform.ServiceStatusRunning}

func createDomain(t testing.TB, db store.Store, domain platform.CustomDomain) platform.CustomDomain {
	t.Helper()
	if err := db.CreateDomain(t.Context(), domain, running, nil); err != nil {
		t.Fatal(err)
	}
	return domain
}

func findDomains(t testing.TB, db store.Store, query store.DomainQuery) []platform.CustomDomain {
	t.Helper()
	domains, err := db.ListDomains(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	return domains
}

var domainTests = map[string]func(*testing.T, store.Store){
	"a created domain reads back as it was": func(t *testing.T, db store.Store) {
		domain := createDomain(t, db, newDomain(runningService(t, db, 1), "example.com", 1))
		for what, query := range map[string]store.DomainQuery{
			"all": {}, "by service": {ServiceID: domain.ServiceID}, "by name": {Name: domain.Name}, "unsettled": {Unsettled: true},
		} {
			checkEqual(t, what, findDomains(t, db, query), []platform.CustomDomain{domain})
		}
	},
	"a domain is changed and deleted": func(t *testing.T, db store.Store) {
		domain := createDomain(t, db, newDomain(runningService(t, db, 1), "example.com", 1))
		edited, err := db.EditDomain(t.Context(), domain.ID, func(d *platform.CustomDomain) error {
			d.Status, d.UpdatedAt = platform.DomainStatusActive, epoch.Add(time.Hour)
			d.Records[0].IsValidated = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		checkEqual(t, "edited", findDomains(t, db, store.DomainQuery{}), []platform.CustomDomain{edited})
		if found := findDomains(t, db, store.DomainQuery{Unsettled: true}); len(found) > 0 {
			t.Errorf("unsettled: %+v", found)
		}
		for range 2 {
			if err := db.DeleteDomain(t.Context(), domain.ID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.EditDomain(t.Context(), domain.ID, func(*platform.CustomDomain) error { return nil }); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an edit of a deleted domain: %v", err)
		}
	},
	"a host is taken once, also as the www of another": func(t *testing.T, db store.Store) {
		service, other := runningService(t, db, 1), runningService(t, db, 2)
		domain := newDomain(service, "example.com", 1)
		domain.HasWWW = true
		createDomain(t, db, domain)
		for _, name := range []string{"example.com", "www.example.com"} {
			err := db.CreateDomain(t.Context(), newDomain(other, name, 2), running, nil)
			var taken *store.TakenError
			if !errors.As(err, &taken) || taken.ServiceARN != service.ARN || !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		createDomain(t, db, newDomain(other, "api.example.com", 3))
	},
	"only an allowed status takes a domain": func(t *testing.T, db store.Store) {
		service, _ := createService(t, db, 1)
		var status *store.StatusError
		if err := db.CreateDomain(t.Context(), newDomain(service, "example.com", 1), running, nil); !errors.As(err, &status) {
			t.Errorf("a service in an operation: %v", err)
		}
		service.ID = "none"
		if err := db.CreateDomain(t.Context(), newDomain(service, "example.com", 1), running, nil); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("no service: %v", err)
		}
	},
	"domains are counted, and listed newest first": func(t *testing.T, db store.Store) {
		service := runningService(t, db, 1)
		for i := range 3 {
			createDomain(t, db, newDomain(service, fmt.Sprintf("d%d.example.com", i), i))
		}
		refusal := errors.New("no")
		err := db.CreateDomain(t.Context(), newDomain(service, "d4.example.com", 4), running, func(domains int) error {
			checkEqual(t, "count", domains, 3)
			return refusal
		})
		if err != refusal { //nolint:errorlint // unchanged is what is promised
			t.Errorf("a refusal comes back as %v", err)
		}
		first := findDomains(t, db, store.DomainQuery{ServiceID: service.ID, Limit: 2})
		rest := findDomains(t, db, store.DomainQuery{ServiceID: service.ID, After: &store.ResourceCursor{CreatedAt: first[1].CreatedAt, ID: first[1].ID}})
		var names []string
		for _, domain := range append(first, rest...) {
			names = append(names, domain.Name)
		}
		checkEqual(t, "names", names, []string{"d2.example.com", "d1.example.com", "d0.example.com"})
	},
	"a deleted service leaves its domains free": func(t *testing.T, db store.Store) {
		service := runningService(t, db, 1)
		createDomain(t, db, newDomain(service, "example.com", 1))
		_, deletion, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationDeleteService, 2), running, nil)
		if err != nil {
			t.Fatal(err)
		}
		finish(t, db, claim(t, db, deletion.ID), platform.OperationStatusSucceeded, platform.ServiceStatusDeleted)
		if found := findDomains(t, db, store.DomainQuery{}); len(found) > 0 {
			t.Errorf("left: %+v", found)
		}
	},
}
