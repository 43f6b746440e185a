package deploy

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plane is a data plane in memory.
type plane struct {
	mu      sync.Mutex // guards what follows
	routes  map[platform.ServiceID]platform.Route
	changes int
	refusal error
}

func newPlane() *plane { return &plane{routes: map[platform.ServiceID]platform.Route{}} }

func (p *plane) SetRoute(route platform.Route) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routes[route.ServiceID] = route
	p.changes++
}

func (p *plane) RemoveRoute(service platform.ServiceID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.routes, service)
	p.changes++
}

func (p *plane) Flush(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refusal
}

func (p *plane) Drain(context.Context, []platform.InstanceID) int { return 0 }

func (p *plane) EndTunnels(context.Context, []platform.InstanceID) {}

func (p *plane) Routes(context.Context) ([]platform.Route, error) {
	return slices.Collect(maps.Values(p.routes)), nil
}

// hosts returns the public and the private hosts of a service; nil when it has no route.
func (p *plane) hosts(service platform.ServiceID) [2][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return [2][]string{p.routes[service].Hosts, p.routes[service].PrivateHosts}
}

func (p *plane) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusal = err
}

func hostOf(service platform.Service) string { return string(service.Subdomain) + ".test" }

// of returns a configuration and its revision, which is publicly accessible or not.
func of(isPublic bool) (platform.Configuration, platform.Revision) {
	configuration := platform.DefaultConfiguration()
	configuration.Network.IsPubliclyAccessible = isPublic
	return configuration, platform.Revision{ID: "r1", Configuration: configuration}
}

func TestAServiceAnswersWhereItsRevisionSays(t *testing.T) {
	p := newPlane()
	routes := NewRoutes(p, hostOf)
	open, openRevision := of(true)
	closed, closedRevision := of(false)
	service := serving("r1")
	service.Subdomain, service.Configuration = "app", open
	want := func(when string, public, private []string) {
		t.Helper()
		if diff := cmp.Diff([2][]string{public, private}, p.hosts("s")); diff != "" {
			t.Errorf("%s, hosts (-want +got):\n%s", when, diff)
		}
	}
	routes.SetNames(map[platform.ServiceID]Names{"s": {Domains: []string{"shop.test", "www.shop.test"}}})
	routes.Starting(service)
	want("before it is ready", []string{"app.test", "shop.test", "www.shop.test"}, nil)
	endpoints := []platform.Endpoint{{InstanceID: "i1", Address: "10.0.0.1:80"}, {InstanceID: "i2", Address: "10.0.0.2:80"}}
	routes.Serve(service, openRevision, endpoints)

	// An update has begun that makes it private: what the supervisor does meanwhile must not hasten it.
	service.Configuration = closed
	routes.Remove(service, "i2")
	routes.Add(service, platform.Endpoint{InstanceID: "i3", Address: "10.0.0.3:80"})
	want("while an update makes it private", []string{"app.test", "shop.test", "www.shop.test"}, nil)
	routes.Serve(service, closedRevision, endpoints)
	want("without a connection", nil, nil)
	if route, ok := routes.Current("s"); !ok || len(route.Endpoints) != 2 {
		t.Errorf("what nobody reaches has %+v, %v", route, ok)
	}
	routes.SetNames(map[platform.ServiceID]Names{"s": {Domains: []string{"shop.test"}, Ingress: []string{"door.vpce.test"}}})
	want("with a connection", nil, []string{"door.vpce.test", "shop.test"})
	routes.Pause(service)
	want("while it is paused", nil, []string{"door.vpce.test", "shop.test"})
	routes.SetNames(nil)
	want("when the connection has gone", nil, nil)
	service.Configuration = open
	routes.Serve(service, openRevision, endpoints)
	want("public again", []string{"app.test"}, nil)
	routes.Forget(service)
	if len(p.routes) != 0 {
		t.Errorf("a forgotten service has routes: %v", p.routes)
	}
}

func TestNamesThatStayChangeNoRoute(t *testing.T) {
	p := newPlane()
	routes := NewRoutes(p, hostOf)
	configuration, revision := of(true)
	for _, id := range []platform.ServiceID{"a", "b"} {
		routes.Serve(platform.Service{ID: id, Subdomain: platform.Subdomain(id), Configuration: configuration}, revision, nil)
	}
	before := p.changes
	for range 3 {
		routes.SetNames(map[platform.ServiceID]Names{"a": {Domains: []string{"shop.test"}}, "gone": {Domains: []string{"old.test"}}})
	}
	if got := p.changes - before; got != 1 {
		t.Errorf("%d routes were said, want that of a once", got)
	}
}

