package proxy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

// Services take names, share them, and give them up, at random. After each change every name leads to a route that has it, and nowhere
// only when none has; the names of a table that was published before stay as they were.
func TestChangesOfRoutesLeaveEachNameWithOneOfThoseThatHaveIt(t *testing.T) {
	names := []string{"a.test", "b.test", "c.test", "*.test", "*.a.test"}
	asked := map[string]string{"a.test": "a.test", "B.test:80": "b.test", "c.test": "c.test", "other.test": "*.test", "x.a.test": "*.a.test"}
	random := rand.New(rand.NewPCG(1, 2))
	pick := func() (some []string) {
		for _, each := range names {
			if random.IntN(3) == 0 {
				some = append(some, each)
			}
		}
		return some
	}
	p := New(Config{})
	routes := map[platform.ServiceID]platform.Route{}
	for step := range 5000 {
		var changed []platform.Route
		var removed []platform.ServiceID
		for i := range 4 {
			id := platform.ServiceID(fmt.Sprint("service-", i))
			switch random.IntN(6) {
			case 0:
				route := platform.Route{ServiceID: id, Hosts: pick(), PrivateHosts: pick(), State: platform.RouteStateServing}
				if random.IntN(2) == 0 {
					route.Endpoints = []platform.Endpoint{{InstanceID: platform.InstanceID(fmt.Sprint(i, random.IntN(2))), Address: "127.0.0.1:1"}}
				}
				routes[id], changed = route, append(changed, route)
			case 1:
				delete(routes, id)
				removed = append(removed, id)
			}
		}
		before := p.table.Load()
		owners := ownersOf(before)
		if random.IntN(10) == 0 {
			var all []platform.Route
			for _, each := range routes {
				all = append(all, each)
			}
			p.SetRoutes(all)
		} else {
			p.ChangeRoutes(changed, removed)
		}
		if again := ownersOf(before); !slices.Equal(owners, again) {
			t.Fatalf("step %d has changed a published table", step)
		}
		checkNames(t, p.table.Load(), routes, asked)
		endpoints := 0
		for _, each := range routes {
			endpoints += len(each.Endpoints)
		}
		if len(p.routes) != len(routes) || len(p.services) != len(routes) || len(p.instances) != endpoints {
			t.Fatalf("after step %d there are %d routes, %d services and %d instances, want %d and %d instances",
				step, len(p.routes), len(p.services), len(p.instances), len(routes), endpoints)
		}
	}
}

// checkNames asks for each host. A wildcard is found under the host that asks for it.
func checkNames(t *testing.T, table *table, routes map[platform.ServiceID]platform.Route, asked map[string]string) {
	t.Helper()
	for host, name := range asked {
		for _, isPrivate := range []bool{false, true} {
			var want []platform.ServiceID
			for id, each := range routes {
				if slices.Contains(hostsOf(&each, isPrivate), name) {
					want = append(want, id)
				}
			}
			found := table.on(isPrivate).find(canonicalHost(host))
			switch {
			case found == nil && len(want) > 0:
				t.Fatalf("%s leads nowhere, want one of %v", host, want)
			case found != nil && len(want) > 0 && !slices.Contains(want, found.ServiceID),
				found != nil && len(want) == 0 && !slices.Contains(hostsOf(&found.Route, isPrivate), "*.test"):
				t.Fatalf("%s leads to %s, want one of %v", host, found.ServiceID, want)
			}
		}
	}
}

func ownersOf(table *table) (owners []*route) {
	for _, host := range []string{"a.test", "b.test", "c.test", "other.test", "x.a.test"} {
		owners = append(owners, table.public.find(host), table.private.find(host))
	}
	return owners
}

func BenchmarkAChangeOfOneRouteAmongMany(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := New(Config{})
			route := func(i, instance int) platform.Route {
				return platform.Route{
					ServiceID: platform.ServiceID(fmt.Sprint("service-", i)), Hosts: []string{fmt.Sprint(i, ".test")}, State: platform.RouteStateServing,
					Endpoints: []platform.Endpoint{{InstanceID: platform.InstanceID(fmt.Sprint(i, "-", instance)), Address: "127.0.0.1:1"}},
				}
			}
			var all []platform.Route
			for i := range n {
				all = append(all, route(i, 0))
			}
			p.SetRoutes(all)
			b.ResetTimer()
			for i := range b.N {
				p.ChangeRoutes([]platform.Route{route(i%n, 1+i/n)}, nil)
			}
		})
	}
}
