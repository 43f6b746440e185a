package recipe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

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

// Images are a runtime's two images, by the digest of their manifests in the cache. They are held there until Release, or
// the end of the process.
type Images struct {
	Build digest.Digest
	Run   digest.Digest
	// BuildEnvironment and RunEnvironment are the variables of the images themselves, as NAME=value: PATH, and of images that
	// were pulled whatever their configuration sets.
	BuildEnvironment []string
	RunEnvironment   []string
	// Version changes when a refresh finds something new for one of the two.
	Version digest.Digest

	release func()
}

// Release lets Collect remove the images once something newer has replaced them.
func (i Images) Release() {
	if i.release != nil {
		i.release()
	}
}

// Images returns a runtime's images, making or pulling what the cache does not have. log takes progress, a line at a time,
// only when there is something to do.
func (c *Cache) Images(ctx context.Context, from *catalogue.Catalogue, runtime catalogue.Runtime, log io.Writer) (Images, error) {
	return c.prepare(ctx, from, runtime, false, log)
}

// Refresh is Images that makes again what may have become something else since: Debian's packages, and what a tag means.
func (c *Cache) Refresh(ctx context.Context, from *catalogue.Catalogue, runtime catalogue.Runtime, log io.Writer) (Images, error) {
	return c.prepare(ctx, from, runtime, true, log)
}

func (c *Cache) prepare(ctx context.Context, from *catalogue.Catalogue, runtime catalogue.Runtime, isRefresh bool, log io.Writer) (Images, error) {
	needed, err := partsOf(from, runtime)
	if err != nil {
		return Images{}, err
	}
	log = &lockedWriter{next: log}
	var made atomic.Bool
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(layersAtOnce)
	for _, each := range needed.distinct() {
		group.Go(func() error {
			isNew, err := c.ensure(groupCtx, each, isRefresh, log)
			if isNew {
				made.Store(true)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Images{}, err
	}
	images, err := c.find(ctx, needed, runtime)
	if err == nil && made.Load() {
		if err := c.Collect(ctx, from); err != nil {
			fmt.Fprintf(log, "the cache could not be tidied up: %v\n", err)
		}
	}
	return images, err
}

// find holds the images of parts that are all there.
func (c *Cache) find(ctx context.Context, needed parts, runtime catalogue.Runtime) (Images, error) {
	stop, err := c.sharing(ctx)
	if err != nil {
		return Images{}, err
	}
	defer stop()
	build, err := c.image(needed.build, runtime)
	if err != nil {
		return Images{}, err
	}
	run, err := c.image(needed.run, runtime)
	if err != nil {
		return Images{}, err
	}
	release, err := c.hold(slices.Concat(build.digests(), run.digests()))
	if err != nil {
		return Images{}, err
	}
	version, _ := c.version(needed)
	return Images{
		Build: build.Digest, Run: run.Digest, BuildEnvironment: build.environment, RunEnvironment: run.environment,
		Version: version, release: release,
	}, nil
}

// version is a digest over the content of all parts, or false when one of them is not there.
func (c *Cache) version(needed parts) (digest.Digest, bool) {
	var text strings.Builder
	for _, each := range needed.all() {
		found, ok := c.lookup(each.hash)
		if !ok {
			return "", false
		}
		fmt.Fprintln(&text, found.Digest)
	}
	return digest.FromString(text.String()), true
}

// image is a manifest with the files that belong to it.
type image struct {
	blob
	environment []string
}

// image returns the image of one part that was pulled, or of a stack of layers.
func (c *Cache) image(stack []part, runtime catalogue.Runtime) (image, error) {
	var blobs []blob
	for _, each := range stack {
		found, ok := c.lookup(each.hash)
		if !ok {
			return image{}, fmt.Errorf("%s was removed from the cache folder meanwhile", each.name)
		}
		c.touch(each.hash)
		blobs = append(blobs, found)
	}
	if !stack[0].isImage {
		return c.stack(blobs, runtime)
	}
	var config ocispec.Image
	data, err := os.ReadFile(c.blobPath(blobs[0].Parts[0].Digest))
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	if err != nil {
		return image{}, fmt.Errorf("read the configuration of %s: %w", stack[0].name, err)
	}
	environment := config.Config.Env
	if !slices.ContainsFunc(environment, func(variable string) bool { return strings.HasPrefix(variable, "PATH=") }) {
		environment = append([]string{"PATH=" + searchPath}, environment...)
	}
	return image{blobs[0], environment}, nil
}

// touch notes that a part is in use, for Collect.
func (c *Cache) touch(hash string) {
	_ = os.Chtimes(c.indexPath(hash), now(), now()) // one that fails lets it be forgotten earlier, and made again
}

// stack writes the configuration and manifest of a stack of layers.
func (c *Cache) stack(layers []blob, runtime catalogue.Runtime) (image, error) {
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	config.RootFS.Type = "layers"
	config.Config.Env = []string{"PATH=" + searchPath}
	for _, name := range slices.Sorted(maps.Keys(runtime.Environment)) {
		config.Config.Env = append(config.Config.Env, name+"="+runtime.Environment[name])
	}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, layer := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.DiffID)
		manifest.Layers = append(manifest.Layers, descriptor(ocispec.MediaTypeImageLayerZstd, layer))
	}
	configBlob, err := c.putJSON(config)
	if err != nil {
		return image{}, fmt.Errorf("write an image's configuration: %w", err)
	}
	manifest.Config = descriptor(ocispec.MediaTypeImageConfig, configBlob)
	made, err := c.putJSON(manifest)
	if err != nil {
		return image{}, fmt.Errorf("write an image's manifest: %w", err)
	}
	made.Parts = append([]blob{configBlob}, layers...)
	return image{made, []string{"PATH=" + searchPath}}, nil
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
