package deploy

import (
	"context"
	"log/slog"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// Traffic keeps how services' requests are treated as their tags say: a change needs no deployment.
type Traffic struct {
	services store.Services
	routes   *Routes
	log      *slog.Logger
	wake     chan struct{}
}

// NewTraffic returns a Traffic for these routes.
func NewTraffic(services store.Services, routes *Routes, log *slog.Logger) *Traffic {
	return &Traffic{services: services, routes: routes, log: log, wake: make(chan struct{}, 1)}
}

// Wake makes it read the tags of all services now.
func (t *Traffic) Wake() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Run reads tags when it is woken, and at its start, until ctx ends.
func (t *Traffic) Run(ctx context.Context) error {
	for {
		var again <-chan time.Time
		if err := t.runOnce(ctx); err != nil && ctx.Err() == nil {
			t.log.Error("read how requests are treated", "error", err)
			again = time.After(settleEvery)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.wake:
		case <-again:
		}
	}
}

// runOnce reads all tags. Those that cannot be read, as of a database that is older than their rules, count as absent.
func (t *Traffic) runOnce(ctx context.Context) error {
	services, err := t.services.ListServices(ctx, store.ServicePage{})
	if err != nil {
		return err
	}
	all := make(map[platform.ServiceID]platform.Traffic, len(services))
	for _, service := range services {
		traffic, err := platform.ParseTraffic(service.Tags)
		if err != nil {
			t.log.Warn("a service has tags that cannot be read; its requests are treated as if it had none of them", "service", service.Name, "error", err)
		}
		all[service.ID] = traffic
	}
	t.routes.SetTraffic(all)
	return nil
}
