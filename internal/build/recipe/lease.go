package recipe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// sharing keeps Collect away while blobs are found or written down that nothing refers to yet. It is held for a moment.
func (c *Cache) sharing(ctx context.Context) (func(), error) {
	return flock(ctx, c.collectPath(), unix.LOCK_SH, func() {})
}

func (c *Cache) collectPath() string { return filepath.Join(c.dir, "collect.lock") }

// hold keeps blobs from being collected until release is called, or this process ends. The caller is sharing.
func (c *Cache) hold(blobs []digest.Digest) (release func(), err error) {
	file, err := os.Create(filepath.Join(c.dir, "leases", randomName()))
	if err != nil {
		return nil, fmt.Errorf("hold blobs: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
	if err == nil {
		err = json.NewEncoder(file).Encode(blobs)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hold blobs: %w", err), os.Remove(file.Name()), file.Close())
	}
	return sync.OnceFunc(func() {
		_ = os.Remove(file.Name()) // one that stays is nobody's, and removed by the next Collect
		_ = file.Close()
	}), nil
}

// held returns the blobs of all leases, and removes those whose process has ended. The caller has locked out the others.
func (c *Cache) held() ([]digest.Digest, error) {
	entries, err := os.ReadDir(filepath.Join(c.dir, "leases"))
	if err != nil {
		return nil, err
	}
	var all []digest.Digest
	for _, entry := range entries {
		path := filepath.Join(c.dir, "leases", entry.Name())
		file, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // released just now
		}
		if err != nil {
			return nil, err
		}
		var blobs []digest.Digest
		if isNobodys(file) {
			err = os.Remove(path)
		} else {
			err = json.NewDecoder(file).Decode(&blobs)
		}
		if err = errors.Join(err, file.Close()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("read what is held: %w", err)
		}
		all = append(all, blobs...)
	}
	return all, nil
}

// isNobodys says whether no process has locked the file.
func isNobodys(file *os.File) bool {
	return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}
