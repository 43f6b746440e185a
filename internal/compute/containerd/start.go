package containerd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	client "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/image-spec/identity"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/compute/network"
	"github.com/apron-run/apron/internal/platform"
)

const (
	// removeTimeout bounds the removal of what a failed start left.
	removeTimeout = 30 * time.Second
	// creationTimeout is how long containerd may take to give up starting what nobody waits for any more.
	creationTimeout = 5 * time.Second
	// startAttempts is how often a start is tried that meets remains.
	startAttempts = 3
)

// Start implements compute.Backend.
func (b *Backend) Start(ctx context.Context, spec compute.InstanceSpec) (_ platform.Instance, err error) {
	defer noteAway(ctx, &err)
	release, err := b.lock(ctx, spec.ID)
	if err != nil {
		return platform.Instance{}, err
	}
	defer release()
	existing, err := b.Inspect(ctx, spec.ID)
	switch {
	case err == nil && existing.Exit == nil:
		return existing, nil
	case err != nil && !errors.Is(err, compute.ErrNotFound):
		return platform.Instance{}, err
	}
	if err := b.removeRemains(ctx, spec.ID); err != nil {
		return platform.Instance{}, fmt.Errorf("remove the remains of a start that was cut short: %w", err)
	}
	for attempt := 1; ; attempt++ {
		err := b.create(ctx, spec)
		if err == nil {
			return b.Inspect(ctx, spec.ID)
		}
		removal := b.removeRemains(ctx, spec.ID)
		// What a killed apron had asked for last may arrive after the remains were removed.
		if (errdefs.IsAlreadyExists(err) || errors.Is(err, network.ErrAttached)) && removal == nil && attempt < startAttempts {
			continue
		}
		return platform.Instance{}, errors.Join(explainStart(err, spec), removal)
	}
}

// removeRemains is remove in a time of its own: half an instance is of no use to anybody.
func (b *Backend) removeRemains(ctx context.Context, id platform.InstanceID) error {
	removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	return b.remove(removing, id)
}

// create makes everything that an instance consists of and lets the app begin.
func (b *Backend) create(ctx context.Context, spec compute.InstanceSpec) error {
	task, err := b.prepare(ctx, spec)
	if err != nil {
		return err
	}
	if err := task.Start(ctx); err != nil {
		return fmt.Errorf("start the process: %w", err)
	}
	return nil
}

// prepare makes everything that an instance consists of, in the order of the package's documentation, up to a process that
// waits for its start.
func (b *Backend) prepare(ctx context.Context, spec compute.InstanceSpec) (client.Task, error) {
	image, err := b.client.GetImage(ctx, spec.Image)
	if err != nil {
		return nil, fmt.Errorf("find image %s: %w", spec.Image, err)
	}
	files, err := b.makeFiles(spec)
	if err != nil {
		return nil, fmt.Errorf("write the instance's files: %w", err)
	}
	disk := make(chan error, 1) // beside the network: somebody waits
	go func() { disk <- files.makeDisk(spec.StorageBytes) }()
	address, err := b.makeNetwork(ctx, spec)
	if failed := <-disk; failed != nil {
		return nil, errors.Join(fmt.Errorf("make the writable storage: %w", failed), err)
	}
	if err != nil {
		return nil, err
	}
	container, lower, err := b.createContainer(ctx, spec, image, files, address.String())
	if err != nil {
		return nil, err
	}
	task, err := container.NewTask(ctx, b.output(spec.LogPath), client.WithRootFS(files.overlay(lower)))
	if err != nil {
		return nil, fmt.Errorf("create the process: %w", err)
	}
	return task, nil
}

// makeNetwork gives the instance its network, and returns its address there.
func (b *Backend) makeNetwork(ctx context.Context, spec compute.InstanceSpec) (netip.Addr, error) {
	if err := makeNamespace(b.netns(spec.ID)); err != nil {
		return netip.Addr{}, fmt.Errorf("make the network namespace: %w", err)
	}
	return b.config.Network.Attach(ctx, string(spec.ID), b.netns(spec.ID), spec.Subnets...)
}

