package storetest

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

var serviceTests = map[string]func(*testing.T, store.Store){
	"deleted services are pruned with all that is of them": testPruneServices,
	"a created service reads back as it was": func(t *testing.T, db store.Store) {
		service, operation := createService(t, db, 1)
		byName, err := db.ServiceByName(t.Context(), service.Name)
		if err != nil {
			t.Fatal(err)
		}
		checkEqual(t, "by id", readService(t, db, service.ID), service)
		checkEqual(t, "by name", byName, service)
		checkEqual(t, "its operation", readOperation(t, db, operation.ID), operation)
	},
	"an image source without tags reads back as it was": func(t *testing.T, db store.Store) {
		service := newService(1)
		service.Tags = nil
		service.Configuration = platform.DefaultConfiguration()
		service.Configuration.Source.Image = &platform.ImageSource{
			Identifier: "public.ecr.aws/x/y:latest", RepositoryType: "ECR_PUBLIC", Port: "80", Environment: map[string]string{},
		}
		if err := db.CreateService(t.Context(), service, newOperation(service, platform.OperationCreateService, 1), nil); err != nil {
			t.Fatal(err)
		}
		checkEqual(t, "service", readService(t, db, service.ID), service)
	},
	"a time keeps its microseconds and comes back in UTC": func(t *testing.T, db store.Store) {
		service := newService(1)
		service.CreatedAt = time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("east", 3600))
		if err := db.CreateService(t.Context(), service, newOperation(service, platform.OperationCreateService, 1), nil); err != nil {
			t.Fatal(err)
		}
		got := readService(t, db, service.ID).CreatedAt
		if want := time.Date(2026, 1, 2, 2, 4, 5, 678901000, time.UTC); got != want {
			t.Errorf("created at %v, want %v", got, want)
		}
	},
	"what is not there is ErrNotFound": func(t *testing.T, db store.Store) {
		_, byID := db.ServiceByID(t.Context(), "none")
		_, byName := db.ServiceByName(t.Context(), "none")
		for what, err := range map[string]error{
			"by id": byID, "by name": byName, "tags": db.UpdateTags(t.Context(), "none", func(map[string]string) error { return nil }),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v, want ErrNotFound", what, err)
			}
		}
	},
	"a name is taken once, and free again after the deletion": testNameTaken,
	"a subdomain is taken once": func(t *testing.T, db store.Store) {
		first, _ := createService(t, db, 1)
		second := newService(2)
		second.Subdomain = first.Subdomain
		err := db.CreateService(t.Context(), second, newOperation(second, platform.OperationCreateService, 2), nil)
		if !errors.Is(err, store.ErrConflict) {
			t.Errorf("second service of the same subdomain: %v, want ErrConflict", err)
		}
	},
	"a creation that fails in its operation leaves no service": func(t *testing.T, db store.Store) {
		_, operation := createService(t, db, 1)
		service := newService(2)
		twin := newOperation(service, platform.OperationCreateService, 2)
		twin.ID = operation.ID
		if err := db.CreateService(t.Context(), service, twin, nil); !errors.Is(err, store.ErrConflict) {
			t.Errorf("create with a taken operation id: %v, want ErrConflict", err)
		}
		if _, err := db.ServiceByID(t.Context(), service.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("read the service: %v, want ErrNotFound", err)
		}
	},
	"tags are edited and nothing else changes": func(t *testing.T, db store.Store) {
		service, _ := createService(t, db, 1)
		service.Tags = map[string]string{"new": "", "": "empty key"}
		err := db.UpdateTags(t.Context(), service.ID, func(tags map[string]string) error {
			clear(tags)
			maps.Copy(tags, service.Tags)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		refusal := errors.New("no")
		err = db.UpdateTags(t.Context(), service.ID, func(tags map[string]string) error {
			clear(tags)
			return refusal
		})
		if !errors.Is(err, refusal) {
			t.Errorf("an edit that is refused: %v", err)
		}
		checkEqual(t, "service", readService(t, db, service.ID), service)
	},
	"16 edits of tags at the same time: none is lost": func(t *testing.T, db store.Store) {
		service, _ := createService(t, db, 1)
		service.Tags = map[string]string{}
		for n := range 16 {
			service.Tags[fmt.Sprint(n)] = "added"
		}
		race(16, func(n int) error {
			return db.UpdateTags(t.Context(), service.ID, func(tags map[string]string) error {
				tags[fmt.Sprint(n)] = "added"
				return nil
			})
		}, func(err error) { t.Error(err) })
		got := readService(t, db, service.ID).Tags
		for key := range service.Tags {
			if got[key] != "added" {
				t.Errorf("the tag %s was lost", key)
			}
		}
	},
	"16 creations of one name at the same time: exactly one wins": func(t *testing.T, db store.Store) {
		wins := race(16, func(n int) error {
			service := newService(n)
			service.Name = "same"
			return db.CreateService(t.Context(), service, newOperation(service, platform.OperationCreateService, n), nil)
		}, func(err error) {
			if !errors.Is(err, store.ErrConflict) {
				t.Errorf("create: %v, want ErrConflict", err)
			}
		})
		if wins != 1 {
			t.Errorf("%d creations won, want 1", wins)
		}
	},
	"services are listed in order of creation, and by id within one moment": func(t *testing.T, db store.Store) {
		var want []platform.ServiceID
		for n := range 30 {
			service := newService(n)
			service.CreatedAt = epoch.Add(time.Duration(n/10) * time.Microsecond)
			service.ID = platform.ServiceID(fmt.Sprintf("%032d", n/10*10+(n*7)%10))
			if err := db.CreateService(t.Context(), service, newOperation(service, platform.OperationCreateService, n), nil); err != nil {
				t.Fatal(err)
			}
			want = append(want, platform.ServiceID(fmt.Sprintf("%032d", n)))
		}
		for _, size := range []int{0, 1, 7, 30, 1000} {
			checkEqual(t, fmt.Sprintf("pages of %d", size), serviceIDs(pageServices(t, db, size, nil)), want)
		}
	},
	"a page of services is stable while services come and go": testStableServicePages,
	"a listing of what is serving leaves out the rest":        testServingOnly,
	"what a reader changes in a service is the reader's own":  testReadersShareNothing,
	"an empty store lists nothing": func(t *testing.T, db store.Store) {
		if services := pageServices(t, db, 5, nil); len(services) != 0 {
			t.Errorf("listed %v", services)
		}
	},
}

func testNameTaken(t *testing.T, db store.Store) {
	first, operation := createService(t, db, 1)
	second := newService(2)
	second.Name = first.Name
	creation := newOperation(second, platform.OperationCreateService, 2)
	if err := db.CreateService(t.Context(), second, creation, nil); !errors.Is(err, store.ErrConflict) {
		t.Errorf("second service of the same name: %v, want ErrConflict", err)
	}
	if _, err := db.ServiceByID(t.Context(), second.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("read the refused service: %v, want ErrNotFound", err)
	}
	finish(t, db, claim(t, db, operation.ID), platform.OperationStatusSucceeded, platform.ServiceStatusDeleted)
	if _, err := db.ServiceByName(t.Context(), first.Name); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("read the deleted service by name: %v, want ErrNotFound", err)
	}
	if status := readService(t, db, first.ID).Status; status != platform.ServiceStatusDeleted {
		t.Errorf("the deleted service is %s by id, want DELETED", status)
	}
	if err := db.CreateService(t.Context(), second, creation, nil); err != nil {
		t.Errorf("create a service with the name of a deleted one: %v", err)
	}
}

