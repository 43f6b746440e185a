package deploy

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/apron-run/apron/internal/platform"
)

// service of the simulated machine on which Plan's instructions are carried out.
type simulation struct {
	now       time.Time
	service   platform.Service
	size      int
	instances []platform.Instance
	// sick instances never become ready.
	sick, routed, admitting map[platform.InstanceID]bool
	failures                int
	notBefore               time.Time
	started                 int
}

func (s *simulation) observe() Observation {
	return Observation{
		Service: s.service, Instances: slices.Clone(s.instances), Size: s.size, Routed: s.routed, Admitting: s.admitting, StartNotBefore: s.notBefore,
	}
}

func (s *simulation) start(revision platform.RevisionID) {
	s.started++
	one := instance(fmt.Sprint("i", s.started), string(revision), platform.InstanceStateRunning)
	s.instances = append(s.instances, one)
}

// answering counts the instances of the active revision that run and have requests.
func (s *simulation) answering() (n int) {
	for _, one := range s.instances {
		if s.service.IsServing && one.RevisionID == s.service.ActiveRevisionID && one.State == platform.InstanceStateRunning && s.routed[one.ID] {
			n++
		}
	}
	return n
}

func (s *simulation) remove(id platform.InstanceID) {
	s.instances = slices.DeleteFunc(s.instances, func(i platform.Instance) bool { return i.ID == id })
	delete(s.routed, id)
	delete(s.admitting, id)
}

func (s *simulation) countFailure() {
	s.failures++
	s.notBefore = s.now.Add(Backoff(s.failures, 1))
}

// act carries a plan out as the Supervisor does, and lets what it waits for happen.
func (s *simulation) act(actions Actions) {
	for id := range s.admitting { // those of before
		delete(s.admitting, id)
		if s.sick[id] {
			s.remove(id)
			s.countFailure()
		} else {
			s.routed[id] = true
		}
	}
	for _, one := range actions.Bury {
		s.remove(one.ID)
		s.countFailure()
	}
	for _, one := range actions.Retire {
		s.remove(one.ID)
	}
	for _, one := range actions.Admit {
		s.admitting[one.ID] = true
	}
	if len(actions.Bury) > 0 {
		return
	}
	for range actions.Start {
		s.start(s.service.ActiveRevisionID)
		s.admitting[s.instances[len(s.instances)-1].ID] = true
	}
}

// happen lets something happen that Plan has no part in.
func (s *simulation) happen(t *rapid.T) {
	switch rapid.SampledFrom([]string{"death", "sickness", "deployment", "pause", "resume", "size", "operation", "time"}).Draw(t, "event") {
	case "death":
		if len(s.instances) > 0 {
			i := rapid.IntRange(0, len(s.instances)-1).Draw(t, "instance")
			if !s.admitting[s.instances[i].ID] {
				s.instances[i].State, s.instances[i].Exit = platform.InstanceStateExited, &platform.Exit{Code: 1}
			}
		}
	case "sickness":
		s.sick[platform.InstanceID(fmt.Sprint("i", s.started+1))] = true
	case "deployment":
		s.service.ActiveRevisionID, s.service.IsServing = platform.RevisionID(fmt.Sprint("r", rapid.IntRange(1, 3).Draw(t, "revision"))), true
		s.routed = map[platform.InstanceID]bool{}
		for range max(s.size, 1) {
			s.start(s.service.ActiveRevisionID)
			s.routed[s.instances[len(s.instances)-1].ID] = true
		}
	case "pause":
		s.service.IsServing, s.routed = false, map[platform.InstanceID]bool{}
	case "resume":
		s.service.IsServing = true
	case "size":
		s.size = rapid.IntRange(0, 4).Draw(t, "size")
	case "operation":
		s.service.Status = rapid.SampledFrom([]platform.ServiceStatus{platform.ServiceStatusRunning, platform.ServiceStatusOperationInProgress}).Draw(t, "status")
	case "time":
		s.now = s.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
	}
}

// Whatever happens to a service, no plan makes it worse, and once nothing more happens the plans come to their end.
func TestPlansBringAServiceToItsSizeAndThenDoNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &simulation{
			now: noon, service: serving("r1"), size: rapid.IntRange(0, 4).Draw(t, "size"),
			sick: map[platform.InstanceID]bool{}, routed: map[platform.InstanceID]bool{}, admitting: map[platform.InstanceID]bool{},
		}
		round := func() Actions {
			seen := s.observe()
			actions := Plan(s.now, seen)
			if diff := cmp.Diff(actions, Plan(s.now, seen)); diff != "" {
				t.Fatalf("two plans for one observation (-first +second):\n%s", diff)
			}
			if actions.Start > 0 && s.now.Before(s.notBefore) {
				t.Fatalf("%d instances are started %s before the backoff ends", actions.Start, s.notBefore.Sub(s.now))
			}
			answered := s.answering()
			s.act(actions)
			if s.answering() < min(answered, s.size) {
				t.Fatalf("%d instances answered of %d, and after the plan %d: %+v", answered, s.size, s.answering(), actions)
			}
			return actions
		}
		for range rapid.IntRange(0, 30).Draw(t, "events") {
			s.happen(t)
			round()
		}
		s.service.Status = platform.ServiceStatusRunning
		const enough = 40
		for rounds := 0; ; rounds++ {
			isWaiting := len(s.admitting) > 0
			actions := round()
			if cmp.Equal(actions, Actions{}) && !isWaiting && !s.now.Before(s.notBefore) {
				break
			}
			if rounds == enough {
				t.Fatalf("after %d rounds there is still something to do: %+v", rounds, actions)
			}
			s.now = s.now.Add(30 * time.Second)
		}
		if !s.service.IsServing && len(s.instances) > 0 || s.service.IsServing && s.answering() != s.size {
			t.Fatalf("%d instances, %d of them answer, and the size is %d (serving: %v)", len(s.instances), s.answering(), s.size, s.service.IsServing)
		}
		for _, one := range s.instances {
			if one.RevisionID != s.service.ActiveRevisionID || !s.routed[one.ID] {
				t.Fatalf("instance %s of %s is left", one.ID, one.RevisionID)
			}
		}
	})
}

func TestBackoffStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		failures, jitter := rapid.IntRange(-1, 1<<30).Draw(t, "failures"), rapid.Float64Range(0, 1).Draw(t, "jitter")
		least, wait, most := Backoff(failures, 0), Backoff(failures, jitter), Backoff(failures, 1)
		if wait < least || wait > most || most != least+least/4 || most > 75*time.Second {
			t.Errorf("after %d failures: %s, from %s to %s", failures, wait, least, most)
		}
		if next := Backoff(failures+1, 0); next < least {
			t.Errorf("after %d failures %s, after one more %s", failures, least, next)
		}
	})
}

// seenRoutes is a Router that checks what it is told against what is ready.
type seenRoutes struct {
	t      *rapid.T
	routes map[platform.ServiceID]platform.Route
}

func (r *seenRoutes) SetRoute(route platform.Route) {
	r.routes[route.ServiceID] = route
	seen := map[platform.InstanceID]bool{}
	for _, endpoint := range route.Endpoints {
		if seen[endpoint.InstanceID] {
			r.t.Fatalf("instance %s is twice in a route", endpoint.InstanceID)
		}
		seen[endpoint.InstanceID] = true
	}
}

func (r *seenRoutes) RemoveRoute(service platform.ServiceID) { delete(r.routes, service) }

func (r *seenRoutes) Flush(context.Context) error                      { return nil }
func (r *seenRoutes) Drain(context.Context, []platform.InstanceID) int { return 0 }

func (r *seenRoutes) EndTunnels(context.Context, []platform.InstanceID) {}
func (r *seenRoutes) Routes(context.Context) ([]platform.Route, error)  { return nil, nil }

// Each change is published whole: the data plane has exactly the instances that were given and not taken away, of the
// revision that serves, at every moment. So a switch has no moment without any.
func TestRoutesAreWhatWasSaidAtEveryMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		router := &seenRoutes{t, map[platform.ServiceID]platform.Route{}}
		routes := NewRoutes(router, func(platform.Service) string { return "host" })
		service := platform.Service{ID: "s"}
		ready := map[platform.InstanceID]bool{}
		state := platform.RouteState("")
		endpoint := func() platform.Endpoint {
			return platform.Endpoint{InstanceID: platform.InstanceID(fmt.Sprint("i", rapid.IntRange(1, 6).Draw(t, "instance")))}
		}
		t.Repeat(map[string]func(*rapid.T){
			"serve": func(t *rapid.T) {
				service.ActiveRevisionID = platform.RevisionID(fmt.Sprint("r", rapid.IntRange(1, 3).Draw(t, "revision")))
				state, ready = platform.RouteStateServing, map[platform.InstanceID]bool{}
				var endpoints []platform.Endpoint
				for range rapid.IntRange(1, 3).Draw(t, "endpoints") {
					if one := endpoint(); !ready[one.InstanceID] {
						ready[one.InstanceID] = true
						endpoints = append(endpoints, one)
					}
				}
				routes.Serve(service, platform.Revision{ID: service.ActiveRevisionID}, endpoints)
			},
			"add": func(t *rapid.T) {
				one, of := endpoint(), service
				of.ActiveRevisionID = platform.RevisionID(fmt.Sprint("r", rapid.IntRange(1, 3).Draw(t, "revision")))
				isWanted := state == platform.RouteStateServing && of.ActiveRevisionID == service.ActiveRevisionID
				if routes.Add(of, one) != isWanted {
					t.Fatalf("an instance of %s was added: %v, and %s of %s is served", of.ActiveRevisionID, !isWanted, state, service.ActiveRevisionID)
				}
				if isWanted {
					ready[one.InstanceID] = true
				}
			},
			"remove": func(t *rapid.T) {
				one := endpoint()
				routes.Remove(service, one.InstanceID)
				delete(ready, one.InstanceID)
			},
			"pause": func(t *rapid.T) {
				routes.Pause(service)
				state, ready = platform.RouteStatePaused, map[platform.InstanceID]bool{}
			},
			"forget": func(t *rapid.T) {
				routes.Forget(service)
				state, ready = "", map[platform.InstanceID]bool{}
			},
			"names": func(t *rapid.T) {
				routes.SetNames(map[platform.ServiceID]Names{"s": {Domains: []string{fmt.Sprint("d", rapid.IntRange(1, 3).Draw(t, "domain"))}}})
			},
			"": func(t *rapid.T) {
				route := router.routes["s"]
				current, _ := routes.Current("s")
				if diff := cmp.Diff(current, route); diff != "" {
					t.Fatalf("the data plane has another route (-ours +its):\n%s", diff)
				}
				if route.State != state || len(route.Endpoints) != len(ready) {
					t.Fatalf("the route is %s with %d endpoints, and should be %s with %d", route.State, len(route.Endpoints), state, len(ready))
				}
				for _, one := range route.Endpoints {
					if !ready[one.InstanceID] {
						t.Fatalf("instance %s has requests and is not ready", one.InstanceID)
					}
				}
			},
		})
	})
}
