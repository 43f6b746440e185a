package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

const (
	// sweepEvery is how often what nobody owns is looked for while something happens: removals that were cut short leave it.
	sweepEvery = time.Minute
	// sweepAtRest is how often while nothing does: a look at everything that a thousand services have is work.
	sweepAtRest = 15 * time.Minute
)

// sweepTimeout bounds one look: what it has not come to is looked for the next time.
const sweepTimeout = 5 * time.Minute

// sweep looks for what nobody owns until ctx ends.
func (s *Supervisor) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for last := (time.Time{}); ; {
		if s.isStirred.Swap(false) || time.Since(last) >= sweepAtRest {
			last = time.Now()
			if err := s.sweepOnce(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("remove what nobody owns", "error", err)
				s.isStirred.Store(true)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sweepOnce removes remains of instances, images of no revision, and checkouts of operations that have ended.
func (s *Supervisor) sweepOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	return errors.Join(s.executor.Backend.Sweep(ctx), s.sweepImages(ctx), s.sweepSources(ctx))
}

// sweepImages removes the images that no revision has. It lists them before it reads who owns them: an operation that is
// about to record its revision is still in progress then, or its revision is there.
func (s *Supervisor) sweepImages(ctx context.Context) error {
	names, err := s.executor.Images.ListImages(ctx)
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	byService := map[platform.ServiceID][]string{}
	for _, name := range names {
		if service, _, ok := strings.Cut(strings.TrimPrefix(name, imageHost), ":"); ok && strings.HasPrefix(name, imageHost) {
			byService[platform.ServiceID(service)] = append(byService[platform.ServiceID(service)], name)
		}
	}
	var errs []error
	for id, names := range byService {
		errs = append(errs, s.sweepImagesOf(ctx, id, names))
	}
	return errors.Join(errs...)
}

func (s *Supervisor) sweepImagesOf(ctx context.Context, id platform.ServiceID, names []string) error {
	service, err := s.services.ServiceByID(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read the service of an image: %w", err)
	}
	if service.Status == platform.ServiceStatusOperationInProgress {
		return nil
	}
	revisions, err := s.executor.Store.ListRevisions(ctx, id)
	if err != nil {
		return fmt.Errorf("list revisions: %w", err)
	}
	var errs []error
	for _, name := range names {
		if slices.ContainsFunc(revisions, func(r platform.Revision) bool { return r.Image == name }) {
			continue
		}
		s.log.Info("an image of no revision is removed", "service", id, "image", name)
		errs = append(errs, s.executor.Images.Remove(ctx, name))
	}
	return errors.Join(errs...)
}

// sweepSources removes the checkouts of operations that have ended.
func (s *Supervisor) sweepSources(ctx context.Context) error {
	entries, err := os.ReadDir(s.executor.SourcesDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list checkouts: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue // a fetch's own folder, which it removes itself
		}
		id := platform.OperationID(strings.TrimSuffix(entry.Name(), ".partial"))
		operation, err := s.services.OperationByID(ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound), err == nil && operation.Status.IsTerminal():
			errs = append(errs, os.RemoveAll(filepath.Join(s.executor.SourcesDir, entry.Name())))
		case err != nil:
			errs = append(errs, fmt.Errorf("read the operation of a checkout: %w", err))
		}
	}
	return errors.Join(errs...)
}
