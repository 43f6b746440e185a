package recipe_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/build/recipe"
)

// machineCache is where the machine keeps what recipes made; tests share it, because making it takes minutes.
func machineCache(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("APRON_CACHE"); dir != "" {
		return dir
	}
	return "/var/cache/apron"
}

// With APRON_EXAMPLES=all it makes every runtime, which takes long on a machine that has none yet.
func TestARuntimeHasABuildImageAndARunImage(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 35*time.Minute)
	defer cancel()
	runtimes, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := recipe.Open(machineCache(t), func() host.Settings { return host.Discover(ctx) })
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"python311", "nodejs22", "go1"}
	if os.Getenv("APRON_EXAMPLES") == "all" {
		names = runtimes.Names()
	}
	for _, name := range names {
		runtime, _ := runtimes.ByName(name)
		if runtime.IsImage() {
			continue // the tests of pulls have a registry
		}
		images, err := cache.Images(ctx, runtimes, runtime, t.Output())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, image := range []digest.Digest{images.Build, images.Run} {
			checkImage(ctx, t, cache.Content(), image)
		}
		again, err := cache.Images(ctx, runtimes, runtime, t.Output())
		if err != nil || again.Build != images.Build || again.Run != images.Run || again.Version != images.Version {
			t.Errorf("%s: the second time gave %v, %v; want %v", name, again, err, images)
		}
	}
}

// checkImage reads an image as a client of the content store does and compares its parts.
func checkImage(ctx context.Context, t *testing.T, store content.Store, image digest.Digest) {
	t.Helper()
	data, err := content.ReadBlob(ctx, store, ocispec.Descriptor{Digest: image})
	if err != nil {
		t.Fatalf("read the manifest: %v", err)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(data, &manifest); err != nil {
		t.Fatal(err)
	}
	data, err = content.ReadBlob(ctx, store, manifest.Config)
	if err != nil {
		t.Fatalf("read the configuration: %v", err)
	}
	var config ocispec.Image
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	if len(config.RootFS.DiffIDs) != len(manifest.Layers) || len(manifest.Layers) == 0 {
		t.Errorf("%d layers with %d diff ids", len(manifest.Layers), len(config.RootFS.DiffIDs))
	}
	for _, layer := range manifest.Layers {
		info, err := store.Info(ctx, layer.Digest)
		if err != nil || info.Size != layer.Size {
			t.Errorf("layer %s: %v, %v; want %d bytes", layer.Digest, info.Size, err, layer.Size)
		}
	}
}
