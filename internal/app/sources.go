package app

import (
	"context"
	"errors"
	"strings"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source/connection"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/registry"
	"github.com/apron-run/apron/internal/source/watch"
	"github.com/apron-run/apron/internal/store"
)

// sources reads for the Watch what services are made from, with the credentials that a deployment has.
type sources struct {
	repositories *git.Repositories
	code         *connection.Connections
	images       *registry.Registry
}

// Find asks a registry for no more than it needs: what a tag means is looked at only when the tag means something else.
func (s sources) Find(ctx context.Context, from platform.Source, seen watch.Seen) (watch.Seen, error) {
	if from.Code != nil {
		commit, err := s.code.ResolveCommit(ctx, from)
		return watch.Seen{Found: commit}, err
	}
	mark, err := s.images.Digest(ctx, from.Image.Identifier)
	if err != nil || mark == seen.Mark {
		return seen, err
	}
	reference, err := s.images.ResolveImage(ctx, from.Image.Identifier)
	_, digest, _ := strings.Cut(reference, "@")
	return watch.Seen{Found: digest, Mark: mark}, err
}

// HasChanged says whether a folder differs between two commits.
func (s sources) HasChanged(ctx context.Context, from platform.Source, before, after string) (bool, error) {
	return s.code.HasChanged(ctx, from, before, after)
}

// IsElsewhere says whether a source is at another server, under a name that may come to mean something else.
func (s sources) IsElsewhere(ctx context.Context, from platform.Source) bool {
	if from.Code != nil {
		return !s.repositories.IsOwn(from.Code.RepositoryURL)
	}
	return s.images.TagElsewhere(ctx, from.Image.Identifier) != ""
}

// serves returns the commit or digest of a service's active revision.
func serves(db store.Revisions) func(context.Context, platform.Service) (string, error) {
	return func(ctx context.Context, service platform.Service) (string, error) {
		if service.ActiveRevisionID == "" {
			return "", nil
		}
		revision, err := db.RevisionByID(ctx, service.ActiveRevisionID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return "", nil
		case revision.Commit != "":
			return revision.Commit, err
		}
		return revision.ImageDigest, err
	}
}

// oneService reads a service for the Watch.
func oneService(db store.Services) func(context.Context, platform.ServiceID) (platform.Service, bool, error) {
	return func(ctx context.Context, id platform.ServiceID) (platform.Service, bool, error) {
		service, err := db.ServiceByID(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return platform.Service{}, false, nil
		}
		return service, err == nil && service.Status != platform.ServiceStatusDeleted, err
	}
}
