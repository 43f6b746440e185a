package recipe

import (
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/apron-run/apron/internal/build/catalogue"
)

// Status is what the cache has of a runtime.
type Status struct {
	IsReady, IsBeingMade bool
	// SizeBytes is what it takes on the disk, also what other runtimes share with it.
	SizeBytes int64
	// Version, MadeAt and CheckedAt are those of a runtime that is ready. It was made when the newest of its parts was, and
	// checked when the one was that was not checked for the longest.
	Version           digest.Digest
	MadeAt, CheckedAt time.Time
	// BuildImage and RunImage are what the references of images mean here: HOST/NAME@DIGEST.
	BuildImage, RunImage string
}

// Status looks what there is of a runtime.
func (c *Cache) Status(from *catalogue.Catalogue, runtime catalogue.Runtime) (Status, error) {
	needed, err := partsOf(from, runtime)
	if err != nil {
		return Status{}, err
	}
	var status Status
	sizes := map[digest.Digest]int64{}
	for _, each := range needed.distinct() {
		status.IsBeingMade = status.IsBeingMade || c.isLocked(each.hash)
		found, ok := c.lookup(each.hash)
		if !ok {
			continue
		}
		for _, one := range append([]blob{found}, found.Parts...) {
			sizes[one.Digest] = one.SizeBytes
		}
		if found.MadeAt.After(status.MadeAt) {
			status.MadeAt = found.MadeAt
		}
		if each.canChange() && (status.CheckedAt.IsZero() || found.CheckedAt.Before(status.CheckedAt)) {
			status.CheckedAt = found.CheckedAt
		}
	}
	for _, size := range sizes {
		status.SizeBytes += size
	}
	if status.Version, status.IsReady = c.version(needed); !status.IsReady {
		status.MadeAt, status.CheckedAt = time.Time{}, time.Time{}
	} else if runtime.IsImage() {
		build, _ := c.lookup(needed.build[0].hash)
		run, _ := c.lookup(needed.run[0].hash)
		status.BuildImage, status.RunImage = build.Resolved, run.Resolved
	}
	return status, nil
}
