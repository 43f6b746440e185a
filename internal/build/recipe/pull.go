package recipe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/platform"
)

// Registry finds and fetches images. Implemented by source/registry, with the operator's mirrors, certificate authorities
// and credentials.
type Registry interface {
	// ResolveImage returns host/name@digest of the linux/amd64 image that the reference means now.
	ResolveImage(ctx context.Context, reference string) (string, error)
	// Resolver fetches; it is meant for one pull.
	Resolver() remotes.Resolver
}

const (
	// maxManifestBytes and maxLayers bound what a registry says an image has; maxImageBytes bounds its layers together.
	maxManifestBytes = 8 << 20
	maxLayers        = 500
	maxImageBytes    = 16 << 30
	// layersPulledAtOnce is how many layers of an image are fetched at the same time.
	layersPulledAtOnce = 3
	// pullReport is how often a pull tells how far it is.
	pullReport = 2 * time.Second
)

// pull fetches an image. known is the one that there is already, or nothing.
func (c *Cache) pull(ctx context.Context, wanted part, known blob, log io.Writer) error {
	if c.registry == nil {
		return errors.New("images cannot be pulled here")
	}
	began := now()
	fmt.Fprintf(log, "looking for %s\n", wanted.name)
	resolved, err := c.registry.ResolveImage(ctx, wanted.name)
	if err != nil {
		return err
	}
	if resolved == known.Resolved {
		known.CheckedAt = now()
		fmt.Fprintf(log, "%s is unchanged\n", wanted.name)
		return c.remember(wanted.hash, known)
	}
	fmt.Fprintf(log, "pulling %s\n", resolved)
	resolver := c.registry.Resolver()
	name, descriptor, err := resolver.Resolve(ctx, resolved)
	if err != nil {
		return err
	}
	fetcher, err := resolver.Fetcher(ctx, name)
	if err != nil {
		return err
	}
	pull := &pull{cache: c, fetcher: fetcher, image: resolved, log: log}
	made, err := pull.run(ctx, descriptor)
	if err != nil {
		return err
	}
	defer pull.release()
	made.Resolved, made.MadeAt, made.CheckedAt = resolved, now(), now()
	if err := c.remember(wanted.hash, made); err != nil {
		return err
	}
	fmt.Fprintf(log, "pulled %s: %d MB in %.0f s\n", wanted.name, made.size()>>20, now().Sub(began).Seconds())
	return nil
}

// pull is one image being fetched.
type pull struct {
	cache   *Cache
	fetcher remotes.Fetcher
	// image is its name with the digest.
	image   string
	log     io.Writer
	fetched atomic.Int64
	// release lets go of the blobs, once run has returned without an error.
	release func()
}

// run fetches the manifest, the configuration and the layers, and returns the manifest with the others as its parts, the
// configuration first. What an earlier try has fetched whole is not fetched again.
func (p *pull) run(ctx context.Context, descriptor ocispec.Descriptor) (blob, error) {
	encoded, err := p.bytes(ctx, descriptor)
	if err != nil {
		return blob{}, err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(encoded, &manifest); err != nil {
		return blob{}, p.broken(err, "its manifest cannot be read")
	}
	made := blob{Digest: descriptor.Digest, SizeBytes: int64(len(encoded)), Parts: []blob{toBlob(manifest.Config)}}
	for _, layer := range manifest.Layers {
		made.Parts = append(made.Parts, toBlob(layer))
	}
	if err := p.check(made); err != nil {
		return blob{}, err
	}
	if p.release, err = p.hold(ctx, made.digests()); err != nil {
		return blob{}, err
	}
	if err := p.fetchAll(ctx, append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...), made.size()); err != nil {
		p.release()
		return blob{}, err
	}
	if _, err := p.cache.putBytes(encoded); err != nil {
		p.release()
		return blob{}, err
	}
	return made, nil
}

