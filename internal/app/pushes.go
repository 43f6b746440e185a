package app

import (
	"context"
	"log/slog"

	"github.com/apron-run/apron/internal/operation"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/gitserver"
	"github.com/apron-run/apron/internal/source/registry"
	"github.com/apron-run/apron/internal/source/registryserver"
	"github.com/apron-run/apron/internal/source/watch"
	"github.com/apron-run/apron/internal/store"
)

// pushes tells the Watch which services a push to apron's own servers is about.
type pushes struct {
	watch        watch.Watch
	repositories *git.Repositories
	images       *registry.Registry
}

func newPushes(db store.Store, operations *operation.Starter, repositories *git.Repositories, images *registry.Registry, log *slog.Logger) *pushes {
	services := func(ctx context.Context) ([]platform.Service, error) {
		return db.ListServices(ctx, store.ServicePage{})
	}
	return &pushes{watch.Watch{Services: services, Ask: operations.Ask, Log: log}, repositories, images}
}

// ofBranch is for a push to the Git server.
func (p *pushes) ofBranch(ctx context.Context, push gitserver.Push) {
	p.watch.Changed(ctx, platform.Trigger("push of "+push.Branch), func(service platform.Service) bool {
		code := service.Configuration.Source.Code
		return code != nil && code.Branch == push.Branch && service.Name != push.Except && p.repositories.IsEmbedded(code.RepositoryURL, push.Repository)
	})
}

// ofTag is for a push to the registry.
func (p *pushes) ofTag(ctx context.Context, push registryserver.Push) {
	p.watch.Changed(ctx, platform.Trigger("push of "+push.Repository+":"+push.Tag), func(service platform.Service) bool {
		image := service.Configuration.Source.Image
		return image != nil && p.images.IsEmbedded(ctx, image.Identifier, push.Repository, push.Tag)
	})
}
