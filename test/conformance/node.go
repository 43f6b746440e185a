package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/apron-run/apron/internal/app"
	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/build/recipe"
)

// nodeRuntime is the runtime whose layer nodeLayer has Node.js and npm.
const nodeRuntime, nodeLayer = "nodejs22", "nodejs22"

// installTimeout bounds fetching Node.js and the modules.
const installTimeout = 10 * time.Minute

// unpackNode puts Node.js and npm below root: those that apron gives to services, so that the tests need none on the
// machine, and the same version runs everywhere.
func unpackNode(ctx context.Context, root string) error {
	runtimes, err := catalogue.Default()
	if err != nil {
		return err
	}
	runtime, found := runtimes.ByName(nodeRuntime)
	if !found {
		return fmt.Errorf("the catalogue has no runtime %s", nodeRuntime)
	}
	runtime.BuildLayers, runtime.RunLayers = []string{nodeLayer}, []string{nodeLayer}
	cache, err := recipe.Open(app.Default().CacheDir, func() host.Settings { return host.Discover(ctx) })
	if err != nil {
		return err
	}
	images, err := cache.Images(ctx, runtimes, runtime, io.Discard)
	if err != nil {
		return err
	}
	encoded, err := content.ReadBlob(ctx, cache.Content(), ocispec.Descriptor{Digest: images.Run})
	if err != nil {
		return err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(encoded, &manifest); err != nil {
		return err
	}
	for _, layer := range manifest.Layers {
		if err := unpackLayer(ctx, cache.Content(), layer, root); err != nil {
			return fmt.Errorf("unpack %s: %w", layer.Digest, err)
		}
	}
	return nil
}

func unpackLayer(ctx context.Context, blobs content.Store, layer ocispec.Descriptor, root string) (err error) {
	reader, err := blobs.ReaderAt(ctx, layer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	stream, err := zstd.NewReader(content.NewReader(reader))
	if err != nil {
		return err
	}
	defer stream.Close()
	_, err = archive.Apply(ctx, root, stream)
	return err
}

// nodeIn is the program, npmIn its package manager's script.
func nodeIn(dir string) string { return filepath.Join(dir, "node", "usr", "bin", "node") }
func npmIn(dir string) string {
	return filepath.Join(dir, "node", "usr", "lib", "node_modules", "npm", "bin", "npm-cli.js")
}

// installModules makes dir from its package.json and package-lock.json, with a Node.js of its own.
func installModules(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	root := filepath.Join(dir, "node")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	if err := unpackNode(ctx, root); err != nil {
		return fmt.Errorf("unpack Node.js: %w", err)
	}
	install := exec.CommandContext(ctx, nodeIn(dir), npmIn(dir), "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = dir
	if output, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, output)
	}
	return nil
}
