package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/apron-run/apron/internal/operation"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/pushed"
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

// pushes tells the Watch which services a push to apron's own servers is about, and whoever pushed what becomes of it.
type pushes struct {
	watch        *watch.Watch
	repositories *git.Repositories
	images       *registry.Registry
	teller       *pushed.Teller
	log          *slog.Logger
}

func newPushes(watch *watch.Watch, repositories *git.Repositories, images *registry.Registry, teller *pushed.Teller, log *slog.Logger) *pushes {
	return &pushes{watch, repositories, images, teller, log}
}

// ofBranch is for a push to the Git server. It returns what tells of the push; nil where whoever pushed brings the service
// up and looks after it by itself, and for a branch that is no more.
func (p *pushes) ofBranch(ctx context.Context, push gitserver.Push) func(context.Context, io.Writer) {
	of := &pushed.Push{Repository: push.Repository, Branch: push.Branch, Commit: push.Commit, IsSource: func(service platform.Service) bool {
		code := service.Configuration.Source.Code
		return code != nil && p.repositories.IsEmbedded(code.RepositoryURL, push.Repository)
	}}
	err := p.teller.Begin(ctx, of)
	if err != nil {
		p.log.Error("nobody is told what becomes of a push", "repository", push.Repository, "error", err)
	}
	p.watch.Changed(ctx, newsOf(push), func(service platform.Service) bool {
		return of.IsSource(service) && service.Configuration.Source.Code.Branch == push.Branch && service.Name != push.Except
	})
	if err != nil || push.Except != "" || push.Commit == "" {
		return nil
	}
	return func(ctx context.Context, to io.Writer) { p.teller.Tell(ctx, of, to) }
}

func newsOf(push gitserver.Push) watch.News {
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
	return watch.News{Trigger: platform.Trigger(what), Found: push.Commit}
}

// ofTag is for a push to the registry.
func (p *pushes) ofTag(ctx context.Context, push registryserver.Push) {
	what := fmt.Sprintf("push of %s:%s, %s", push.Repository, push.Tag, watch.Name(push.Digest))
	p.watch.Changed(ctx, watch.News{Trigger: platform.Trigger(what), Found: push.Digest}, func(service platform.Service) bool {
		image := service.Configuration.Source.Image
		return image != nil && p.images.IsEmbedded(ctx, image.Identifier, push.Repository, push.Tag)
	})
}
