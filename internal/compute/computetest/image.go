// Package computetest is the suite that every backend passes, and an image whose app behaves as its arguments say.
package computetest

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Image builds the test app (see testapp) and returns it as an image for linux/amd64 that runs it with args.
func Image(t testing.TB, args ...string) v1.Image {
	t.Helper()
	program := filepath.Join(t.TempDir(), "testapp")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "github.com/apron-run/apron/internal/compute/computetest/testapp")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the test app: %v\n%s", err, output)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	for _, directory := range []string{"tmp/", "etc/", "sys/", "proc/", "dev/"} {
		if err := archive.WriteHeader(&tar.Header{Name: directory, Mode: 0o1777, Typeflag: tar.TypeDir}); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.WriteHeader(&tar.Header{Name: "testapp", Mode: 0o755, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	image, err = mutate.ConfigFile(image, configFile(t, image, args))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func configFile(t testing.TB, image v1.Image, args []string) *v1.ConfigFile {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Entrypoint = append([]string{"/testapp"}, args...)
	config.Config.Env = []string{"FROM_IMAGE=yes"}
	config.Config.ExposedPorts = map[string]struct{}{"8080/tcp": {}}
	return config
}
