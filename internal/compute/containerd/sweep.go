package containerd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"

	"github.com/apron-run/apron/internal/platform"
)

// isInstanceID tells instances from the containers of build steps, which are BuildKit's to remove, and from files.
func isInstanceID(id string) bool {
	_, err := hex.DecodeString(id)
	return err == nil && len(id) == 32
}

// Sweep implements compute.Backend. What belongs to no container are remains of instances whose removal was cut short, as
// by a reboot; names of images that stand for none are left where a pull was killed.
func (b *Backend) Sweep(ctx context.Context) error {
	found, err := b.traces(ctx)
	errs := []error{err}
	records, err := b.client.ContainerService().List(ctx)
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	for _, record := range records {
		delete(found, record.ID)
	}
	for id := range found {
		errs = append(errs, b.sweep(ctx, platform.InstanceID(id)))
	}
	return errors.Join(append(errs, b.config.Paths.endLostShims(), b.sweepImages(ctx))...)
}

// sweepImages removes the names that pulls and imports that were cut short have left.
func (b *Backend) sweepImages(ctx context.Context) error {
	names, err := b.ListImages(ctx)
	errs := []error{err}
	for _, name := range names {
		if isScratch(name) {
			errs = append(errs, b.Remove(ctx, name))
		}
	}
	return errors.Join(errs...)
}

// sweep removes the remains of one instance, unless somebody is at work on it or has made it meanwhile.
func (b *Backend) sweep(ctx context.Context, id platform.InstanceID) error {
	if b.isStarting(id) {
		return nil
	}
	release, err := b.lock(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if _, err := b.client.ContainerService().Get(ctx, string(id)); !errdefs.IsNotFound(err) {
		return err
	}
	b.config.Log.Info("remains of an instance are removed", "instance", id)
	return b.removeRemains(ctx, id)
}

// traces finds the ids of all instances that have anything on this machine, with or without a container.
func (b *Backend) traces(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	note := func(id string) {
		if isInstanceID(id) {
			found[id] = true
		}
	}
	var errs []error
	groups, err := cgroupDirs(b.cgroup)
	if err != nil {
		errs = append(errs, err)
	}
	for _, dir := range append(groups, b.config.Paths.instances(), b.config.Paths.netns(), b.config.Paths.bundles(), b.config.Paths.runcStates()) {
		entries, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
		for _, entry := range entries {
			note(entry.Name())
		}
	}
	attached, err := b.config.Network.Attached()
	if err != nil {
		errs = append(errs, fmt.Errorf("list addresses: %w", err))
	}
	for _, id := range attached {
		note(id)
	}
	err = b.client.SnapshotService(snapshotter).Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		note(info.Name)
		return nil
	})
	return found, errors.Join(append(errs, err)...)
}
