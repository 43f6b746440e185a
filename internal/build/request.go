package build

import (
	"context"
	"io"

	"github.com/apron-run/apron/internal/platform"
)

// Request says what to build.
type Request struct {
	ServiceID   platform.ServiceID
	ServiceName string
	Code        platform.CodeSource
	Tags        map[string]string
	// Dir is the checked-out repository's root.
	Dir string
	// ImageName is the name that the backend's image store must hold the result under.
	ImageName string
	// Log takes the build's output, a line at a time, each prefixed with its phase. Writes are never concurrent.
	Log io.Writer
	// Secret returns what a reference of a build secret stands for. Nil where there is no store of secrets.
	Secret func(ctx context.Context, reference string) (string, error)
}

// Result is the image and how to start it.
type Result struct {
	ImageDigest string
	Process     platform.Process
	// Runtimes are those whose images it was made of, with the version of each.
	Runtimes map[string]string
	// Runtime is the managed runtime, and Key what Builder.Key returns for it; both are empty for a Dockerfile.
	Runtime, Key string
}
