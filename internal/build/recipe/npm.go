package recipe

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/platform"
)

// writeNPM fetches one package of the npm registry, checks it and copies the wanted parts.
func (c *Cache) writeNPM(ctx context.Context, archive *tar.Writer, pkg catalogue.NPMPackage, log io.Writer) error {
	address := fmt.Sprintf("%s%s/-/%s-%s.tgz", c.host().NPMRegistry, pkg.Name, path.Base(pkg.Name), pkg.Version)
	fmt.Fprintf(log, "fetching %s %s from the npm registry\n", pkg.Name, pkg.Version)
	data, err := c.fetch(ctx, address)
	if err != nil {
		return platform.Explain(err, "the npm package %s@%s could not be fetched: %v", pkg.Name, pkg.Version, err).
			Try("check that this machine reaches the npm registry, and deploy again")
	}
	sum := sha512.Sum512(data)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != pkg.Integrity {
		return platform.Explain(nil, "the npm package %s@%s is not the one that the runtime catalogue names: its checksum "+
			"is %s, not %s", pkg.Name, pkg.Version, got, pkg.Integrity).
			Try("check mirrors and proxies on the way to the npm registry, and deploy again")
	}
	stream, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("open the npm package %s: %w", pkg.Name, err)
	}
	return copyNPM(archive, tar.NewReader(stream), pkg.Copy)
}

// copyNPM copies files. A package's top folder may have any name; modes and times are made equal for everyone.
func copyNPM(archive *tar.Writer, reader *tar.Reader, wanted map[string]string) error {
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read an npm package: %w", err)
		}
		_, name, _ := strings.Cut(path.Clean(header.Name), "/")
		target, ok := destination(name, wanted)
		if !ok || header.Typeflag != tar.TypeReg {
			continue
		}
		out := &tar.Header{Typeflag: tar.TypeReg, Name: target, Size: header.Size, Mode: 0o644, ModTime: epoch}
		if header.Mode&0o111 != 0 || strings.Contains("/"+target, "/bin/") {
			out.Mode = 0o755 // what a package calls bin is meant to be run, also when the packer lost the bit
		}
		if err := archive.WriteHeader(out); err != nil {
			return err
		}
		if _, err := io.Copy(archive, reader); err != nil {
			return err
		}
	}
}

// destination returns where a package's file goes. Paths that climb out of the package are never wanted.
func destination(name string, wanted map[string]string) (string, bool) {
	if name == "" || !isLocal(name) {
		return "", false
	}
	for from, to := range wanted {
		switch {
		case from == ".":
			return path.Join(to, name), true
		case from == name:
			return path.Clean(to), true
		case strings.HasPrefix(name, from+"/"):
			return path.Join(to, strings.TrimPrefix(name, from+"/")), true
		}
	}
	return "", false
}
