// Package compute runs instances. Backend is the seam: compute/containerd runs them on this machine, compute/computetest
// holds the suite that every backend passes.
//
// The backend is the truth of what runs; the store is the truth of what should run. A backend keeps nothing that it
// cannot read back from the containers themselves, so a restart of apron loses nothing.
package compute

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

var (
	// ErrNotFound says that there is no such instance or image.
	ErrNotFound = errors.New("not found")
)

// Backend starts, stops and inspects instances. All methods may be called at the same time.
type Backend interface {
	// Start starts an instance and returns when its process runs; readiness is the caller's to probe. It is idempotent
	// by spec.ID: a running instance is returned as it is, the remains of a broken start are removed first. The image
	// must be there already (Images). Failures that a person can act on are a *platform.ExplainedError.
	Start(ctx context.Context, spec InstanceSpec) (platform.Instance, error)

	// Stop asks the instance to end (SIGTERM), kills it after grace, and removes everything of it but its log.
	// It is idempotent: an unknown id is done already. When ctx ends first, the instance is killed at once.
	Stop(ctx context.Context, id platform.InstanceID, grace time.Duration) error

	// List returns every instance of this apron, running or exited and not yet removed, in no order. With a service, it returns those
	// of that service alone, at the cost of those alone.
	List(ctx context.Context, of ...platform.ServiceID) ([]platform.Instance, error)

	// Inspect returns one instance, or ErrNotFound.
	Inspect(ctx context.Context, id platform.InstanceID) (platform.Instance, error)

	// Exits sends the id of each instance that ended, until ctx ends. An empty id says that some may have been missed, so that a
	// caller must List: at the beginning, and when what tells of them was restarted.
	Exits(ctx context.Context) (<-chan platform.InstanceID, error)

	// Usage returns what an instance has used, or ErrNotFound.
	Usage(ctx context.Context, id platform.InstanceID) (Usage, error)

	// Sweep removes what belongs to no instance: remains of a start or a removal that was cut short. It never touches what
	// another call is at work on.
	Sweep(ctx context.Context) error
}

// Usage is what an instance has used of the machine.
type Usage struct {
	// CPU is the time of processors since it was started.
	CPU time.Duration
	// MemoryBytes is what it has now, without the cache of files that can be given back.
	MemoryBytes int64
}

// Images is the backend's store of images that instances start from.
type Images interface {
	// Pull fetches the image at reference, which must carry a digest (name@sha256:…), keeps it under name and prepares
	// it to run. It is idempotent, resumes what an earlier try fetched, and verifies every layer. progress may be nil.
	Pull(ctx context.Context, name, reference string, progress io.Writer) (Image, error)

	// Image returns the image kept under name, or ErrNotFound.
	Image(ctx context.Context, name string) (Image, error)

	// ListImages returns the names of all images.
	ListImages(ctx context.Context) ([]string, error)

	// Import reads an OCI or Docker archive (tar) and keeps its one image under name.
	Import(ctx context.Context, name string, archive io.Reader) (Image, error)

	// Remove forgets the name; layers that nothing else uses are collected later. Unknown names are done already.
	Remove(ctx context.Context, name string) error
}

// Image is an image ready to run.
type Image struct {
	Name   string
	Digest string
	// Port is the lowest TCP port that the image declares (EXPOSE), or 0.
	Port int
	// SizeBytes is the size of its layers as stored.
	SizeBytes int64
}

// InstanceSpec is everything a backend needs to start an instance.
type InstanceSpec struct {
	ID         platform.InstanceID
	ServiceID  platform.ServiceID
	RevisionID platform.RevisionID
	// ServiceName is for people who look at the machine.
	ServiceName string

	// Image is the name under which Images keeps it.
	Image string
	// Args replaces the image's entry point and command; empty keeps them.
	Args []string
	// Environment is complete (PORT included) and is laid over the image's own.
	Environment map[string]string
	// Port is where the app should listen.
	Port int

	// Subnets are ids that stand for networks of the host, to which the instance is attached besides the default.
	Subnets []string

	CPUUnits  int
	MemoryMiB int
	// StorageBytes bounds what the instance can write to its file system.
	StorageBytes int64
	// LogPath is the file that takes stdout and stderr, rotated and bounded by the backend.
	LogPath string
}
