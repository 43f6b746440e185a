package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// reserve is a file that holds some of the disk for the database: when a disk is full to the last block, it is given up, so
// that operations can record how they end and services can be paused and deleted. What is written then is small.
type reserve struct {
	path string
	log  *slog.Logger
}

const (
	// mostReserve is beyond what the database writes before somebody has looked; reserveShare is its part of a small disk.
	mostReserve  = 64 << 20
	reserveShare = 20
	// reserveEvery is less than the time for which a write to the database is tried again.
	reserveEvery = time.Second
	// comfort is how many times its size must be free before the reserve is made again.
	comfort = 4
)

func newReserve(dataDir string, log *slog.Logger) *reserve {
	return &reserve{filepath.Join(dataDir, "reserve"), log}
}

// run keeps the reserve until ctx ends.
func (r *reserve) run(ctx context.Context) error {
	ticker := time.NewTicker(reserveEvery)
	defer ticker.Stop()
	told := ""
	for {
		// Said once for each reason, not every second.
		if err := r.runOnce(); err != nil && err.Error() != told {
			told = err.Error()
			r.log.Error("keep some of the disk for the database", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// runOnce gives the reserve up, or makes it, as the disk is.
func (r *reserve) runOnce() error {
	var stat unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(r.path), &stat); err != nil {
		return fmt.Errorf("ask how full the disk is: %w", err)
	}
	free := int64(stat.Bfree) * stat.Bsize // apron may also use what is root's alone
	size := min(mostReserve, int64(stat.Blocks)*stat.Bsize/reserveShare)
	_, err := os.Stat(r.path)
	switch {
	case err == nil && free < size/2:
		r.log.Error("the disk is full: the database gets the space that was kept for it", "file", r.path)
		return os.Remove(r.path)
	case errors.Is(err, fs.ErrNotExist) && free > comfort*size:
		return r.make(size)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

// make fills the file, or makes none.
func (r *reserve) make(size int64) error {
	partial := r.path + ".partial"
	file, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(unix.Fallocate(int(file.Fd()), 0, 0, size), file.Close())
	if err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	return os.Rename(partial, r.path)
}
