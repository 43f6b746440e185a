// Package recipetest makes images for tests out of the recipes of this machine, as a registry would have them.
package recipetest

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image returns the image of a manifest in the store, with the files added and the variables set.
func Image(t testing.TB, store content.Store, manifest digest.Digest, files map[string]string, environment []string) v1.Image {
	t.Helper()
	var found ocispec.Manifest
	readJSON(t, store, ocispec.Descriptor{Digest: manifest}, &found)
	var config ocispec.Image
	readJSON(t, store, found.Config, &config)
	var layers []v1.Layer
	for i, layer := range found.Layers {
		made, err := partial.CompressedToLayer(&storedLayer{t, store, layer, config.RootFS.DiffIDs[i]})
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, made)
	}
	return Compose(t, append(layers, Layer(t, files)), environment)
}

// Compose returns an image for linux/amd64 of the layers.
func Compose(t testing.TB, layers []v1.Layer, environment []string) v1.Image {
	t.Helper()
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layers...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Env = "linux", "amd64", environment
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return mutate.ConfigMediaType(image, types.OCIConfigJSON)
}

// AsDocker is the image as Docker's own format has it, which many registries still hold.
func AsDocker(image v1.Image) v1.Image {
	return mutate.ConfigMediaType(mutate.MediaType(image, types.DockerManifestSchema2), types.DockerConfigJSON)
}

// Layer is a layer of files by their paths; all may be run.
func Layer(t testing.TB, files map[string]string) v1.Layer {
	t.Helper()
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for name, text := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(text)), Mode: 0o755}
		if err := writer.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(writer, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

func readJSON(t testing.TB, store content.Store, from ocispec.Descriptor, into any) {
	t.Helper()
	data, err := content.ReadBlob(t.Context(), store, from)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// storedLayer is a layer as the store has it, so that nothing is compressed again.
type storedLayer struct {
	t          testing.TB
	store      content.Store
	descriptor ocispec.Descriptor
	diffID     digest.Digest
}

func (l *storedLayer) Digest() (v1.Hash, error) { return v1.NewHash(l.descriptor.Digest.String()) }
func (l *storedLayer) DiffID() (v1.Hash, error) { return v1.NewHash(l.diffID.String()) }
func (l *storedLayer) Size() (int64, error)     { return l.descriptor.Size, nil }

func (l *storedLayer) MediaType() (types.MediaType, error) {
	return types.MediaType(l.descriptor.MediaType), nil
}

func (l *storedLayer) Compressed() (io.ReadCloser, error) {
	reader, err := l.store.ReaderAt(l.t.Context(), l.descriptor)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{content.NewReader(reader), reader}, nil
}