func testServingOnly(t *testing.T, db store.Store) {
	serving := runningService(t, db, 1)
	runningService(t, db, 2)
	_, operation, err := db.StartOperation(t.Context(), newOperation(serving, platform.OperationStartDeployment, 10),
		[]platform.ServiceStatus{platform.ServiceStatusRunning}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claimed := claim(t, db, operation.ID)
	if err := db.SaveOperation(t.Context(), claimed, func(service *platform.Service) { service.IsServing = true }); err != nil {
		t.Fatal(err)
	}
	got, err := db.ListServices(t.Context(), store.ServicePage{ServingOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	checkEqual(t, "services that are serving", serviceIDs(got), []platform.ServiceID{serving.ID})
}

func testReadersShareNothing(t *testing.T, db store.Store) {
	service := newService(1)
	service.Configuration.Network.Subnets = []string{"subnet-1"}
	service.Configuration.Source.Image = &platform.ImageSource{Identifier: "web:1", Environment: map[string]string{"A": "1"}}
	if err := db.CreateService(t.Context(), service, newOperation(service, platform.OperationCreateService, 1), nil); err != nil {
		t.Fatal(err)
	}
	want := readService(t, db, service.ID).Configuration
	for range 2 {
		read := readService(t, db, service.ID).Configuration
		checkEqual(t, "the configuration", read, want)
		read.Network.Subnets[0] = "changed"
		read.Source.Image.Identifier = "changed"
		read.Source.Image.Environment["A"] = "changed"
		read.AutoScaling.MaxSize = -1
	}
}

func testStableServicePages(t *testing.T, db store.Store) {
	var want []platform.ServiceID
	for n := range 9 {
		want = append(want, runningService(t, db, n).ID)
	}
	next := 100
	got := pageServices(t, db, 3, func() {
		createService(t, db, next) // newer than all: may come at the end
		next++
		first, _ := db.ServiceByID(t.Context(), want[0])
		if first.Status == platform.ServiceStatusDeleted {
			return
		}
		// A service of a page that was read goes away.
		_, operation, err := db.StartOperation(t.Context(), newOperation(first, platform.OperationDeleteService, 50),
			[]platform.ServiceStatus{platform.ServiceStatusRunning}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for {
			claimed, err := db.ClaimOperation(t.Context(), "owner", epoch, epoch.Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if claimed.ID == operation.ID {
				finish(t, db, claimed, platform.OperationStatusSucceeded, platform.ServiceStatusDeleted)
				return
			}
		}
	})
	checkEqual(t, "services that were there from the start", serviceIDs(got)[:len(want)], want)
}

// pageServices reads all pages of the given size; between, when not nil, runs after each page.
func pageServices(t testing.TB, db store.Store, size int, between func()) []platform.Service {
	t.Helper()
	var all []platform.Service
	page := store.ServicePage{Limit: size}
	for range 1000 {
		services, err := db.ListServices(t.Context(), page)
		if err != nil {
			t.Fatalf("list services: %v", err)
		}
		if size > 0 && len(services) > size {
			t.Fatalf("a page of %d has %d services", size, len(services))
		}
		all = append(all, services...)
		if size == 0 || len(services) < size {
			return all
		}
		last := services[len(services)-1]
		page.After = &store.ServiceCursor{CreatedAt: last.CreatedAt, ID: last.ID}
		if between != nil {
			between()
			if len(all) > 50 {
				return all
			}
		}
	}
	t.Fatal("the pages have no end")
	return nil
}

func serviceIDs(services []platform.Service) []platform.ServiceID {
	var ids []platform.ServiceID
	for _, service := range services {
		ids = append(ids, service.ID)
	}
	return ids
}
