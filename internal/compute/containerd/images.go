package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	client "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
)

// thePlatform is the only one that instances run on.
var thePlatform = platforms.Only(platforms.MustParse("linux/amd64"))

// pullTries is how often a pull is tried. What an earlier try fetched is kept, so that each goes on where it ended.
const pullTries = 4

// Pull implements compute.Images.
func (b *Backend) Pull(ctx context.Context, name, reference string, progress io.Writer) (_ compute.Image, err error) {
	defer noteAway(ctx, &err)
	if !strings.Contains(reference, "@sha256:") {
		return compute.Image{}, fmt.Errorf("pull %s: a reference without a digest", reference)
	}
	ctx, release, err := b.client.WithLease(ctx)
	if err != nil {
		return compute.Image{}, fmt.Errorf("take a lease: %w", err)
	}
	defer func() { _ = release(context.WithoutCancel(ctx)) }()
	var fetched images.Image
	for try := range pullTries {
		fetched, err = b.client.Fetch(ctx, reference, client.WithResolver(b.config.Resolver()), client.WithPlatformMatcher(thePlatform))
		if err == nil || ctx.Err() != nil || !isTemporary(err) {
			break
		}
		if progress != nil {
			fmt.Fprintf(progress, "Pulling %s was interrupted (%v), trying again.\n", reference, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second << try):
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return compute.Image{}, context.Cause(ctx)
		}
		if platform.AsExplained(err) != nil {
			return compute.Image{}, err
		}
		return compute.Image{}, platform.Explain(err, "The image %s could not be pulled: %s.", reference, strings.TrimSuffix(lastCause(err), ".")).
			Try("Check that this machine can pull it, and deploy again.")
	}
	// containerd has recorded it under the reference too, which would keep its layers for ever. The lease keeps them for now.
	defer func() { _ = b.Remove(context.WithoutCancel(ctx), reference) }()
	fetched.Name = name
	fetched.Labels = nil
	return b.keep(ctx, fetched)
}

// lastCause is the innermost part of an error, which says what happened without how apron came there.
func lastCause(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err.Error()
}

// isTemporary says whether another try may help: not where the registry gave a definite answer, or the disk is full.
func isTemporary(err error) bool {
	return !errdefs.IsNotFound(err) && !errdefs.IsPermissionDenied(err) && !errdefs.IsUnauthorized(err) &&
		!errdefs.IsInvalidArgument(err) && !errdefs.IsFailedPrecondition(err) && platform.AsExplained(err) == nil &&
		!strings.Contains(err.Error(), unix.ENOSPC.Error()) // of the daemon's errors there is only the text
}

// toDisk brings the files of a layer to the disk before containerd records that they are there. Without it a machine that
// stops, or a disk that fails, within half a minute leaves empty files in a layer that is not unpacked again.
var toDisk = client.WithUnpackApplyOpts(diff.WithSyncFs(true))

// keep records the image under its name and unpacks its layers.
func (b *Backend) keep(ctx context.Context, image images.Image) (compute.Image, error) {
	service := b.client.ImageService()
	if _, err := service.Create(ctx, image); err != nil {
		if !errdefs.IsAlreadyExists(err) {
			return compute.Image{}, fmt.Errorf("record image %s: %w", image.Name, err)
		}
		if _, err := service.Update(ctx, image); err != nil {
			return compute.Image{}, fmt.Errorf("record image %s: %w", image.Name, err)
		}
	}
	kept := client.NewImageWithPlatform(b.client, image, thePlatform)
	if err := kept.Unpack(ctx, snapshotter, toDisk); err != nil {
		if errdefs.IsNotFound(err) {
			return compute.Image{}, platform.Explain(err, "The image is not for linux/amd64.").
				Try("Build it with --platform linux/amd64.")
		}
		return compute.Image{}, fmt.Errorf("unpack image %s: %w", image.Name, err)
	}
	return b.describe(ctx, kept)
}

// Image implements compute.Images.
func (b *Backend) Image(ctx context.Context, name string) (compute.Image, error) {
	record, err := b.client.ImageService().Get(ctx, name)
	if errdefs.IsNotFound(err) {
		return compute.Image{}, compute.ErrNotFound
	}
	if err != nil {
		return compute.Image{}, fmt.Errorf("read image %s: %w", name, err)
	}
	return b.describe(ctx, client.NewImageWithPlatform(b.client, record, thePlatform))
}

func (b *Backend) describe(ctx context.Context, image client.Image) (compute.Image, error) {
	config, err := image.Spec(ctx)
	if err != nil {
		return compute.Image{}, fmt.Errorf("read the configuration of image %s: %w", image.Name(), err)
	}
	size, err := image.Size(ctx)
	if err != nil {
		return compute.Image{}, fmt.Errorf("read the size of image %s: %w", image.Name(), err)
	}
	return compute.Image{Name: image.Name(), Digest: image.Target().Digest.String(), Port: lowestPort(config.Config.ExposedPorts), SizeBytes: size}, nil
}

// lowestPort returns the lowest TCP port of an image's ExposedPorts ("8080/tcp", "53/udp", "80"), or 0.
func lowestPort(exposed map[string]struct{}) int {
	var ports []int
	for name := range exposed {
		number, protocol, _ := strings.Cut(name, "/")
		if port, err := strconv.Atoi(number); err == nil && (protocol == "" || protocol == "tcp") {
			ports = append(ports, port)
		}
	}
	if len(ports) == 0 {
		return 0
	}
	return slices.Min(ports)
}

// ListImages implements compute.Images.
func (b *Backend) ListImages(ctx context.Context) (names []string, err error) {
	defer noteAway(ctx, &err)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	records, err := b.client.ImageService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	names = make([]string, len(records))
	for i, record := range records {
		names[i] = record.Name
	}
	return names, nil
}

// scratchName begins the names that images have while they are imported.
const scratchName = "apron.local/import:"

// isScratch says whether an image's name is one that a pull or an import gives it for a moment only. Whoever is at work on
// it holds a lease, and does not need the name.
func isScratch(name string) bool {
	return strings.HasPrefix(name, scratchName) || strings.Contains(name, "@sha256:")
}

// Import implements compute.Images.
func (b *Backend) Import(ctx context.Context, name string, archive io.Reader) (compute.Image, error) {
	ctx, release, err := b.client.WithLease(ctx)
	if err != nil {
		return compute.Image{}, fmt.Errorf("take a lease: %w", err)
	}
	defer func() { _ = release(context.WithoutCancel(ctx)) }()
	// The archive's own names are replaced by one that is removed again: only name stays.
	imported, err := b.client.Import(ctx, archive, client.WithImportPlatform(thePlatform),
		client.WithImageRefTranslator(func(string) string { return "" }),
		client.WithDigestRef(func(d digest.Digest) string { return scratchName + d.Encoded() }))
	if err != nil {
		return compute.Image{}, fmt.Errorf("import the archive: %w", err)
	}
	if len(imported) == 0 {
		return compute.Image{}, errors.New("import the archive: it holds no image")
	}
	defer func() {
		for _, image := range imported {
			_ = b.client.ImageService().Delete(context.WithoutCancel(ctx), image.Name)
		}
	}()
	return b.keep(ctx, images.Image{Name: name, Target: imported[len(imported)-1].Target})
}

// Remove implements compute.Images.
func (b *Backend) Remove(ctx context.Context, name string) (err error) {
	defer noteAway(ctx, &err)
	if err := b.client.ImageService().Delete(ctx, name); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove image %s: %w", name, err)
	}
	return nil
}
