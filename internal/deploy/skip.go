package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
)

// SkipBuild records a Revision with the image of an earlier one, where that was built of the same commit, with the same
// settings, for the same images of the runtime. It returns which one that is, for people; empty when the source has to be built.
func (e *Executor) SkipBuild(ctx context.Context, operation platform.Operation, service platform.Service) (earlier string, err error) {
	revisions, err := e.Store.ListRevisions(ctx, service.ID)
	if err != nil {
		return "", fmt.Errorf("list revisions: %w", err)
	}
	id := platform.RevisionIDFor(operation.ID)
	for _, revision := range revisions {
		if revision.ID == id { // recorded before a crash, or by the step before
			return builtAs(revision, revisions), nil
		}
	}
	log := e.Logs.Deployment(service.ID, operation.ID)
	defer log.Close()
	for _, revision := range revisions {
		isSame, err := e.isBuilt(ctx, operation, service, revision, log)
		if err != nil {
			return "", err
		}
		if !isSame {
			continue
		}
		earlier = cmp.Or(builtAs(revision, revisions), fmt.Sprintf("revision %d", revision.Number))
		fmt.Fprintf(log, "Build skipped: %s was built of the same commit, %.7s, with the same settings and runtime. Its image is used again.\n",
			earlier, revision.Commit)
		return earlier, e.createRevision(ctx, operation, service, revision)
	}
	return "", nil
}

// isBuilt says whether a build for the service would give the image of a revision, which is still there.
func (e *Executor) isBuilt(ctx context.Context, operation platform.Operation, service platform.Service, revision platform.Revision, log io.Writer) (bool, error) {
	if revision.BuildKey == "" || revision.Commit != operation.Progress.Commit {
		return false, nil
	}
	if e.Builder.Key(ctx, e.buildRequest(service, log), revision.Runtime) != revision.BuildKey {
		return false, ctx.Err()
	}
	image, err := e.Images.Image(ctx, revision.Image)
	if errors.Is(err, compute.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the image of an earlier revision: %w", err)
	}
	return image.Digest == revision.ImageDigest, nil
}

// builtAs names the revision for which the image of another was built; empty when that is itself.
func builtAs(revision platform.Revision, all []platform.Revision) string {
	if revision.Image == ImageName(revision.ServiceID, revision.ID) {
		return ""
	}
	for _, each := range all {
		if revision.Image == ImageName(each.ServiceID, each.ID) {
			return fmt.Sprintf("revision %d", each.Number)
		}
	}
	return "an earlier revision" // not kept any more; its image is, as long as any revision has it
}
