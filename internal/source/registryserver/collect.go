package registryserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/registry/storage"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// garbageAge is how long what has no tag stays after a push last named it. A push sends layers first and what refers to them
// last, so it may take as long as that in all.
const garbageAge = 6 * time.Hour

// Collect removes the images that no tag names, nor config.Keep, and the layers that no image has, as far as no push has
// named them for age. Images are pushed and pulled meanwhile.
func (s *Server) Collect(ctx context.Context, age time.Duration) error {
	for _, dir := range []string{s.repositories(), s.layers()} {
		if _, err := os.Stat(dir); err != nil {
			return nil // nothing was ever pushed
		}
	}
	kept := map[digest.Digest]bool{}
	// A manifest that is put meanwhile waits: it must find the layers that it names, or learn that they are gone.
	s.collecting.Lock()
	defer s.collecting.Unlock()
	if s.config.Keep != nil {
		digests, err := s.config.Keep(ctx)
		if err != nil {
			return fmt.Errorf("ask which images are needed: %w", err)
		}
		for _, one := range digests {
			kept[digest.Digest(one)] = true
		}
	}
	driver, err := factory.Create(ctx, "filesystem", map[string]any{"rootdirectory": s.config.Dir})
	if err != nil {
		return fmt.Errorf("open the images: %w", err)
	}
	guarded := guardedDriver{StorageDriver: driver, server: s, before: time.Now().Add(-age)}
	images, err := storage.NewRegistry(ctx, guarded)
	if err != nil {
		return fmt.Errorf("open the images: %w", err)
	}
	enumerator, ok := images.(distribution.RepositoryEnumerator)
	if !ok {
		return errors.New("the images cannot be listed")
	}
	wanted := wantedImages{images, enumerator, guarded, kept}
	return storage.MarkAndSweep(ctx, guarded, wanted, storage.GCOpts{RemoveUntagged: true, Quiet: true})
}

// guardedDriver deletes nothing that a push has named since before.
type guardedDriver struct {
	storagedriver.StorageDriver
	server *Server
	before time.Time
}

// Delete is called for layers, for what ties them to a repository, and for images.
func (d guardedDriver) Delete(ctx context.Context, path string) error {
	d.server.touching.Lock()
	defer d.server.touching.Unlock()
	if d.server.isYoung(filepath.Join(d.server.config.Dir, filepath.FromSlash(path)), d.before) {
		return nil
	}
	return d.StorageDriver.Delete(ctx, path)
}

// isYoung says whether what is at path was named since before: a layer, or a link to one, in a folder or not.
func (s *Server) isYoung(path string, before time.Time) bool {
	for _, name := range []string{"data", "link", ""} {
		if info, err := os.Stat(filepath.Join(path, name)); err == nil {
			return info.ModTime().After(before)
		}
	}
	return false
}

// wantedImages are the images as MarkAndSweep is to see them: those that are kept, or young, count as tagged.
type wantedImages struct {
	distribution.Namespace
	distribution.RepositoryEnumerator
	driver guardedDriver
	kept   map[digest.Digest]bool
}

// Repository returns a repository with the tags that it has now.
func (w wantedImages) Repository(ctx context.Context, name reference.Named) (distribution.Repository, error) {
	repository, err := w.Namespace.Repository(ctx, name)
	if err != nil {
		return nil, err
	}
	tags := wantedTags{TagService: repository.Tags(ctx), images: w, name: name.Name(), byDigest: map[digest.Digest][]string{}}
	all, err := tags.All(ctx)
	if err != nil {
		return nil, err
	}
	for _, tag := range all {
		descriptor, err := tags.Get(ctx, tag)
		if errors.As(err, new(distribution.ErrTagUnknown)) {
			continue // deleted just now
		}
		if err != nil {
			return nil, err
		}
		tags.byDigest[descriptor.Digest] = append(tags.byDigest[descriptor.Digest], tag)
	}
	return wantedRepository{repository, tags}, nil
}

type wantedRepository struct {
	distribution.Repository
	tags wantedTags
}

func (r wantedRepository) Tags(context.Context) distribution.TagService { return r.tags }

type wantedTags struct {
	distribution.TagService
	images   wantedImages
	name     string
	byDigest map[digest.Digest][]string
}

// Lookup returns the tags of an image.
func (t wantedTags) Lookup(_ context.Context, image distribution.Descriptor) ([]string, error) {
	if tags := t.byDigest[image.Digest]; len(tags) > 0 {
		return tags, nil
	}
	server := t.images.driver.server
	if t.images.kept[image.Digest] || server.isYoung(server.manifest(t.name, image.Digest), t.images.driver.before) {
		return []string{"wanted"}, nil
	}
	return nil, nil
}

// All returns all tags; a repository that never had one has none.
func (t wantedTags) All(ctx context.Context) ([]string, error) {
	tags, err := t.TagService.All(ctx)
	if errors.As(err, new(distribution.ErrRepositoryUnknown)) {
		return nil, nil
	}
	return tags, err
}

// blobPattern takes the path of a layer apart: repository, and digest where there is one.
var blobPattern = regexp.MustCompile(`^/v2/(.+)/blobs/(?:uploads/.*|(sha256:[0-9a-f]{64}))$`)

// touch makes young what a request names, before it learns whether that is there: the collection must not take away what
// a client need not send, or is about to fetch.
func (s *Server) touch(r *http.Request) {
	if match := manifestPattern.FindStringSubmatch(r.URL.Path); match != nil {
		named, err := digest.Parse(match[2])
		if _, nameErr := reference.WithName(match[1]); err == nil && nameErr == nil {
			s.rejuvenate(filepath.Join(s.manifest(match[1], named), "link"))
		}
		return
	}
	match := blobPattern.FindStringSubmatch(r.URL.Path)
	if match == nil || r.Method == http.MethodGet {
		return
	}
	query := r.URL.Query()
	for _, named := range []struct{ repository, digest string }{
		{match[1], match[2]}, {match[1], query.Get("digest")}, {query.Get("from"), query.Get("mount")},
	} {
		parsed, err := digest.Parse(named.digest)
		if err != nil {
			continue
		}
		if _, err := reference.WithName(named.repository); err != nil {
			continue
		}
		s.rejuvenate(s.layer(parsed), s.layerLink(named.repository, parsed))
	}
}

func (s *Server) rejuvenate(paths ...string) {
	s.touching.Lock()
	defer s.touching.Unlock()
	now := time.Now()
	for _, path := range paths {
		if err := os.Chtimes(path, now, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.config.Log.Warn("layer not marked as used", "path", path, "error", err)
		}
	}
}

// The layout of the distribution project's storage, as far as it is needed here.

func (s *Server) layers() string {
	return filepath.Join(s.config.Dir, "docker", "registry", "v2", "blobs")
}

func (s *Server) layer(d digest.Digest) string {
	return filepath.Join(s.layers(), d.Algorithm().String(), d.Encoded()[:2], d.Encoded(), "data")
}

func (s *Server) layerLink(repository string, d digest.Digest) string {
	return filepath.Join(s.repositories(), filepath.FromSlash(repository), "_layers", d.Algorithm().String(), d.Encoded(), "link")
}

func (s *Server) manifest(repository string, d digest.Digest) string {
	return filepath.Join(s.repositories(), filepath.FromSlash(repository), "_manifests", "revisions", d.Algorithm().String(), d.Encoded())
}

func (s *Server) tagLink(repository, tag string) string {
	return filepath.Join(s.repositories(), filepath.FromSlash(repository), "_manifests", "tags", tag, "current", "link")
}
