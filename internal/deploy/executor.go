package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/failpoint"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// Executor holds the steps that operations are made of. Each method is idempotent and safe to run again after a crash.
type Executor struct {
	Store   store.Revisions
	Backend compute.Backend
	Images  compute.Images
	Code    CodeResolver
	Image   ImageResolver
	Builder Builder
	Secrets Secrets
	Prober  Prober
	Router  Router
	Routes  *Routes
	// Loads may be nil: then sizes stay as they are.
	Loads  Loads
	Scaler *Scaler
	Logs   Logs
	Log    *slog.Logger
	// SourcesDir is where repositories are checked out while they are built.
	SourcesDir string
	// HealthTimeout is how long new instances have to become ready.
	HealthTimeout time.Duration
	// Revisions is how many of a service stay, with their images; the one that serves always does.
	Revisions int
	// Disk refuses what there is no room for.
	Disk Disk
	ends ends
}

const (
	// StorageBytes is what an instance may write to its file system (App Runner: 3 GB storage).
	StorageBytes = 3 << 30
	// StopGrace is how long an instance has between SIGTERM and SIGKILL.
	StopGrace = 10 * time.Second
	// probeFirst is how soon a new instance is probed again at first, and probeEvery how often after a while: an app that starts in
	// milliseconds need not wait, and one that takes seconds is left to it.
	probeFirst = 2 * time.Millisecond
	probeEvery = 50 * time.Millisecond
	// inspectEvery bounds how long the end of a new instance goes unnoticed that nobody has told.
	inspectEvery = 500 * time.Millisecond
	// evidenceLines is how much of an app's last output goes into a failure.
	evidenceLines = 20
	// imageHost is the name under which images of services are kept; it is never resolved.
	imageHost = "apron.local/service/"
)

// ImageName is the name under which the backend keeps the image of a revision.
func ImageName(service platform.ServiceID, revision platform.RevisionID) string {
	return imageHost + string(service) + ":" + string(revision)
}

// Resolve finds what the source means now: the newest commit of the branch, or the digest of the tag.
func (e *Executor) Resolve(ctx context.Context, source platform.Source, progress *platform.Progress) (detail string, err error) {
	if err := e.checkSecrets(ctx, source); err != nil {
		return "", err
	}
	if source.Code != nil {
		if progress.Commit == "" {
			if progress.Commit, err = e.Code.ResolveCommit(ctx, source); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("commit %.7s of branch %s", progress.Commit, source.Code.Branch), nil
	}
	if progress.ImageReference == "" {
		if progress.ImageReference, err = e.Image.ResolveImage(ctx, source.Image.Identifier); err != nil {
			return "", err
		}
	}
	return progress.ImageReference, nil
}

// Fetch checks the commit out into a folder of the operation's own.
func (e *Executor) Fetch(ctx context.Context, operation platform.Operation, service platform.Service) error {
	if done, err := e.HasRevision(ctx, operation); done || err != nil {
		return err
	}
	dir := e.sourceDir(operation.ID)
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := e.Disk.RoomForBuild(); err != nil {
		return err
	}
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("clear a checkout that was cut short: %w", err)
	}
	if err := os.MkdirAll(e.SourcesDir, 0o700); err != nil {
		return fmt.Errorf("make the folder of checkouts: %w", err)
	}
	log := e.Logs.Deployment(service.ID, operation.ID)
	defer log.Close()
	if err := e.Code.Fetch(ctx, service.Configuration.Source, operation.Progress.Commit, partial, log); err != nil {
		return err
	}
	return os.Rename(partial, dir)
}

// Build builds the fetched source and records the Revision.
func (e *Executor) Build(ctx context.Context, operation platform.Operation, service platform.Service) error {
	if done, err := e.HasRevision(ctx, operation); done || err != nil {
		return err
	}
	if err := e.Disk.RoomForBuild(); err != nil {
		return err
	}
	log := e.Logs.Deployment(service.ID, operation.ID)
	defer log.Close()
	id := platform.RevisionIDFor(operation.ID)
	request := e.buildRequest(service, log)
	request.Dir, request.ImageName = e.sourceDir(operation.ID), ImageName(service.ID, id)
	result, err := e.Builder.Build(ctx, request)
	if err != nil {
		return err
	}
	return e.createRevision(ctx, operation, service, platform.Revision{
		Image: request.ImageName, ImageDigest: result.ImageDigest, Commit: operation.Progress.Commit,
		Runtime: result.Runtime, BuildKey: result.Key, Runtimes: result.Runtimes, Process: result.Process,
	})
}

// buildRequest is what is to be built, without where from and where to.
func (e *Executor) buildRequest(service platform.Service, log io.Writer) BuildRequest {
	return BuildRequest{
		ServiceID: service.ID, ServiceName: service.Name, Code: *service.Configuration.Source.Code, Tags: service.Tags, Log: log,
		Secret: e.Secrets.Value,
	}
}

