package deploy

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// restoreProbe is how long an adopted instance may take to answer its one probe before apron opens its listeners; one
// that needs longer joins the route later.
const restoreProbe = time.Second

// Restore builds all routes from the store and from the instances that still run, as at the start of apron. Instances
// that the data plane routes to stay there, and others that answer are routed to at once, so that a restart is not
// noticed. Health checks go on for all of them.
func (s *Supervisor) Restore(ctx context.Context) error {
	instances, err := s.executor.Backend.List(ctx)
	if err != nil {
		return fmt.Errorf("list instances: %w", err)
	}
	services, err := s.services.ListServices(ctx, store.ServicePage{})
	if err != nil {
		return fmt.Errorf("list services: %w", err)
	}
	routed := s.routed(ctx)
	byRevision := map[platform.RevisionID][]platform.Instance{}
	for _, instance := range instances {
		byRevision[instance.RevisionID] = append(byRevision[instance.RevisionID], instance)
	}
	var group errgroup.Group
	group.SetLimit(64)
	for _, service := range services {
		group.Go(func() error { return s.restore(ctx, service, byRevision[service.ActiveRevisionID], routed) })
	}
	return group.Wait()
}

// Reroute builds the route of one service as Restore does, unless it is for what serves already.
func (s *Supervisor) Reroute(ctx context.Context, service platform.Service) error {
	route, _ := s.executor.Routes.Current(service.ID)
	if (route.State == platform.RouteStateServing) == service.IsServing && route.RevisionID == service.ActiveRevisionID {
		return nil
	}
	instances, err := s.executor.Backend.List(ctx, service.ID)
	if err != nil {
		return fmt.Errorf("list instances: %w", err)
	}
	instances = slices.DeleteFunc(instances, func(i platform.Instance) bool { return i.RevisionID != service.ActiveRevisionID })
	return s.restore(ctx, service, instances, nil)
}

func (s *Supervisor) restore(ctx context.Context, service platform.Service, instances []platform.Instance, routed map[platform.InstanceID]bool) error {
	switch {
	case service.IsServing:
	case service.ActiveRevisionID != "":
		s.executor.Routes.Pause(service)
		return nil
	case service.Status == platform.ServiceStatusOperationInProgress:
		s.executor.Routes.Starting(service)
		return nil
	default:
		return nil // its creation failed
	}
	revision, err := s.executor.Store.RevisionByID(ctx, service.ActiveRevisionID)
	if err != nil {
		return fmt.Errorf("read the active revision of %s: %w", service.Name, err)
	}
	var (
		probes    sync.WaitGroup
		mu        sync.Mutex // guards endpoints
		endpoints []platform.Endpoint
	)
	for _, instance := range instances {
		if instance.State == platform.InstanceStateExited {
			continue
		}
		probes.Go(func() {
			endpoint := endpointOf(instance)
			asking, cancel := context.WithTimeout(ctx, restoreProbe)
			defer cancel()
			if !routed[instance.ID] {
				thaw(instance)
			}
			if !routed[instance.ID] && s.executor.Prober.Probe(asking, instance.Address, revision.Configuration.HealthCheck) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			endpoints = append(endpoints, endpoint)
		})
	}
	probes.Wait()
	s.executor.Routes.Serve(service, revision, endpoints)
	_, told := s.executor.Scaler.Follow(time.Now(), service, revision, population{all: len(instances), ready: len(endpoints)})
	s.executor.Scaler.tell(service.ID, told)
	return nil
}

// routed returns what the data plane routes to. One that was started just now routes to nothing.
func (s *Supervisor) routed(ctx context.Context) map[platform.InstanceID]bool {
	routes, err := s.executor.Router.Routes(ctx)
	if err != nil {
		s.log.Warn("ask the data plane for its routes", "error", err)
	}
	routed := map[platform.InstanceID]bool{}
	for _, route := range routes {
		for _, endpoint := range route.Endpoints {
			routed[endpoint.InstanceID] = true
		}
	}
	return routed
}