func TestNamesAreThoseOfWhatIsThere(t *testing.T) {
	domain := func(name string, status platform.DomainStatus) platform.CustomDomain {
		return platform.CustomDomain{ServiceID: "s", Name: name, Status: status, HasWWW: name == "b.test"}
	}
	connection := func(service platform.ServiceID, name, status string) platform.Resource {
		return platform.Resource{ServiceID: service, Status: status, Detail: platform.ResourceDetail{VPCIngress: &platform.VPCIngressDetail{DomainName: name}}}
	}
	got := namesOf([]platform.CustomDomain{
		domain("new.test", platform.DomainStatusCreating), domain("waits.test", platform.DomainStatusPendingValidation),
		domain("*.c.test", platform.DomainStatusActive), domain("b.test", platform.DomainStatusBinding),
		domain("failed.test", platform.DomainStatusCreateFailed), domain("leaves.test", platform.DomainStatusDeleting),
	}, []platform.Resource{
		connection("s", "two", platform.IngressStatusPendingCreation), connection("s", "one", platform.IngressStatusAvailable),
		connection("t", "three", platform.IngressStatusPendingUpdate), connection("t", "four", platform.IngressStatusPendingDeletion),
		connection("u", "five", platform.IngressStatusDeleted),
	})
	want := map[platform.ServiceID]Names{
		"s": {Domains: []string{"*.c.test", "b.test", "www.b.test"}, Ingress: []string{"one", "two"}},
		"t": {Ingress: []string{"three"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// The life of a VPC ingress connection, with a data plane that is away for a while and an apron that ends in between.
func TestAConnectionIsAvailableOnceItsNameAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "apron.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		p := newPlane()
		routes := NewRoutes(p, hostOf)
		configuration, revision := of(false)
		routes.Serve(platform.Service{ID: "s", Subdomain: "app", Configuration: configuration}, revision, nil)
		run := func() (ingress *Ingress, stop func()) {
			ingress = NewIngress(db, routes, p, slog.New(slog.DiscardHandler))
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- ingress.Run(ctx) }()
			return ingress, func() { cancel(); <-ended }
		}
		find := func() platform.Resource {
			t.Helper()
			found, err := db.ListResources(t.Context(), store.ResourceQuery{Kind: platform.ResourceVPCIngress, WithDeleted: true})
			if err != nil || len(found) != 1 {
				t.Fatalf("%d connections (%v)", len(found), err)
			}
			return found[0]
		}
		move := func(status string) {
			t.Helper()
			err := db.EditResources(t.Context(), store.ResourceQuery{Kind: platform.ResourceVPCIngress}, func(found []platform.Resource) error {
				found[0].Status = status
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		_, err = db.CreateResource(t.Context(), platform.ResourceVPCIngress, "door", func(store.Existing) (platform.Resource, error) {
			return platform.Resource{
				ID: "c", Kind: platform.ResourceVPCIngress, Name: "door", Revision: 1, ARN: "arn:door", ServiceID: "s", CreatedAt: time.Now(),
				Status: platform.IngressStatusPendingCreation,
				Detail: platform.ResourceDetail{VPCIngress: &platform.VPCIngressDetail{DomainName: "door.vpce.test"}},
			}, nil
		})
		if err != nil {
			t.Fatal(err)
		}

		p.refuse(errors.New("it is away"))
		_, stop := run()
		synctest.Wait()
		if got := find().Status; got != platform.IngressStatusPendingCreation {
			t.Errorf("without a data plane it is %s", got)
		}
		stop()
		p.refuse(nil)
		ingress, stop := run()
		defer func() { stop() }()
		synctest.Wait()
		if got, hosts := find().Status, p.hosts("s"); got != platform.IngressStatusAvailable || !slices.Equal(hosts[1], []string{"door.vpce.test"}) {
			t.Errorf("it is %s, and the hosts are %q", got, hosts)
		}
		move(platform.IngressStatusPendingUpdate)
		ingress.Wake()
		synctest.Wait()
		if got := find().Status; got != platform.IngressStatusAvailable {
			t.Errorf("after an update it is %s", got)
		}
		p.refuse(errors.New("it is away"))
		move(platform.IngressStatusPendingDeletion)
		ingress.Wake()
		synctest.Wait()
		if got := find(); got.Status != platform.IngressStatusPendingDeletion || got.DeletedAt != nil {
			t.Errorf("without a data plane the deletion has come to %s", got.Status)
		}
		p.refuse(nil)
		time.Sleep(settleEvery)
		synctest.Wait()
		if got, hosts := find(), p.hosts("s"); got.Status != platform.IngressStatusDeleted || got.DeletedAt == nil || hosts[1] != nil {
			t.Errorf("at the end it is %s, deleted at %v, and the hosts are %q", got.Status, got.DeletedAt, hosts)
		}
	})
}
