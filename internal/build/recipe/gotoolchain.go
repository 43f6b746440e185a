package recipe

import (
	"archive/tar"
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/dirhash"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/platform"
)

// writeGo fetches a Go release, which the Go module proxy serves as the module golang.org/toolchain, checks it and
// copies it.
func (c *Cache) writeGo(ctx context.Context, archive *tar.Writer, recipe catalogue.GoToolchain, log io.Writer) error {
	fmt.Fprintf(log, "fetching %s from the Go module proxy\n", recipe.Version)
	version := "v0.0.1-" + recipe.Version + ".linux-amd64"
	file, err := c.fetchGo(ctx, version)
	if err != nil {
		return platform.Explain(err, "the toolchain %s could not be fetched: %v", recipe.Version, err).
			Try("check that this machine reaches the Go module proxy, and deploy again")
	}
	defer os.Remove(file)
	sum, err := dirhash.HashZip(file, dirhash.Hash1)
	if err != nil {
		return fmt.Errorf("check the toolchain %s: %w", recipe.Version, err)
	}
	if sum != recipe.Sum {
		return platform.Explain(nil, "the toolchain %s is not the one that the runtime catalogue names: its sum is %s, not %s",
			recipe.Version, sum, recipe.Sum).Try("check proxies on the way to the Go module proxy, and deploy again")
	}
	content, err := zip.OpenReader(file)
	if err != nil {
		return fmt.Errorf("open the toolchain %s: %w", recipe.Version, err)
	}
	defer content.Close()
	prefix := "golang.org/toolchain@" + version + "/"
	for _, entry := range content.File {
		name, ok := strings.CutPrefix(entry.Name, prefix)
		if !ok || !isLocal(name) || strings.HasSuffix(name, "/") {
			continue
		}
		if err := copyGo(archive, entry, path.Join(recipe.Into, name), name); err != nil {
			return err
		}
	}
	return nil
}

// copyGo copies one file. A module zip has no modes: the programs are known by their folders.
func copyGo(archive *tar.Writer, entry *zip.File, target, name string) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: target, Size: int64(entry.UncompressedSize64), Mode: 0o644, ModTime: epoch}
	if strings.HasPrefix(name, "bin/") || strings.HasPrefix(name, "pkg/tool/") {
		header.Mode = 0o755
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	reader, err := entry.Open()
	if err != nil {
		return err
	}
	_, err = io.Copy(archive, reader)
	return errors.Join(err, reader.Close())
}

// fetchGo tries the proxies of GOPROXY in order and returns the zip's temporary file.
func (c *Cache) fetchGo(ctx context.Context, version string) (string, error) {
	var failures []error
	proxies := c.host().GoProxy
	if proxies == "" {
		proxies = host.DefaultGoProxy
	}
	for _, proxy := range strings.FieldsFunc(proxies, func(r rune) bool { return r == ',' || r == '|' }) {
		if proxy == "direct" || proxy == "off" {
			continue // the toolchain module is served by proxies only
		}
		file := filepath.Join(c.dir, "tmp", "toolchain-"+randomName())
		address := strings.TrimSuffix(proxy, "/") + "/golang.org/toolchain/@v/" + version + ".zip"
		err := c.fetchFile(ctx, address, file)
		if err == nil {
			return file, nil
		}
		failures = append(failures, err)
	}
	if len(failures) == 0 {
		return "", fmt.Errorf("GOPROXY names no proxy")
	}
	return "", errors.Join(failures...)
}
