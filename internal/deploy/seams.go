package deploy

import (
	"context"
	"io"

	"github.com/apron-run/apron/internal/platform"
)

// CodeResolver finds the newest commit of a branch and fetches it, with the credentials of the source's connection where
// it has one. Implemented by source/connection.
type CodeResolver interface {
	// ResolveCommit returns the full id of the branch's newest commit.
	ResolveCommit(ctx context.Context, from platform.Source) (string, error)
	// Fetch checks commit out (shallow, without .git) into the empty or missing folder dir.
	Fetch(ctx context.Context, from platform.Source, commit, dir string, log io.Writer) error
}

// ImageResolver finds what a tag means now. Implemented by source/registry.
type ImageResolver interface {
	// ResolveImage returns a pullable reference with the digest of the linux/amd64 image: host/name@sha256:….
	ResolveImage(ctx context.Context, identifier string) (string, error)
}

// Builder turns a checked-out repository into an image. Implemented by build.
type Builder interface {
	Build(ctx context.Context, request BuildRequest) (BuildResult, error)
	// Key names all that a build for the runtime depends on besides the commit, as the result of one did. It is empty when that
	// cannot be said.
	Key(ctx context.Context, request BuildRequest, runtime string) string
	// Forget removes what builds of a deleted service kept for the next one.
	Forget(ctx context.Context, service platform.ServiceID) error
}

// BuildRequest says what to build.
type BuildRequest struct {
	ServiceID   platform.ServiceID
	ServiceName string
	Code        platform.CodeSource
	Tags        map[string]string
	// Dir is the checked-out repository's root.
	Dir string
	// ImageName is the name that the backend's image store must hold the result under.
	ImageName string
	// Log takes the build's output, a line at a time, each prefixed with its phase.
	Log io.Writer
	// Secret returns what a reference of a build secret stands for. Nil where there is no store of secrets.
	Secret func(ctx context.Context, reference string) (string, error)
}

// BuildResult is the image and how to start it, as apprunner.yaml or CodeConfigurationValues say.
type BuildResult struct {
	ImageDigest string
	Process     platform.Process
	// Runtimes are those whose images it was made of, with the version of each.
	Runtimes map[string]string
	// Runtime and Key are what the Revision remembers of the build; empty when another of the same commit is not to be skipped.
	Runtime, Key string
}

// Router is the data plane as a deployment sees it. Implemented by dataplane.
type Router interface {
	// SetRoute replaces the route of route.ServiceID, with all its hosts, in one step. It does not wait until the route is
	// in force; Flush does.
	SetRoute(route platform.Route)
	// RemoveRoute forgets a service's route.
	RemoveRoute(service platform.ServiceID)
	// Flush waits until every change made before is in force, or ctx ends.
	Flush(ctx context.Context) error
	// Drain waits until no request is in flight on the instances, which no route names any more, or ctx ends; it
	// returns how many requests were still in flight. It flushes first.
	Drain(ctx context.Context, instances []platform.InstanceID) int
	// EndTunnels ends the upgraded connections to instances that are about to be stopped: those that a drain has left.
	EndTunnels(ctx context.Context, instances []platform.InstanceID)
	// Routes returns the routes in force.
	Routes(ctx context.Context) ([]platform.Route, error)
}

// Loads tells how busy services are. Implemented by dataplane.
type Loads interface {
	// WatchLoad calls each with every report, the first of which has all services that have load, until ctx ends or the data plane is
	// lost.
	WatchLoad(ctx context.Context, each func(platform.LoadReport)) error
}

// Secrets knows what references to secrets stand for. Implemented by secret.Vault.
type Secrets interface {
	// Value returns what a reference stands for now.
	Value(ctx context.Context, reference string) (string, error)
	// Seal reads what the variables refer to and seals it for a revision.
	Seal(ctx context.Context, revision platform.RevisionID, references map[string]string) ([]byte, error)
	// Open returns the variables with their values.
	Open(revision platform.RevisionID, sealed []byte) (map[string]string, error)
}

// Prober asks an instance whether it is ready. Implemented by proxy.
type Prober interface {
	// Probe asks once; the error says what happened in words.
	Probe(ctx context.Context, address string, check platform.HealthCheck) error
}

// Logs is where deployments and instances write, and where the cause of a failure is read back from. Implemented by
// telemetry.
type Logs interface {
	// Event adds a line to the service's event log.
	Event(service platform.ServiceID, format string, args ...any)
	// Deployment opens the log of one operation.
	Deployment(service platform.ServiceID, operation platform.OperationID) io.WriteCloser
	// InstancePath is the file that takes an instance's output.
	InstancePath(service platform.ServiceID, instance platform.InstanceID) string
	// LastLines returns the last n lines of a stream ("instance/ID", "deployment/ID", "events"), oldest first.
	LastLines(service platform.ServiceID, stream string, n int) []string
	// RemoveService removes all logs of a service.
	RemoveService(service platform.ServiceID)
}
