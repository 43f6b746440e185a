// Package registry finds what an image's tag means now, and gives the backend the means to pull it: from any OCI
// registry, through mirrors, with credentials, and from the registry inside apron.
//
// Two files in the data directory say how: registries.json has Docker's config.json format (auths, credHelpers,
// credsStore) and holds credentials; registries.yaml holds mirrors and how to connect (see Settings). Both are read
// again whenever they are needed, so that a change needs no restart.
//
// Nothing waits without a deadline: a registry that goes silent, in the middle of a layer too, is given up, and what
// passes by itself (too many requests, 5xx, a connection that breaks) is tried again with growing waits. Failures that
// a person can act on are a *platform.ExplainedError; no error and no log line carries a credential.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/distribution/reference"

	"github.com/apron-run/apron/internal/source"
)

// Config says where the settings are and how apron's own registry is reached.
type Config struct {
	// Data is apron's data directory, with registries.json and registries.yaml.
	Data string
	// Endpoint is apron's own address, and Keys the key pair it takes.
	Endpoint source.Endpoint
	Keys     source.KeyPair
	// Embedded is the registry at Endpoint. Nil means that there is none.
	Embedded Embedded
	Limits   Limits
}

// Embedded is the registry inside apron. Implemented by registryserver.
type Embedded interface {
	// Has says whether an image was ever pushed to the repository.
	Has(ctx context.Context, repository string) (bool, error)
}

// Limits bound what is waited for. Zero values mean the defaults.
type Limits struct {
	// Resolve bounds ResolveImage. Default a minute.
	Resolve time.Duration
	// Silence is how long a registry may send nothing. Default 30 seconds.
	Silence time.Duration
	// Retries are the waits before each further try of what may pass by itself. Default 0.25, 0.5, 1, 2 and 4 seconds.
	Retries []time.Duration
}

// Registry implements deploy.ImageResolver. It is safe for concurrent use.
type Registry struct {
	config Config

	mu         sync.Mutex // guards transports
	transports map[string]http.RoundTripper

	ecr ecrTokens
}

// New returns a Registry. It touches nothing yet.
func New(config Config) *Registry {
	if config.Limits.Resolve == 0 {
		config.Limits.Resolve = time.Minute
	}
	if config.Limits.Silence == 0 {
		config.Limits.Silence = 30 * time.Second
	}
	if config.Limits.Retries == nil {
		const unit = 250 * time.Millisecond
		config.Limits.Retries = []time.Duration{unit, 2 * unit, 4 * unit, 8 * unit, 16 * unit}
	}
	return &Registry{config: config, transports: map[string]http.RoundTripper{}}
}

var errTookTooLong = errors.New("the registry took too long")

// ResolveImage returns host/name@digest of the linux/amd64 image that identifier means now: a tag, a digest, or
// neither for "latest". Names that were pushed to apron's own registry are found there first, see find.
func (r *Registry) ResolveImage(ctx context.Context, identifier string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.config.Limits.Resolve, errTookTooLong)
	defer cancel()
	named, absent, err := r.find(ctx, identifier)
	if err != nil {
		return "", err
	}
	session, err := r.newSession()
	if err != nil {
		return "", err
	}
	digest, err := session.resolve(ctx, named)
	if err != nil {
		return "", r.explainAbsence(named, absent, err)
	}
	canonical, err := reference.WithDigest(reference.TrimNamed(named), digest)
	if err != nil {
		return "", fmt.Errorf("resolve image: %w", err)
	}
	return canonical.String(), nil
}

// Digest returns what the tag of an identifier means now, which may be the digest of an index. The registry is asked by HEAD,
// which none counts as a pull.
func (r *Registry) Digest(ctx context.Context, identifier string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.config.Limits.Resolve, errTookTooLong)
	defer cancel()
	named, absent, err := r.find(ctx, identifier)
	if err != nil {
		return "", err
	}
	session, err := r.newSession()
	if err != nil {
		return "", err
	}
	_, descriptor, err := session.resolver.Resolve(ctx, named.String())
	if err != nil {
		return "", r.explainAbsence(named, absent, session.explain(ctx, named.String(), err))
	}
	return descriptor.Digest.String(), nil
}

// Resolver returns what containerd pulls with: the same registries, mirrors, credentials and deadlines as ResolveImage,
// and the same explained errors. It is meant for one pull: settings and tokens are looked up once.
func (r *Registry) Resolver() remotes.Resolver {
	session, err := r.newSession()
	if err != nil {
		return brokenResolver{err}
	}
	return explainingResolver{session.resolver, session}
}

// credentialsFile and settingsFile are what an administrator edits.
func (r *Registry) credentialsFile() string { return filepath.Join(r.config.Data, "registries.json") }
func (r *Registry) settingsFile() string    { return filepath.Join(r.config.Data, "registries.yaml") }
