// Package watch asks for a deployment of the services with automatic deployments when what they are made from has changed.
// Whoever finds out about a change tells a Watch: the servers that users push to.
package watch

import (
	"context"
	"log/slog"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// Watch knows the services, and where to ask for their deployments.
type Watch struct {
	// Services returns all services.
	Services func(ctx context.Context) ([]platform.Service, error)
	// Ask asks for a deployment of what is newest. Asking twice is safe.
	Ask func(ctx context.Context, service platform.ServiceID, wish platform.Wish) error
	Log *slog.Logger
}

// patience is how long a store that does not answer is asked again.
const patience = 30 * time.Second

// Changed asks for a deployment of every service with automatic deployments for which hasChanged says that its source did.
// It returns once that is durable. What cannot be asked for in time is logged.
func (w Watch) Changed(ctx context.Context, trigger platform.Trigger, hasChanged func(platform.Service) bool) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := w.ask(limited, trigger, hasChanged)
		if err == nil {
			return
		}
		select {
		case <-limited.Done():
			w.Log.Error("a change is not deployed: start the deployments of it by hand", "trigger", trigger, "error", err)
			return
		case <-time.After(wait):
		}
	}
}

func (w Watch) ask(ctx context.Context, trigger platform.Trigger, hasChanged func(platform.Service) bool) error {
	services, err := w.Services(ctx)
	if err != nil {
		return err
	}
	for _, service := range services {
		if !service.Configuration.Source.IsAutoDeployed || !hasChanged(service) {
			continue
		}
		if err := w.Ask(ctx, service.ID, platform.Wish{Trigger: trigger}); err != nil {
			return err
		}
	}
	return nil
}
