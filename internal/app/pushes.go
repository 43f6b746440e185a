package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/apron-run/apron/internal/operation"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/gitserver"
	"github.com/apron-run/apron/internal/source/registry"
	"github.com/apron-run/apron/internal/source/registryserver"
	"github.com/apron-run/apron/internal/source/watch"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/telemetry"
)

// newWatch watches the sources of all services, and looks at those that are elsewhere every so often.
func newWatch(db store.Store, operations *operation.Starter, from sources, logs *telemetry.Logs, every time.Duration, log *slog.Logger) *watch.Watch {
	return watch.New(watch.Config{
		Services: func(ctx context.Context) ([]platform.Service, error) {
			return db.ListServices(ctx, store.ServicePage{})
		},
		Service: oneService(db), Serves: serves(db), Ask: operations.Ask, Pass: db.ConsiderChange, Event: logs.Event,
		Sources: from, Every: every, Log: log,
	})
}

// pushes tells the Watch which services a push to apron's own servers is about.
type pushes struct {
	watch        *watch.Watch
	repositories *git.Repositories
	images       *registry.Registry
}

func newPushes(watch *watch.Watch, repositories *git.Repositories, images *registry.Registry) *pushes {
	return &pushes{watch, repositories, images}
}

// ofBranch is for a push to the Git server.
func (p *pushes) ofBranch(ctx context.Context, push gitserver.Push) {
	what := "push of " + push.Branch
	switch {
	case push.Commit == "":
		what = "deletion of " + push.Branch
	case push.IsForced:
		what = "forced " + what
		fallthrough
	default:
		what += ", " + watch.Name(push.Commit)
	}
	news := watch.News{Trigger: platform.Trigger(what), Found: push.Commit}
	p.watch.Changed(ctx, news, func(service platform.Service) bool {
		code := service.Configuration.Source.Code
		return code != nil && code.Branch == push.Branch && service.Name != push.Except && p.repositories.IsEmbedded(code.RepositoryURL, push.Repository)
	})
}

// ofTag is for a push to the registry.
func (p *pushes) ofTag(ctx context.Context, push registryserver.Push) {
	what := fmt.Sprintf("push of %s:%s, %s", push.Repository, push.Tag, watch.Name(push.Digest))
	p.watch.Changed(ctx, watch.News{Trigger: platform.Trigger(what), Found: push.Digest}, func(service platform.Service) bool {
		image := service.Configuration.Source.Image
		return image != nil && p.images.IsEmbedded(ctx, image.Identifier, push.Repository, push.Tag)
	})
}