// Pull fetches the resolved image and records the Revision.
func (e *Executor) Pull(ctx context.Context, operation platform.Operation, service platform.Service) error {
	if done, err := e.HasRevision(ctx, operation); done || err != nil {
		return err
	}
	if err := e.Disk.RoomForImage(); err != nil {
		return err
	}
	log := e.Logs.Deployment(service.ID, operation.ID)
	defer log.Close()
	name := ImageName(service.ID, platform.RevisionIDFor(operation.ID))
	image, err := e.Images.Pull(ctx, name, operation.Progress.ImageReference, log)
	if err != nil {
		return err
	}
	process, err := imageProcess(*service.Configuration.Source.Image)
	if err != nil {
		return err
	}
	return e.createRevision(ctx, operation, service, platform.Revision{Image: name, ImageDigest: image.Digest, Process: process})
}

// Reuse records a Revision with the image of an earlier one and the service's new configuration: of the active one for
// an update that does not change the source, of the one to go back to for a rollback.
func (e *Executor) Reuse(ctx context.Context, operation platform.Operation, service platform.Service) error {
	if done, err := e.HasRevision(ctx, operation); done || err != nil {
		return err
	}
	id := service.ActiveRevisionID
	if operation.RollsBackTo != "" {
		id = operation.RollsBackTo
	}
	earlier, err := e.Store.RevisionByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return platform.Explain(err, "The revision whose image was to be used is not kept any more.").
			Try("Choose one that `apron revisions %s` lists.", service.Name)
	}
	if err != nil {
		return fmt.Errorf("read the earlier revision: %w", err)
	}
	process := earlier.Process
	if image := service.Configuration.Source.Image; image != nil {
		if process, err = imageProcess(*image); err != nil {
			return err
		}
	}
	revision := earlier
	revision.ID = platform.RevisionIDFor(operation.ID)
	revision.CreatedAt = operation.StartedAt
	if process.SealedSecrets, err = e.Secrets.Seal(ctx, revision.ID, process.Secrets); err != nil {
		return err
	}
	revision.Process = process
	revision.Configuration = service.Configuration
	_, err = e.Store.CreateRevision(ctx, revision, operation)
	return err
}

// StartInstances starts the instances of a revision that the operation brings up, as many as the service has, and returns them.
func (e *Executor) StartInstances(ctx context.Context, operation platform.Operation, service platform.Service, revision platform.Revision) ([]platform.Instance, error) {
	instances := make([]platform.Instance, e.Scaler.SizeFor(service, revision))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxStarts)
	for i := range instances {
		group.Go(func() (err error) {
			instances[i], err = e.start(ctx, platform.InstanceIDFor(operation.ID, i), service, revision)
			return err
		})
	}
	return instances, group.Wait()
}

// AwaitHealthy waits until every instance is ready, and fails as soon as one of them ended or the time is over.
func (e *Executor) AwaitHealthy(ctx context.Context, service platform.Service, revision platform.Revision, instances []platform.Instance) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, instance := range instances {
		group.Go(func() error { return e.awaitHealthy(ctx, service, revision, instance) })
	}
	return group.Wait()
}

// Endpoints turns ready instances into what a Route holds.
func Endpoints(instances []platform.Instance) []platform.Endpoint {
	endpoints := make([]platform.Endpoint, len(instances))
	for i, instance := range instances {
		endpoints[i] = endpointOf(instance)
	}
	return endpoints
}

func endpointOf(instance platform.Instance) platform.Endpoint {
	return platform.Endpoint{InstanceID: instance.ID, Address: instance.Address, Freezer: instance.Freezer}
}

// Unwanted lists the service's instances that do not belong to keep. With an empty keep, all of them.
func (e *Executor) Unwanted(ctx context.Context, service platform.ServiceID, keep platform.RevisionID) ([]platform.InstanceID, error) {
	return e.instances(ctx, service, func(of platform.RevisionID) bool { return keep == "" || of != keep })
}

// Started lists the service's instances of one revision.
func (e *Executor) Started(ctx context.Context, service platform.ServiceID, revision platform.RevisionID) ([]platform.InstanceID, error) {
	return e.instances(ctx, service, func(of platform.RevisionID) bool { return of == revision })
}

// instances lists the service's instances of the revisions that are meant.
func (e *Executor) instances(ctx context.Context, service platform.ServiceID, isMeant func(platform.RevisionID) bool) (ids []platform.InstanceID, err error) {
	all, err := e.Backend.List(ctx, service)
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	for _, instance := range all {
		if isMeant(instance.RevisionID) {
			ids = append(ids, instance.ID)
		}
	}
	return ids, nil
}