// check refuses what no real image has, and what there is no room for.
func (p *pull) check(made blob) error {
	for _, part := range made.Parts {
		if part.Digest.Validate() != nil || part.Digest.Algorithm() != digest.SHA256 || part.SizeBytes < 0 || part.SizeBytes > maxImageBytes {
			return p.broken(nil, "its manifest is not valid")
		}
	}
	if len(made.Parts) > maxLayers || made.size() > maxImageBytes {
		return p.broken(nil, fmt.Sprintf("it has %d layers of %d MB together, more than the %d layers of %d MB that a runtime may have",
			len(made.Parts)-1, made.size()>>20, maxLayers, maxImageBytes>>20))
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(p.cache.dir, &stat); err != nil {
		return fmt.Errorf("ask how full the disk is: %w", err)
	}
	if free := int64(stat.Bavail) * stat.Bsize; made.size() > free {
		return platform.Explain(nil, "the image %s has %d MB, and the disk of %s has room for %d MB", p.image, made.size()>>20,
			p.cache.dir, free>>20).Try("free some space there, or let `--cache` name a folder on another disk")
	}
	return nil
}

func (p *pull) broken(err error, why string) error {
	return platform.Explain(err, "the image %s cannot be used: %s", p.image, why).Try("push it again, or name another one")
}

func (p *pull) hold(ctx context.Context, blobs []digest.Digest) (func(), error) {
	stop, err := p.cache.sharing(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	return p.cache.hold(blobs)
}

// fetchAll fetches blobs and tells from time to time how far it is.
func (p *pull) fetchAll(ctx context.Context, blobs []ocispec.Descriptor, total int64) error {
	fetched := make(chan struct{})
	var reporting sync.WaitGroup
	defer reporting.Wait()
	defer close(fetched)
	reporting.Go(func() {
		ticker := time.NewTicker(pullReport)
		defer ticker.Stop()
		for {
			select {
			case <-fetched:
				return
			case <-ticker.C:
				fmt.Fprintf(p.log, "pulled %d of %d MB\n", p.fetched.Load()>>20, total>>20)
			}
		}
	})
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(layersPulledAtOnce)
	for _, each := range blobs {
		group.Go(func() error { return p.fetch(ctx, each) })
	}
	return group.Wait()
}

// fetch keeps one blob, whose digest is verified before it gets its name.
func (p *pull) fetch(ctx context.Context, wanted ocispec.Descriptor) error {
	if p.cache.has(toBlob(wanted)) {
		p.fetched.Add(wanted.Size)
		return nil
	}
	content, err := p.fetcher.Fetch(ctx, wanted)
	if err != nil {
		return err
	}
	defer content.Close()
	return p.cache.writeStream(p.cache.blobPath(wanted.Digest), func(w io.Writer) error {
		verifier := wanted.Digest.Verifier()
		counted := &fetchCounter{total: &p.fetched}
		copied, err := io.Copy(io.MultiWriter(w, verifier, counted), io.LimitReader(content, wanted.Size+1))
		if err != nil {
			return err
		}
		return p.verified(wanted, copied == wanted.Size && verifier.Verified())
	})
}

// bytes fetches a manifest.
func (p *pull) bytes(ctx context.Context, wanted ocispec.Descriptor) ([]byte, error) {
	content, err := p.fetcher.Fetch(ctx, wanted)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	data, err := io.ReadAll(io.LimitReader(content, maxManifestBytes))
	if err != nil {
		return nil, err
	}
	return data, p.verified(wanted, digest.FromBytes(data) == wanted.Digest)
}

func (p *pull) verified(wanted ocispec.Descriptor, isRight bool) error {
	if isRight {
		return nil
	}
	return platform.Explain(nil, "the registry sent other content than the digest %s of %s says", wanted.Digest, p.image).
		Try("push the image again, or check mirrors and proxies on the way")
}

func toBlob(descriptor ocispec.Descriptor) blob {
	return blob{Digest: descriptor.Digest, SizeBytes: descriptor.Size}
}

// size is that of a blob and its parts together.
func (b blob) size() int64 {
	total := b.SizeBytes
	for _, part := range b.Parts {
		total += part.SizeBytes
	}
	return total
}

// fetchCounter adds what is written to it to a total.
type fetchCounter struct{ total *atomic.Int64 }

func (c *fetchCounter) Write(p []byte) (int, error) {
	c.total.Add(int64(len(p)))
	return len(p), nil
}
