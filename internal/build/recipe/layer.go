package recipe

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/apron-run/apron/internal/build/catalogue"
)

// recipeFormat is part of every recipe's hash: raise it when this package makes something else of the same recipe.
const recipeFormat = "2"

// epoch is the time of files that have none of their own.
var epoch = time.Unix(0, 0)

// layer returns the blob of a layer, making it when the cache does not have it. Only one process makes a recipe at a
// time; the others wait for it.
func (c *Cache) layer(ctx context.Context, name string, layer catalogue.Layer, log io.Writer) (blob, error) {
	hash, err := recipeHash(layer)
	if err != nil {
		return blob{}, err
	}
	if found, ok := c.lookup(hash); ok {
		return found, nil
	}
	unlock, err := c.lock(ctx, hash, func() { fmt.Fprintf(log, "waiting for %s, which is being made already\n", name) })
	if err != nil {
		return blob{}, err
	}
	defer unlock()
	if found, ok := c.lookup(hash); ok {
		return found, nil // made while we waited
	}
	began := time.Now()
	fmt.Fprintf(log, "making %s, needed the first time on this machine only\n", name)
	made, err := c.makeLayer(ctx, layer, log)
	if err != nil {
		return blob{}, fmt.Errorf("make %s: %w", name, err)
	}
	if err := c.remember(hash, made); err != nil {
		return blob{}, fmt.Errorf("keep %s: %w", name, err)
	}
	fmt.Fprintf(log, "made %s: %d MB in %.0f s\n", name, made.SizeBytes>>20, time.Since(began).Seconds())
	return made, nil
}

func recipeHash(layer catalogue.Layer) (string, error) {
	data, err := json.Marshal(layer)
	if err != nil {
		return "", fmt.Errorf("hash a recipe: %w", err)
	}
	sum := sha256.Sum256(slices.Concat([]byte("recipe "+recipeFormat+"\n"), data))
	return hex.EncodeToString(sum[:]), nil
}

// makeLayer streams the layer's tar through compression into a blob, so that no step holds it in memory.
func (c *Cache) makeLayer(ctx context.Context, layer catalogue.Layer, log io.Writer) (blob, error) {
	temporary := filepath.Join(c.dir, "tmp", "layer-"+randomName())
	compressed, plain := digest.Canonical.Digester(), digest.Canonical.Digester()
	var size countingWriter
	err := c.writeStream(temporary, func(w io.Writer) error {
		encoder, err := zstd.NewWriter(io.MultiWriter(w, compressed.Hash(), &size),
			zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return err
		}
		archive := tar.NewWriter(io.MultiWriter(encoder, plain.Hash()))
		if err := c.writeLayer(ctx, archive, layer, log); err != nil {
			return err
		}
		if err := archive.Close(); err != nil {
			return err
		}
		return encoder.Close()
	})
	if err != nil {
		return blob{}, err
	}
	made := blob{Digest: compressed.Digest(), DiffID: plain.Digest(), SizeBytes: int64(size)}
	if err := os.Rename(temporary, c.blobPath(made.Digest)); err != nil {
		return blob{}, err
	}
	return made, nil
}

func (c *Cache) writeLayer(ctx context.Context, archive *tar.Writer, layer catalogue.Layer, log io.Writer) error {
	var err error
	switch {
	case layer.Debian != nil:
		err = c.writeDebian(ctx, archive, *layer.Debian, log)
	case layer.Go != nil:
		err = c.writeGo(ctx, archive, *layer.Go, log)
	default:
		for _, pkg := range layer.NPM {
			if err := c.writeNPM(ctx, archive, pkg, log); err != nil {
				return err
			}
		}
	}
	if err != nil {
		return err
	}
	for _, name := range sortedKeys(layer.Files) {
		if err := writeText(archive, name, layer.Files[name]); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(layer.Links) {
		link := &tar.Header{Typeflag: tar.TypeSymlink, Name: path.Clean(name), Linkname: layer.Links[name], Mode: 0o777, ModTime: epoch}
		if err := archive.WriteHeader(link); err != nil {
			return err
		}
	}
	return nil
}

// writeText writes a small file; a script, which begins with #!, may be run.
func writeText(archive *tar.Writer, name, text string) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: path.Clean(name), Size: int64(len(text)), Mode: 0o644, ModTime: epoch}
	if strings.HasPrefix(text, "#!") {
		header.Mode = 0o755
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.WriteString(archive, text)
	return err
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// countingWriter counts the bytes written to it.
type countingWriter int64

func (w *countingWriter) Write(p []byte) (int, error) {
	*w += countingWriter(len(p))
	return len(p), nil
}
