package sample

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Variant is what one image differs in from another.
type Variant struct {
	// Version is what the application answers with.
	Version string
	// Environment is added to the image's own.
	Environment map[string]string
	// Port is the port that the image declares; 0 for none.
	Port int
	// Architecture is amd64 unless it is set.
	Architecture string
	// PaddingMiB makes the image larger by a layer that does not compress.
	PaddingMiB int
}

// Image returns the image of a variant. The layer with the server is the same in all, as between the versions of a real
// application whose base stays.
func Image(t testing.TB, variant Variant) v1.Image {
	t.Helper()
	image, err := MakeImage(variant)
	if err != nil {
		t.Fatalf("make the image of version %s: %v", variant.Version, err)
	}
	return image
}

// MakeImage is Image without a test.
func MakeImage(variant Variant) (v1.Image, error) {
	layer, err := serverLayer()
	if err != nil {
		return nil, err
	}
	layers := []v1.Layer{layer}
	if variant.PaddingMiB > 0 {
		padding, err := paddingLayer(variant.PaddingMiB, variant.Version)
		if err != nil {
			return nil, err
		}
		layers = append(layers, padding)
	}
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", "amd64"
	if variant.Architecture != "" {
		file.Architecture = variant.Architecture
	}
	file.Config.Entrypoint = []string{"/app"}
	file.Config.Env = []string{"VERSION=" + variant.Version}
	for key, value := range variant.Environment {
		file.Config.Env = append(file.Config.Env, key+"="+value)
	}
	if variant.Port > 0 {
		file.Config.ExposedPorts = map[string]struct{}{fmt.Sprintf("%d/tcp", variant.Port): {}}
	}
	return mutate.ConfigFile(image, file)
}

// Archive writes an image as `docker save` does and returns the file's path.
func Archive(t testing.TB, image v1.Image, tag string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	reference, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(path, reference, image); err != nil {
		t.Fatalf("write %s: %v", path, err)
	}
	return path
}

// server is the program of the sample application, built once for a run.
var server = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "sample")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "app")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "github.com/apron-run/apron/test/sample/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the sample application: %w\n%s", err, output)
	}
	return os.ReadFile(binary)
})

// serverLayer is the layer with the server, packed once for a run.
var serverLayer = sync.OnceValues(func() (v1.Layer, error) {
	content, err := server()
	if err != nil {
		return nil, err
	}
	return layerOf("app", content, 0o755)
})

// paddingLayer holds bytes that differ by seed and do not compress.
func paddingLayer(mib int, seed string) (v1.Layer, error) {
	content := make([]byte, mib<<20)
	if _, err := io.ReadFull(noise(seed), content); err != nil {
		return nil, err
	}
	return layerOf("padding", content, 0o644)
}

func layerOf(path string, content []byte, mode int64) (v1.Layer, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	if err := writer.WriteHeader(&tar.Header{Name: path, Mode: mode, Size: int64(len(content))}); err != nil {
		return nil, err
	}
	if _, err := writer.Write(content); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	})
}
