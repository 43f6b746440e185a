package recipe

import (
	"archive/tar"
	"context"
	"errors"
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

// make makes a layer. known is the one that there is already, or nothing: when the new one has nothing new, that stays.
func (c *Cache) make(ctx context.Context, wanted part, known blob, log io.Writer) error {
	began := now()
	if known.Digest == "" {
		fmt.Fprintf(log, "making %s, needed the first time on this machine only\n", wanted.name)
	} else {
		fmt.Fprintf(log, "making %s again\n", wanted.name)
	}
	temporary := filepath.Join(c.dir, "tmp", "layer-"+randomName())
	made, err := c.makeLayer(ctx, temporary, wanted.layer, log)
	if err != nil {
		return err
	}
	made.MadeAt, made.CheckedAt = now(), now()
	isSame := known.Digest != "" && (known.DiffID == made.DiffID || haveSamePackages(c.blobPath(known.Digest), temporary))
	stop, err := c.sharing(ctx) // until the index names it, nothing does
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	defer stop()
	took := now().Sub(began).Seconds()
	if isSame {
		known.CheckedAt = made.CheckedAt
		fmt.Fprintf(log, "made %s: unchanged, in %.0f s\n", wanted.name, took)
		return errors.Join(os.Remove(temporary), c.remember(wanted.hash, known))
	}
	if err := os.Rename(temporary, c.blobPath(made.Digest)); err != nil {
		return err
	}
	if err := c.remember(wanted.hash, made); err != nil {
		return err
	}
	fmt.Fprintf(log, "made %s: %d MB in %.0f s\n", wanted.name, made.SizeBytes>>20, took)
	return nil
}

// now is in UTC, as the index has it, and without a monotonic clock, which does not go from process to process.
func now() time.Time { return time.Now().UTC().Round(0) }

// makeLayer streams the layer's tar through compression into a file, so that no step holds it in memory.
func (c *Cache) makeLayer(ctx context.Context, file string, layer catalogue.Layer, log io.Writer) (blob, error) {
	compressed, plain := digest.Canonical.Digester(), digest.Canonical.Digester()
	var size countingWriter
	err := c.writeStream(file, func(w io.Writer) error {
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
	return blob{Digest: compressed.Digest(), DiffID: plain.Digest(), SizeBytes: int64(size)}, nil
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
