package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/apron-run/apron/internal/platform"
)

// What bounds an answer that is kept in memory, and how deep an index may be nested.
const (
	maxManifestBytes = 8 << 20
	maxIndexDepth    = 3
)

var (
	wanted = platforms.MustParse("linux/amd64")
	// matcher also takes variants of amd64, the plainest first.
	matcher = platforms.Only(wanted)
)

// manifest is what an index and the manifest of an image have, together.
type manifest struct {
	MediaType string               `json:"mediaType"`
	Schema    int                  `json:"schemaVersion"`
	Config    *ocispec.Descriptor  `json:"config"`
	Manifests []ocispec.Descriptor `json:"manifests"`
}

// resolve returns the digest of the linux/amd64 image that named means.
func (s *session) resolve(ctx context.Context, named reference.Named) (digest.Digest, error) {
	name, descriptor, err := s.resolver.Resolve(ctx, named.String())
	if err != nil {
		return "", s.explain(ctx, named.String(), err)
	}
	fetcher, err := s.resolver.Fetcher(ctx, name)
	if err != nil {
		return "", s.explain(ctx, named.String(), err)
	}
	choice := &choice{session: s, fetcher: fetcher, named: named}
	found, err := choice.find(ctx, descriptor, 0)
	if err != nil {
		return "", s.explain(ctx, named.String(), err)
	}
	if found == "" {
		return "", choice.wrongPlatform()
	}
	return found, nil
}

// choice looks for the image of our platform.
type choice struct {
	session *session
	fetcher remotes.Fetcher
	named   reference.Named
	// others are the platforms there are instead.
	others []string
}

// find returns the digest of the image for our platform at or below descriptor, or "" when there is none.
func (c *choice) find(ctx context.Context, descriptor ocispec.Descriptor, depth int) (digest.Digest, error) {
	if depth > maxIndexDepth {
		return "", platform.Explain(nil, "the index of %s is nested too deeply", c.named).
			Try("push the image again")
	}
	if !images.IsManifestType(descriptor.MediaType) && !images.IsIndexType(descriptor.MediaType) {
		// What the registry calls it decides where it is asked for; a manifest it must be.
		descriptor.MediaType = ocispec.MediaTypeImageManifest
	}
	var content manifest
	if err := c.read(ctx, descriptor, &content); err != nil {
		return "", err
	}
	switch {
	case content.Schema == 1:
		return "", platform.Explain(nil, "the image %s has the manifest format of 2015 (schema 1), which is no longer supported", c.named).
			Try("build and push it again")
	case content.Manifests != nil:
		return c.findInIndex(ctx, content.Manifests, depth)
	case content.Config == nil:
		return "", c.noImage()
	}
	return c.check(ctx, descriptor.Digest, *content.Config)
}

// findInIndex looks at what fits by its declared platform, best first, then at what declares none.
func (c *choice) findInIndex(ctx context.Context, entries []ocispec.Descriptor, depth int) (digest.Digest, error) {
	var fitting, silent []ocispec.Descriptor
	for _, entry := range entries {
		switch {
		case entry.Platform == nil || entry.Platform.OS == "" && entry.Platform.Architecture == "":
			silent = append(silent, entry)
		case entry.Platform.OS == "unknown":
			// an attestation
		case matcher.Match(*entry.Platform):
			fitting = append(fitting, entry)
		default:
			c.others = append(c.others, platforms.Format(*entry.Platform))
		}
	}
	slices.SortStableFunc(fitting, func(a, b ocispec.Descriptor) int {
		switch {
		case matcher.Less(*a.Platform, *b.Platform):
			return -1
		case matcher.Less(*b.Platform, *a.Platform):
			return 1
		}
		return 0
	})
	const most = 10 // an index of more entries that say nothing is no real one
	for _, entry := range slices.Concat(fitting, silent[:min(len(silent), most)]) {
		found, err := c.find(ctx, entry, depth+1)
		if found != "" || err != nil {
			return found, err
		}
	}
	return "", nil
}

// check reads the image's configuration, which says what it was built for.
func (c *choice) check(ctx context.Context, found digest.Digest, descriptor ocispec.Descriptor) (digest.Digest, error) {
	if descriptor.MediaType != images.MediaTypeDockerSchema2Config && descriptor.MediaType != ocispec.MediaTypeImageConfig {
		return "", c.noImage()
	}
	var built ocispec.Platform
	if err := c.read(ctx, descriptor, &built); err != nil {
		return "", err
	}
	// Very old tools left these out; all they built was for this.
	if built.OS == "" {
		built.OS = wanted.OS
	}
	if built.Architecture == "" {
		built.Architecture = wanted.Architecture
	}
	if !matcher.Match(built) {
		c.others = append(c.others, platforms.Format(built))
		return "", nil
	}
	return found, nil
}

// read fetches a JSON document and checks that it is what its digest says.
func (c *choice) read(ctx context.Context, descriptor ocispec.Descriptor, into any) error {
	if descriptor.Size > maxManifestBytes {
		return platform.Explain(nil, "the image %s has a manifest of %d bytes, which no real image has", c.named, descriptor.Size).Try("build and push it again")
	}
	content, err := c.fetcher.Fetch(ctx, descriptor)
	if err != nil {
		return fmt.Errorf("fetch manifest: %w", err)
	}
	defer content.Close()
	raw, err := io.ReadAll(io.LimitReader(content, maxManifestBytes))
	if err != nil {
		return fmt.Errorf("fetch manifest: %w", err)
	}
	if err := descriptor.Digest.Validate(); err != nil {
		return fmt.Errorf("check manifest: %w", err)
	}
	if got := descriptor.Digest.Algorithm().FromBytes(raw); got != descriptor.Digest {
		return platform.Explain(errWrongDigest, "the registry %s sent other content than the digest of %s says", reference.Domain(c.named), c.named).
			Try("push the image again, or check mirrors and proxies on the way").WithEvidence("wanted "+descriptor.Digest.String(), "got "+got.String())
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return platform.Explain(err, "the manifest of %s cannot be read", c.named).
			Try("push the image again")
	}
	return nil
}

var errWrongDigest = errors.New("the content does not have its digest")

func (c *choice) noImage() error {
	return platform.Explain(nil, "%s is not a container image", c.named).Try("check the name: it may be a chart, a signature or another artifact")
}

func (c *choice) wrongPlatform() error {
	slices.Sort(c.others)
	others := slices.Compact(c.others)
	if len(others) == 0 {
		return platform.Explain(nil, "the image %s is for no platform at all", c.named).
			Try("build it for linux/amd64")
	}
	return platform.Explain(nil, "the image %s is for %s, and this machine needs linux/amd64", c.named, strings.Join(others, ", ")).
		Try("build it with --platform linux/amd64")
}
