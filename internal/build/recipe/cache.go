package recipe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/build/host"
)

const (
	// lockPoll is how often a held lock is tried again.
	lockPoll = 200 * time.Millisecond
	// fetchTimeout bounds one download; toolchains have 70 MB.
	fetchTimeout = 10 * time.Minute
)

// Cache is the folder of layers and images. Its methods may be called at the same time, also by other processes.
type Cache struct {
	dir   string
	host  func() host.Settings
	http  *http.Client
	store content.Store
	// registry may be nil.
	registry Registry
}

// Open makes the folder where it is missing.
func Open(dir string, settings func() host.Settings) (*Cache, error) {
	for _, name := range []string{"blobs/sha256", "layers", "leases", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return nil, fmt.Errorf("make the cache folder: %w", err)
		}
	}
	// What was pulled with a password is not for every user of the machine.
	if err := os.Chmod(filepath.Join(dir, "blobs"), 0o700); err != nil {
		return nil, fmt.Errorf("make the cache folder: %w", err)
	}
	store, err := local.NewStore(dir)
	if err != nil {
		return nil, fmt.Errorf("open the cache folder: %w", err)
	}
	return &Cache{dir: dir, host: settings, http: &http.Client{Timeout: fetchTimeout}, store: store}, nil
}

// PullFrom sets where images are pulled from. It is called before anything else.
func (c *Cache) PullFrom(registry Registry) { c.registry = registry }

// Content serves the cache's blobs.
func (c *Cache) Content() content.Store { return c.store }

// blob is one file of the cache, or an image's manifest with the files that belong to it.
type blob struct {
	Digest digest.Digest
	// DiffID is the digest of a layer before compression.
	DiffID    digest.Digest `json:",omitempty"`
	SizeBytes int64
	// Resolved is what the reference of an image meant, HOST/NAME@DIGEST, and Parts are its configuration and layers.
	Resolved string `json:",omitempty"`
	Parts    []blob `json:",omitempty"`
	// MadeAt is when the blob came, CheckedAt when it was last seen to be what a new one would be.
	MadeAt    time.Time `json:",omitzero"`
	CheckedAt time.Time `json:",omitzero"`
}

// lookup returns the blob that a recipe or a reference became, or false when it has to be made.
func (c *Cache) lookup(hash string) (blob, bool) {
	data, err := os.ReadFile(c.indexPath(hash))
	if err != nil {
		return blob{}, false
	}
	var found blob
	if json.Unmarshal(data, &found) != nil {
		return blob{}, false
	}
	for _, each := range append([]blob{found}, found.Parts...) {
		if !c.has(each) {
			return blob{}, false
		}
	}
	if info, err := os.Stat(c.blobPath(found.Digest)); err == nil && found.MadeAt.IsZero() { // of a version that did not note it
		found.MadeAt, found.CheckedAt = info.ModTime(), info.ModTime()
	}
	return found, true
}

// has says whether a blob is there; one may have been removed by hand, or cut short by a full disk.
func (c *Cache) has(wanted blob) bool {
	if wanted.Digest.Validate() != nil {
		return false
	}
	info, err := os.Stat(c.blobPath(wanted.Digest))
	return err == nil && info.Size() == wanted.SizeBytes
}

// remember notes what a recipe or a reference became.
func (c *Cache) remember(hash string, made blob) error {
	data, err := json.Marshal(made)
	if err != nil {
		return err
	}
	return c.writeFile(c.indexPath(hash), data)
}

// putBytes keeps a small blob: an image's configuration or manifest.
func (c *Cache) putBytes(data []byte) (blob, error) {
	made := blob{Digest: digest.FromBytes(data), SizeBytes: int64(len(data))}
	if c.has(made) {
		return made, nil
	}
	return made, c.writeFile(c.blobPath(made.Digest), data)
}

// writeFile writes and renames, so that readers see all of it or nothing.
func (c *Cache) writeFile(path string, data []byte) error {
	return c.writeStream(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

func (c *Cache) writeStream(path string, write func(io.Writer) error) (err error) {
	temporary, err := os.CreateTemp(filepath.Join(c.dir, "tmp"), "file-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	writeErr := unix.Flock(int(temporary.Fd()), unix.LOCK_EX) // tells Collect that it is being written
	if writeErr == nil {
		writeErr = write(temporary)
	}
	if writeErr == nil {
		writeErr = errors.Join(temporary.Chmod(0o644), temporary.Sync())
	}
	if writeErr == nil {
		writeErr = os.Rename(temporary.Name(), path)
	}
	return errors.Join(writeErr, temporary.Close())
}

// lock holds the lock of a recipe or a reference until the returned function is called. It waits for another holder until
// ctx ends; waiting is called once when it has to.
func (c *Cache) lock(ctx context.Context, hash string, waiting func()) (func(), error) {
	return flock(ctx, c.lockPath(hash), unix.LOCK_EX, waiting)
}

// flock locks a file until the returned function is called, or the process ends.
func flock(ctx context.Context, path string, how int, waiting func()) (func(), error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for isFirst := true; ; isFirst = false {
		err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil // closing releases it
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", filepath.Base(path), err), file.Close())
		}
		if isFirst {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), file.Close())
		case <-time.After(lockPoll):
		}
	}
}

// isLocked says whether somebody holds the lock of a recipe or a reference.
func (c *Cache) isLocked(hash string) bool {
	file, err := os.Open(c.lockPath(hash))
	if err != nil {
		return false
	}
	defer file.Close()
	return errors.Is(unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

func (c *Cache) indexPath(hash string) string { return filepath.Join(c.dir, "layers", hash+".json") }
func (c *Cache) lockPath(hash string) string  { return filepath.Join(c.dir, "layers", hash+".lock") }

func (c *Cache) blobPath(d digest.Digest) string {
	return filepath.Join(c.dir, "blobs", d.Algorithm().String(), d.Encoded())
}
