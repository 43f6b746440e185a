package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// newResource returns a resource with a value in every member, created second seconds after epoch.
func newResource(kind platform.ResourceKind, name string, revision, second int) platform.Resource {
	resource := platform.Resource{
		ID: platform.NewResourceID(), Kind: kind, Name: name, Revision: revision, Status: "active",
		CreatedAt: epoch.Add(time.Duration(second) * time.Second), Tags: map[string]string{"team": "a"},
		Detail: platform.ResourceDetail{
			AutoScaling: &platform.AutoScalingLimits{MaxConcurrency: 3, MinSize: 1, MaxSize: 2},
			Connection:  &platform.ConnectionDetail{Provider: "GITHUB", Credentials: &platform.SealedCredentials{Kind: "TOKEN", Sealed: []byte{1, 0, 255}}},
		},
	}
	resource.ARN = "arn:aws:apprunner:us-east-1:000000000000:" + resource.Path()
	return resource
}

func createResource(t testing.TB, db store.Store, resource platform.Resource) platform.Resource {
	t.Helper()
	created, err := db.CreateResource(t.Context(), resource.Kind, resource.Name, func(store.Existing) (platform.Resource, error) {
		return resource, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func findResources(t testing.TB, db store.Store, query store.ResourceQuery) []platform.Resource {
	t.Helper()
	resources, err := db.ListResources(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	return resources
}

func editResource(t testing.TB, db store.Store, id platform.ResourceID, edit func(*platform.Resource)) {
	t.Helper()
	err := db.EditResources(t.Context(), store.ResourceQuery{ID: id}, func(resources []platform.Resource) error {
		if len(resources) != 1 {
			return fmt.Errorf("%d resources have the id", len(resources))
		}
		edit(&resources[0])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func remove(resource *platform.Resource) {
	resource.DeletedAt, resource.Status = new(epoch.Add(time.Hour)), "inactive"
}

const scaling = platform.ResourceAutoScaling

var resourceTests = map[string]func(*testing.T, store.Store){
	"a created resource reads back as it was": func(t *testing.T, db store.Store) {
		want := newResource(scaling, "fast", 1, 1)
		createResource(t, db, want)
		want.IsLatest = true
		for what, query := range map[string]store.ResourceQuery{
			"by id": {ID: want.ID}, "by name": {Kind: scaling, Name: "fast"}, "by revision": {Kind: scaling, Name: "fast", Revision: 1},
			"by status": {Kind: scaling, Status: "active"}, "latest": {Kind: scaling, LatestOnly: true},
		} {
			checkEqual(t, what, findResources(t, db, query), []platform.Resource{want})
		}
		for what, query := range map[string]store.ResourceQuery{
			"another kind": {Kind: platform.ResourceConnection}, "another name": {Kind: scaling, Name: "slow"}, "another id": {ID: "x"},
			"another revision": {Kind: scaling, Revision: 2}, "another service": {ServiceID: "x"}, "the default": {DefaultOnly: true},
		} {
			if found := findResources(t, db, query); len(found) > 0 {
				t.Errorf("%s: %+v", what, found)
			}
		}
	},
	"existing resources are counted": func(t *testing.T, db store.Store) {
		createResource(t, db, newResource(scaling, "fast", 1, 1))
		gone := createResource(t, db, newResource(scaling, "fast", 2, 2))
		createResource(t, db, newResource(scaling, "slow", 1, 3))
		createResource(t, db, newResource(platform.ResourceConnection, "fast", 1, 4))
		editResource(t, db, gone.ID, remove)
		refusal := errors.New("no")
		_, err := db.CreateResource(t.Context(), scaling, "fast", func(existing store.Existing) (platform.Resource, error) {
			checkEqual(t, "existing", existing, store.Existing{Names: 2, Revisions: 1, Newest: 2})
			return platform.Resource{}, refusal
		})
		if err != refusal { //nolint:errorlint // unchanged is what is promised
			t.Errorf("a refusal comes back as %v", err)
		}
	},
	"a name and revision is taken once, and free again after the deletion": func(t *testing.T, db store.Store) {
		first := createResource(t, db, newResource(scaling, "fast", 1, 1))
		second := newResource(scaling, "fast", 1, 2)
		_, err := db.CreateResource(t.Context(), scaling, "fast", func(store.Existing) (platform.Resource, error) { return second, nil })
		if !errors.Is(err, store.ErrConflict) {
			t.Errorf("a second of the name: %v", err)
		}
		editResource(t, db, first.ID, remove)
		createResource(t, db, second)
	},
	"the latest is the highest that is not deleted": func(t *testing.T, db store.Store) {
		first := createResource(t, db, newResource(scaling, "fast", 1, 1))
		second := createResource(t, db, newResource(scaling, "fast", 2, 2))
		checkEqual(t, "latest", findResources(t, db, store.ResourceQuery{Kind: scaling, LatestOnly: true}), []platform.Resource{second})
		editResource(t, db, second.ID, remove)
		latest := findResources(t, db, store.ResourceQuery{Kind: scaling, LatestOnly: true})
		if len(latest) != 1 || latest[0].ID != first.ID || !latest[0].IsLatest {
			t.Errorf("after the deletion: %+v", latest)
		}
		all := findResources(t, db, store.ResourceQuery{Kind: scaling, WithDeleted: true})
		if len(all) != 2 || all[1].IsLatest || all[1].DeletedAt == nil {
			t.Errorf("with deleted ones: %+v", all)
		}
	},
	"there is one default": func(t *testing.T, db store.Store) {
		first := newResource(scaling, "fast", 1, 1)
		first.IsDefault = true
		createResource(t, db, first)
		second := createResource(t, db, newResource(scaling, "slow", 1, 2))
		err := db.EditResources(t.Context(), store.ResourceQuery{Kind: scaling}, func(resources []platform.Resource) error {
			for i := range resources {
				resources[i].IsDefault = resources[i].ID == second.ID
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		found := findResources(t, db, store.ResourceQuery{Kind: scaling, DefaultOnly: true})
		if len(found) != 1 || found[0].ID != second.ID {
			t.Errorf("the default: %+v", found)
		}
	},
	"pages are stable while resources are added": func(t *testing.T, db store.Store) {
		for i := range 5 {
			createResource(t, db, newResource(scaling, fmt.Sprint("name", i), 1, i))
		}
		var names []string
		query := store.ResourceQuery{Kind: scaling, Limit: 2}
		for page := 0; ; page++ {
			found := findResources(t, db, query)
			for _, resource := range found {
				names = append(names, resource.Name)
			}
			if len(found) < 2 || page > 5 {
				break
			}
			last := found[len(found)-1]
			query.After = &store.ResourceCursor{CreatedAt: last.CreatedAt, ID: last.ID}
			if page == 0 {
				createResource(t, db, newResource(scaling, "before", 1, -1))
			}
		}
		checkEqual(t, "names", names, []string{"name0", "name1", "name2", "name3", "name4"})
	},
	"a refused edit changes nothing": func(t *testing.T, db store.Store) {
		resource := createResource(t, db, newResource(scaling, "fast", 1, 1))
		refusal := errors.New("no")
		err := db.EditResources(t.Context(), store.ResourceQuery{ID: resource.ID}, func(resources []platform.Resource) error {
			remove(&resources[0])
			return refusal
		})
		if err != refusal { //nolint:errorlint // unchanged is what is promised
			t.Errorf("a refusal comes back as %v", err)
		}
		checkEqual(t, "resource", findResources(t, db, store.ResourceQuery{ID: resource.ID}), []platform.Resource{resource})
	},
	"edits at the same time are all kept": func(t *testing.T, db store.Store) {
		resource := createResource(t, db, newResource(scaling, "fast", 1, 1))
		var group sync.WaitGroup
		for i := range 16 {
			group.Go(func() {
				editResource(t, db, resource.ID, func(r *platform.Resource) { r.Tags[fmt.Sprint(i)] = "x" })
			})
		}
		group.Wait()
		if tags := findResources(t, db, store.ResourceQuery{ID: resource.ID})[0].Tags; len(tags) != 17 {
			t.Errorf("%d tags are left, want 17", len(tags))
		}
	},
	"deleted ones are pruned": func(t *testing.T, db store.Store) {
		kept := createResource(t, db, newResource(scaling, "fast", 1, 1))
		gone := createResource(t, db, newResource(scaling, "fast", 2, 2))
		editResource(t, db, gone.ID, remove)
		for _, step := range []struct {
			before time.Time
			want   int
		}{{epoch, 2}, {epoch.Add(2 * time.Hour), 1}} {
			if err := db.PruneResources(t.Context(), step.before); err != nil {
				t.Fatal(err)
			}
			if found := findResources(t, db, store.ResourceQuery{Kind: scaling, WithDeleted: true}); len(found) != step.want || found[0].ID != kept.ID {
				t.Errorf("pruned before %s: %+v", step.before, found)
			}
		}
	},
	"what services use is known":                       testUses,
	"an operation goes back to what was deleted since": testGoingBack,
	"a deleted resource is not used anew": func(t *testing.T, db store.Store) {
		resource := createResource(t, db, newResource(scaling, "fast", 1, 1))
		editResource(t, db, resource.ID, remove)
		service := newService(1)
		service.Configuration.AutoScaling.ARN = resource.ARN
		err := db.CreateService(t.Context(), service, newOperation(service, platform.OperationCreateService, 1), nil)
		var gone *store.GoneError
		if !errors.As(err, &gone) || gone.ARN != resource.ARN || !errors.Is(err, store.ErrConflict) {
			t.Errorf("a service that uses it: %v", err)
		}
		if _, err := db.ServiceByID(t.Context(), service.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the service: %v", err)
		}
	},
}

// testGoingBack: what a service may go back to is used, and a caller keeps it. Should it be deleted all the same, the
// update can fail like any other.
func testGoingBack(t *testing.T, db store.Store) {
	old := createResource(t, db, newResource(platform.ResourceConnection, "old", 1, 1))
	service := newService(1)
	service.Configuration.Source.ConnectionARN = old.ARN
	creation := newOperation(service, platform.OperationCreateService, 1)
	if err := db.CreateService(t.Context(), service, creation, nil); err != nil {
		t.Fatal(err)
	}
	finish(t, db, claim(t, db, creation.ID), platform.OperationStatusSucceeded, platform.ServiceStatusRunning)
	_, update, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationUpdateService, 2),
		[]platform.ServiceStatus{platform.ServiceStatusRunning}, func(s *platform.Service) error {
			s.Configuration.Source.ConnectionARN = ""
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	editResource(t, db, old.ID, remove)
	running := claim(t, db, update.ID)
	for _, status := range []platform.OperationStatus{platform.OperationStatusInProgress, platform.OperationStatusRollbackInProgress, platform.OperationStatusRollbackSucceeded} {
		running.Status = status
		var edit func(*platform.Service)
		if status.IsTerminal() {
			edit = func(s *platform.Service) {
				s.Status, s.Configuration = running.Previous.Status, running.Previous.Configuration
			}
		}
		if err := db.SaveOperation(t.Context(), running, edit); err != nil {
			t.Fatalf("the operation cannot become %s: %v", status, err)
		}
	}
	after, err := db.ServiceByID(t.Context(), service.ID)
	if err != nil || after.Status != platform.ServiceStatusRunning || after.Configuration.Source.ConnectionARN != old.ARN {
		t.Errorf("after going back the service is %s with %q, %v", after.Status, after.Configuration.Source.ConnectionARN, err)
	}
}

func testUses(t *testing.T, db store.Store) {
	fast := createResource(t, db, newResource(scaling, "fast", 1, 1))
	slow := createResource(t, db, newResource(scaling, "slow", 1, 2))
	service := newService(1)
	service.Configuration.AutoScaling.ARN = fast.ARN
	operation := newOperation(service, platform.OperationCreateService, 1)
	if err := db.CreateService(t.Context(), service, operation, nil); err != nil {
		t.Fatal(err)
	}
	check := func(when string, isFastUsed, isSlowUsed bool) {
		t.Helper()
		if found := findResources(t, db, store.ResourceQuery{Kind: scaling}); found[0].IsUsed != isFastUsed || found[1].IsUsed != isSlowUsed {
			t.Errorf("%s: fast is used: %v, slow: %v", when, found[0].IsUsed, found[1].IsUsed)
		}
		for arn, isUsed := range map[string]bool{fast.ARN: isFastUsed, slow.ARN: isSlowUsed} {
			services, err := db.ListServices(t.Context(), store.ServicePage{UsesARN: arn})
			if err != nil || (len(services) == 1) != isUsed {
				t.Errorf("%s: the services of %s are %+v, %v", when, arn, services, err)
			}
		}
	}
	check("created", true, false)
	finish(t, db, claim(t, db, operation.ID), platform.OperationStatusSucceeded, platform.ServiceStatusRunning)
	_, update, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationUpdateService, 2),
		[]platform.ServiceStatus{platform.ServiceStatusRunning}, func(s *platform.Service) error {
			s.Configuration.AutoScaling.ARN = slow.ARN
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	check("being updated, and perhaps going back", true, true)
	finish(t, db, claim(t, db, update.ID), platform.OperationStatusSucceeded, platform.ServiceStatusRunning)
	check("updated", false, true)
	_, deletion, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationDeleteService, 3),
		[]platform.ServiceStatus{platform.ServiceStatusRunning}, nil)
	if err != nil {
		t.Fatal(err)
	}
	check("being deleted", false, true)
	finish(t, db, claim(t, db, deletion.ID), platform.OperationStatusSucceeded, platform.ServiceStatusDeleted)
	check("deleted", false, false)
}
