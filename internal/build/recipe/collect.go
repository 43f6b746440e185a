package recipe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/build/catalogue"
)

const (
	// forgetAfter is how long what no runtime of this apron's catalogue needs stays unused: another apron of this machine, of
	// another version, may need it.
	forgetAfter = 30 * 24 * time.Hour
	// unfinishedAge is how old a file of tmp/ is before anybody asks whether it still has a maker.
	unfinishedAge = time.Hour
	// collectWait bounds how long others may keep Collect waiting; they find and note blobs in milliseconds.
	collectWait = 10 * time.Second
)

// Collect removes what nothing refers to: blobs of which a refresh made newer ones, what nobody has used for long, and what a
// crash left. What a build or a pull uses at the time stays.
func (c *Cache) Collect(ctx context.Context, from *catalogue.Catalogue) error {
	ctx, cancel := context.WithTimeout(ctx, collectWait)
	defer cancel()
	unlock, err := flock(ctx, c.collectPath(), unix.LOCK_EX, func() {})
	if err != nil {
		return fmt.Errorf("collect what is old: %w", err)
	}
	defer unlock()
	held, err := c.held()
	if err != nil {
		return fmt.Errorf("collect what is old: %w", err)
	}
	named, err := c.named(from)
	if err != nil {
		return fmt.Errorf("collect what is old: %w", err)
	}
	needed := map[digest.Digest]bool{}
	for _, each := range append(named, held...) {
		needed[each] = true
	}
	return errors.Join(c.removeBlobs(needed), c.removeUnfinished())
}

// named returns the blobs that the index names, without the entries that were not used for long, which it removes.
func (c *Cache) named(from *catalogue.Catalogue) ([]digest.Digest, error) {
	wanted := map[string]bool{}
	for _, name := range from.Names() {
		runtime, _ := from.ByName(name)
		parts, err := partsOf(from, runtime)
		if err != nil {
			return nil, err
		}
		for _, each := range parts.all() {
			wanted[each.hash] = true
		}
	}
	files, err := filepath.Glob(c.indexPath("*"))
	if err != nil {
		return nil, err
	}
	var blobs []digest.Digest
	for _, file := range files {
		hash := strings.TrimSuffix(filepath.Base(file), ".json")
		info, err := os.Stat(file)
		found, isThere := c.lookup(hash)
		if err == nil && !c.isLocked(hash) && (!isThere || !wanted[hash] && time.Since(info.ModTime()) > forgetAfter) {
			if err := errors.Join(os.Remove(file), os.RemoveAll(c.lockPath(hash))); err != nil {
				return nil, err
			}
			continue
		}
		blobs = append(blobs, found.digests()...)
	}
	return blobs, nil
}

func (c *Cache) removeBlobs(needed map[digest.Digest]bool) error {
	entries, err := os.ReadDir(filepath.Join(c.dir, "blobs", "sha256"))
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		name := digest.NewDigestFromEncoded(digest.SHA256, entry.Name())
		if !needed[name] {
			errs = append(errs, os.Remove(c.blobPath(name)))
		}
	}
	return errors.Join(errs...)
}

// removeUnfinished removes what was being made by processes that have ended.
func (c *Cache) removeUnfinished() error {
	entries, err := os.ReadDir(filepath.Join(c.dir, "tmp"))
	if err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		path := filepath.Join(c.dir, "tmp", entry.Name())
		file, err := os.Open(path)
		if err != nil {
			continue // finished just now
		}
		info, err := file.Stat()
		// What a chroot had mounted is the machine's own.
		isMounted := strings.Contains(string(mounts), " "+path+"/")
		if err == nil && time.Since(info.ModTime()) > unfinishedAge && !isMounted && isNobodys(file) {
			errs = append(errs, os.RemoveAll(path))
		}
		_ = file.Close()
	}
	return errors.Join(errs...)
}

// digests are the files of a blob and of its parts.
func (b blob) digests() []digest.Digest {
	all := []digest.Digest{b.Digest}
	for _, part := range b.Parts {
		all = append(all, part.Digest)
	}
	return all
}