// createContainer records the container with a read-only view of its image, and returns the view's mounts.
func (b *Backend) createContainer(ctx context.Context, spec compute.InstanceSpec, image client.Image, files files, address string) (client.Container, []mount.Mount, error) {
	layers, err := image.RootFS(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read the image's layers: %w", err)
	}
	view := b.client.SnapshotService(snapshotter)
	lower, err := view.View(ctx, string(spec.ID), identity.ChainID(layers).String(),
		snapshots.WithLabels(map[string]string{"containerd.io/gc.root": time.Now().UTC().Format(time.RFC3339)}))
	if errdefs.IsNotFound(err) { // its layers were unpacked once, and collected since
		if err = image.Unpack(ctx, snapshotter, toDisk); err == nil {
			lower, err = view.View(ctx, string(spec.ID), identity.ChainID(layers).String(),
				snapshots.WithLabels(map[string]string{"containerd.io/gc.root": time.Now().UTC().Format(time.RFC3339)}))
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open the image's layers: %w", err)
	}
	container, err := b.client.NewContainer(ctx, string(spec.ID),
		client.WithImage(image), client.WithSnapshotter(snapshotter), client.WithSnapshot(string(spec.ID)),
		client.WithContainerLabels(map[string]string{
			labelService: string(spec.ServiceID), labelRevision: string(spec.RevisionID),
			labelAddress: net.JoinHostPort(address, strconv.Itoa(spec.Port)), "apron/name": spec.ServiceName,
		}),
		client.WithImageStopSignal(image, defaultStopSignal), // a label, so after the labels
		client.WithRuntime("io.containerd.runc.v2", &runcoptions.Options{
			BinaryName: filepath.Join(b.config.Paths.BinDir, "runc"), Root: b.config.Paths.runc(),
		}),
		client.WithNewSpec(b.specOpts(spec, image, files)...))
	if err != nil {
		return nil, nil, fmt.Errorf("record the container: %w", err)
	}
	return container, lower, nil
}

// output makes the shim give the app's output to apron-log, which goes on whatever happens to apron and containerd.
func (b *Backend) output(path string) cio.Creator {
	arguments := url.Values{path: {""}}
	return cio.LogURI(&url.URL{Scheme: "binary", Path: filepath.Join(b.config.Paths.BinDir, "apron-log"), RawQuery: arguments.Encode()})
}

func (b *Backend) netns(id platform.InstanceID) string {
	return filepath.Join(b.config.Paths.netns(), string(id))
}

// remove takes away whatever is there of an instance but its log.
func (b *Backend) remove(ctx context.Context, id platform.InstanceID) error {
	b.thaw(id)
	errs := []error{b.removeContainer(ctx, string(id))}
	if errs[0] == nil {
		// runc knows it no more, unless the disk lost other parts of it when the machine stopped.
		errs = append(errs, os.RemoveAll(filepath.Join(b.config.Paths.runcStates(), string(id))))
	}
	if err := b.client.SnapshotService(snapshotter).Remove(ctx, string(id)); err != nil && !errdefs.IsNotFound(err) {
		errs = append(errs, fmt.Errorf("remove the view of the image: %w", err))
	}
	_, err := os.Stat(b.netns(id))
	if err == nil || b.config.Network.IsAttached(string(id)) {
		errs = append(errs, b.config.Network.Detach(ctx, string(id), b.netns(id)), removeNamespace(b.netns(id)))
	}
	return errors.Join(append(errs, endCgroup(ctx, b.cgroupOf(id)), b.filesOf(id).remove())...)
}

func (b *Backend) removeContainer(ctx context.Context, id string) error {
	container, err := b.client.LoadContainer(ctx, id)
	if errdefs.IsNotFound(err) {
		return b.config.Paths.removeBundle(id)
	}
	if err != nil {
		return fmt.Errorf("load the container: %w", err)
	}
	if err := b.removeTask(ctx, container); err != nil {
		return fmt.Errorf("end the process: %w", err)
	}
	if err := container.Delete(ctx); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("delete the container: %w", err)
	}
	return nil
}

// removeTask ends the processes of a container. containerd may still be about to start them for an apron that was killed:
// it gives up, but not at once, and what comes too late is ended with its bundle. When it has given up and removed the bundle,
// the shim may be left, waiting for a reader of its log: the next shim of that name would be taken for it, and never answer.
func (b *Backend) removeTask(ctx context.Context, container client.Container) error {
	for deadline := time.Now().Add(creationTimeout); ; {
		task, err := container.Task(ctx, nil)
		if err == nil {
			_, err = task.Delete(ctx, client.WithProcessKill)
			if err == nil {
				return nil
			}
		}
		if !errdefs.IsNotFound(err) {
			return err
		}
		if !b.config.Paths.hasBundle(container.ID()) {
			return b.config.Paths.endShims(isOf(container.ID()))
		}
		if time.Now().After(deadline) {
			return b.config.Paths.removeBundle(container.ID())
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
