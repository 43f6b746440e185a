package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/api/events"
	client "github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// RemoveBuilds ends the containers that are no instances: build steps, whose builder was killed and does not wait for them
// any more. It must not be called while a builder runs.
func (b *Backend) RemoveBuilds(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	containers, err := b.client.Containers(ctx)
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var errs []error
	for _, container := range containers {
		labels, err := container.Labels(ctx)
		if err != nil || labels[labelService] != "" {
			errs = append(errs, ignoreNotFound(err))
			continue
		}
		task, err := container.Task(ctx, nil)
		if err == nil {
			_, err = task.Delete(ctx, client.WithProcessKill)
		}
		errs = append(errs, ignoreNotFound(err), ignoreNotFound(container.Delete(ctx)))
	}
	return errors.Join(errs...)
}

// BuildKills tells, until ctx ends, each time that a build's step lost a process because it used more than its memory. A
// reader that is late hears of several as one.
func (b *Backend) BuildKills(ctx context.Context) <-chan struct{} {
	kills := make(chan struct{}, 1)
	envelopes, errs := b.client.Subscribe(ctx, `topic=="/tasks/oom"`)
	go func() {
		for {
			select {
			case <-errs: // also when ctx ends
				return
			case envelope := <-envelopes:
				event, err := typeurl.UnmarshalAny(envelope.Event)
				if kill, ok := event.(*events.TaskOOM); err != nil || !ok || isInstanceID(kill.ContainerID) {
					continue
				}
				select {
				case kills <- struct{}{}:
				default:
				}
			}
		}
	}()
	return kills
}

func ignoreNotFound(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// RemoveMounts unmounts everything below the folders: what daemons that were killed had mounted. What is mounted at a
// folder itself stays, because it is a disk of the user's. No daemon may run any more.
func RemoveMounts(dirs ...string) error {
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, removeMountsBelow(dir))
	}
	return errors.Join(errs...)
}

func removeMountsBelow(dir string) error {
	dir, err := filepath.EvalSymlinks(dir) // the kernel knows mounts by their real paths
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	// The deepest first.
	slices.SortFunc(mounts, func(a, b *mountinfo.Info) int { return strings.Compare(b.Mountpoint, a.Mountpoint) })
	var errs []error
	for _, mount := range mounts {
		if mount.Mountpoint == dir {
			continue
		}
		if err := unix.Unmount(mount.Mountpoint, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", mount.Mountpoint, err))
		}
	}
	return errors.Join(errs...)
}