// StopInstances stops the instances and waits until they are gone. WebSockets that are left on them are closed in order first.
func (e *Executor) StopInstances(ctx context.Context, ids []platform.InstanceID, grace time.Duration) error {
	if len(ids) > 0 {
		e.Router.EndTunnels(ctx, ids)
	}
	var group errgroup.Group
	group.SetLimit(16)
	for _, id := range ids {
		group.Go(func() error { return e.Backend.Stop(ctx, id, grace) })
	}
	return group.Wait()
}

// Cleanup removes what an operation needed only while it ran.
func (e *Executor) Cleanup(operation platform.OperationID) error {
	return errors.Join(os.RemoveAll(e.sourceDir(operation)), os.RemoveAll(e.sourceDir(operation)+".partial"))
}

// Discard removes the revision that an operation made and that never served, with its image. The revision goes first: an
// operation that runs again must not find one without an image.
func (e *Executor) Discard(ctx context.Context, operation platform.Operation) error {
	revision := platform.RevisionIDFor(operation.ID)
	failed := e.Store.DeleteRevision(ctx, revision)
	failpoint.Pass(operation.Type, failpoint.Discard, failpoint.AfterEffect)
	return errors.Join(failed, e.Images.Remove(ctx, ImageName(operation.ServiceID, revision)))
}

// PruneRevisions removes the service's oldest revisions, as many as are too many, but never the active one; their images go
// once no other revision has the same.
func (e *Executor) PruneRevisions(ctx context.Context, service platform.Service) error {
	revisions, err := e.Store.ListRevisions(ctx, service.ID)
	if err != nil {
		return fmt.Errorf("list revisions: %w", err)
	}
	if len(revisions) <= e.Revisions {
		return nil
	}
	kept, gone := revisions[:e.Revisions:e.Revisions], revisions[e.Revisions:]
	var errs []error
	for _, revision := range gone {
		if revision.ID == service.ActiveRevisionID {
			kept = append(kept, revision)
			continue
		}
		errs = append(errs, e.Store.DeleteRevision(ctx, revision.ID))
		if !slices.ContainsFunc(kept, func(k platform.Revision) bool { return k.Image == revision.Image }) {
			errs = append(errs, e.Images.Remove(ctx, revision.Image))
		}
	}
	return errors.Join(errs...)
}

// RemoveService removes all that is left of a deleted service but its record: revisions, images, build caches and logs.
func (e *Executor) RemoveService(ctx context.Context, service platform.ServiceID) error {
	revisions, err := e.Store.ListRevisions(ctx, service)
	if err != nil {
		return fmt.Errorf("list revisions: %w", err)
	}
	var errs []error
	for _, revision := range revisions {
		errs = append(errs, e.Images.Remove(ctx, revision.Image), e.Store.DeleteRevision(ctx, revision.ID))
	}
	if err := e.Builder.Forget(ctx, service); err != nil {
		e.Log.Warn("the caches of a deleted service stay until their room is needed", "service", service, "error", err)
	}
	e.Logs.RemoveService(service)
	return errors.Join(errs...)
}

func (e *Executor) sourceDir(operation platform.OperationID) string {
	return filepath.Join(e.SourcesDir, string(operation))
}

// HasRevision says whether the operation has recorded its revision, so that its source is not needed any more.
func (e *Executor) HasRevision(ctx context.Context, operation platform.Operation) (bool, error) {
	_, err := e.Store.RevisionByID(ctx, platform.RevisionIDFor(operation.ID))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// createRevision records the revision of an operation, with the service's configuration and its secrets as they are now.
func (e *Executor) createRevision(ctx context.Context, operation platform.Operation, service platform.Service, revision platform.Revision) error {
	failpoint.Pass(operation.Type, failpoint.Revision, failpoint.Before)
	revision.ID, revision.ServiceID = platform.RevisionIDFor(operation.ID), service.ID
	revision.CreatedAt, revision.Configuration = operation.StartedAt, service.Configuration
	sealed, err := e.Secrets.Seal(ctx, revision.ID, revision.Process.Secrets)
	if err != nil {
		return err
	}
	revision.Process.SealedSecrets = sealed
	if _, err = e.Store.CreateRevision(ctx, revision, operation); err != nil {
		return fmt.Errorf("record the revision: %w", err)
	}
	failpoint.Pass(operation.Type, failpoint.Revision, failpoint.AfterRecord)
	return nil
}

// imageProcess is how an image source's app is started.
func imageProcess(image platform.ImageSource) (platform.Process, error) {
	port, err := strconv.Atoi(image.Port)
	if err != nil {
		return platform.Process{}, fmt.Errorf("port %q: %w", image.Port, err)
	}
	return platform.Process{Command: image.StartCommand, Port: port, Environment: image.Environment, Secrets: image.Secrets}, nil
}
