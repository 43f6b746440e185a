package recipe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/apron-run/apron/internal/build/catalogue"
)

// layersAtOnce is how many layers are made at the same time: Debian's are bound by one processor each.
const layersAtOnce = 2

// searchPath is Debian's own.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Images are a runtime's two images, by the digest of their manifests in the cache.
type Images struct {
	Build digest.Digest
	Run   digest.Digest
}

// Images returns a runtime's images, making what the cache does not have. log takes progress, a line at a time, only
// when something is made.
func (c *Cache) Images(ctx context.Context, from *catalogue.Catalogue, runtime catalogue.Runtime, log io.Writer) (Images, error) {
	names := slices.Compact(slices.Sorted(slices.Values(slices.Concat(runtime.BuildLayers, runtime.RunLayers))))
	log = &lockedWriter{next: log}
	made := make([]blob, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(layersAtOnce)
	for i, name := range names {
		group.Go(func() (err error) {
			made[i], err = c.layer(ctx, name, from.Layers[name], log)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Images{}, err
	}
	blobs := map[string]blob{}
	for i, name := range names {
		blobs[name] = made[i]
	}
	build, err := c.image(runtime.BuildLayers, blobs, runtime)
	if err != nil {
		return Images{}, err
	}
	run, err := c.image(runtime.RunLayers, blobs, runtime)
	return Images{Build: build, Run: run}, err
}

// image writes the configuration and manifest of a stack of layers.
func (c *Cache) image(names []string, blobs map[string]blob, runtime catalogue.Runtime) (digest.Digest, error) {
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	config.RootFS.Type = "layers"
	config.Config.Env = []string{"PATH=" + searchPath}
	for _, name := range slices.Sorted(maps.Keys(runtime.Environment)) {
		config.Config.Env = append(config.Config.Env, name+"="+runtime.Environment[name])
	}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, name := range names {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, blobs[name].DiffID)
		manifest.Layers = append(manifest.Layers, descriptor(ocispec.MediaTypeImageLayerZstd, blobs[name]))
	}
	configBlob, err := c.putJSON(config)
	if err != nil {
		return "", fmt.Errorf("write an image's configuration: %w", err)
	}
	manifest.Config = descriptor(ocispec.MediaTypeImageConfig, configBlob)
	manifestBlob, err := c.putJSON(manifest)
	if err != nil {
		return "", fmt.Errorf("write an image's manifest: %w", err)
	}
	return manifestBlob.Digest, nil
}

func (c *Cache) putJSON(value any) (blob, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return blob{}, err
	}
	return c.putBytes(data)
}

func descriptor(mediaType string, b blob) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: b.Digest, Size: b.SizeBytes}
}

// lockedWriter lets layers that are made at the same time share a log.
type lockedWriter struct {
	mu   sync.Mutex // guards next
	next io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next.Write(p)
}
