package recipe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/build/catalogue"
)

// checkedLately is how long a layer need not be refreshed again: runtimes that are refreshed one after the other share some.
const checkedLately = 15 * time.Minute

// part is what is made or pulled by itself: a layer of a recipe, or an image of a registry.
type part struct {
	// name is the layer's name or the image's reference.
	name    string
	isImage bool
	layer   catalogue.Layer
	// hash is what the index knows it by.
	hash string
}

// parts are those of a runtime's two images, lowest first.
type parts struct{ build, run []part }

func (p parts) all() []part { return slices.Concat(p.build, p.run) }

// distinct are all parts, each once.
func (p parts) distinct() []part {
	all := p.all()
	slices.SortFunc(all, func(a, b part) int { return strings.Compare(a.hash, b.hash) })
	return slices.CompactFunc(all, func(a, b part) bool { return a.hash == b.hash })
}

func partsOf(from *catalogue.Catalogue, runtime catalogue.Runtime) (parts, error) {
	if runtime.IsImage() {
		return parts{build: []part{imagePart(runtime.BuildImage)}, run: []part{imagePart(runtime.RunImage)}}, nil
	}
	build, err := layerParts(from, runtime.BuildLayers)
	if err != nil {
		return parts{}, err
	}
	run, err := layerParts(from, runtime.RunLayers)
	return parts{build, run}, err
}

func imagePart(reference string) part {
	sum := sha256.Sum256([]byte("image\n" + reference))
	return part{name: reference, isImage: true, hash: hex.EncodeToString(sum[:])}
}

func layerParts(from *catalogue.Catalogue, names []string) ([]part, error) {
	found := make([]part, len(names))
	for i, name := range names {
		hash, err := recipeHash(from.Layers[name])
		if err != nil {
			return nil, err
		}
		found[i] = part{name: name, layer: from.Layers[name], hash: hash}
	}
	return found, nil
}

func recipeHash(layer catalogue.Layer) (string, error) {
	data, err := json.Marshal(layer)
	if err != nil {
		return "", fmt.Errorf("hash a recipe: %w", err)
	}
	sum := sha256.Sum256(slices.Concat([]byte("recipe "+recipeFormat+"\n"), data))
	return hex.EncodeToString(sum[:]), nil
}

// canChange says whether making the part again may give something else: what is pinned by its checksum never does.
func (p part) canChange() bool { return p.isImage || p.layer.Debian != nil }

// ensure makes or pulls a part that the cache does not have, or that is to be refreshed, and says whether it did. Only one
// process makes a part at a time; the others wait for it and take what it has made.
func (c *Cache) ensure(ctx context.Context, wanted part, isRefresh bool, log io.Writer) (bool, error) {
	isRefresh = isRefresh && wanted.canChange()
	if _, ok := c.lookup(wanted.hash); ok && !isRefresh {
		return false, nil
	}
	asked := now()
	unlock, err := c.lock(ctx, wanted.hash, func() { fmt.Fprintf(log, "waiting for %s, which is being made already\n", wanted.name) })
	if err != nil {
		return false, err
	}
	defer unlock()
	known, ok := c.lookup(wanted.hash)
	if ok && (!isRefresh || known.CheckedAt.After(asked)) {
		return false, nil // made while we waited
	}
	if ok && !wanted.isImage && asked.Sub(known.CheckedAt) < checkedLately {
		fmt.Fprintf(log, "%s was made %.0f s ago\n", wanted.name, asked.Sub(known.CheckedAt).Seconds())
		return false, nil
	}
	if wanted.isImage {
		err = c.pull(ctx, wanted, known, log)
	} else {
		err = c.make(ctx, wanted, known, log)
	}
	if err != nil {
		return false, fmt.Errorf("make %s: %w", wanted.name, err)
	}
	return true, nil
}
