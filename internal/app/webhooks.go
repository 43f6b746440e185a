package app

import (
	"context"
	"log/slog"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/secret"
	"github.com/apron-run/apron/internal/source/registry"
	"github.com/apron-run/apron/internal/source/watch"
	"github.com/apron-run/apron/internal/source/webhook"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/telemetry"
)

// newWebhookSecrets keeps the secrets of webhooks in the database, sealed.
func newWebhookSecrets(db store.Services, box *secret.Box) webhook.Secrets {
	return webhook.Secrets{Seal: box.Seal, Open: box.Open, Keep: db.KeepWebhook}
}

// newWebhooks hands what webhooks tell to the Watch.
func newWebhooks(db store.Services, secrets webhook.Secrets, images *registry.Registry, to *watch.Watch, logs *telemetry.Logs, log *slog.Logger) *webhook.Handler {
	one := oneService(db)
	return webhook.New(webhook.Config{
		Target: func(ctx context.Context, id platform.ServiceID) (webhook.Target, bool, error) {
			service, isThere, err := one(ctx, id)
			if err != nil || !isThere || service.Webhook == "" {
				return webhook.Target{}, false, err
			}
			key, err := secrets.Of(service)
			target := webhook.Target{Service: service, Secret: key}
			if image := service.Configuration.Source.Image; image != nil {
				target.Tag = images.TagElsewhere(ctx, image.Identifier)
			}
			return target, err == nil, err
		},
		Hint:  func(id platform.ServiceID, hint webhook.Hint) { to.Hint(id, watch.Hint(hint)) },
		Event: logs.Event, Log: log,
	})
}
