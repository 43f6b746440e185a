package registry

import (
	"context"
	"errors"
	"io"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/transfer"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// explainingResolver makes the errors of a pull explained ones.
type explainingResolver struct {
	remotes.Resolver
	session *session
}

func (r explainingResolver) Resolve(ctx context.Context, ref string) (string, ocispec.Descriptor, error) {
	name, descriptor, err := r.Resolver.Resolve(ctx, ref)
	return name, descriptor, r.session.explain(ctx, ref, err)
}

func (r explainingResolver) Fetcher(ctx context.Context, ref string) (remotes.Fetcher, error) {
	fetcher, err := r.Resolver.Fetcher(ctx, ref)
	if err != nil {
		return nil, r.session.explain(ctx, ref, err)
	}
	return explainingFetcher{fetcher, r.session, ref}, nil
}

// SetOptions passes on how many parts of a layer containerd fetches at once.
func (r explainingResolver) SetOptions(options ...transfer.ImageResolverOption) {
	if inner, ok := r.Resolver.(remotes.ResolverWithOptions); ok {
		inner.SetOptions(options...)
	}
}

type explainingFetcher struct {
	remotes.Fetcher
	session *session
	ref     string
}

func (f explainingFetcher) Fetch(ctx context.Context, descriptor ocispec.Descriptor) (io.ReadCloser, error) {
	content, err := f.Fetcher.Fetch(ctx, descriptor)
	if err != nil {
		return nil, f.session.explain(ctx, f.ref, err)
	}
	return &explainingContent{ReadCloser: content, ctx: ctx, fetcher: f}, nil
}

// explainingContent is a layer being read.
type explainingContent struct {
	io.ReadCloser
	ctx     context.Context //nolint:containedctx // the reader's life is that of the Fetch it came from
	fetcher explainingFetcher
}

func (c *explainingContent) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = c.fetcher.session.explain(c.ctx, c.fetcher.ref, err)
	}
	return n, err
}

var errCannotSeek = errors.New("the content cannot be read from another place")

// Seek lets containerd go on where an earlier try ended.
func (c *explainingContent) Seek(offset int64, whence int) (int64, error) {
	if seeker, ok := c.ReadCloser.(io.Seeker); ok {
		return seeker.Seek(offset, whence)
	}
	return 0, errCannotSeek
}

// brokenResolver is for settings that cannot be read.
type brokenResolver struct{ err error }

func (r brokenResolver) Resolve(context.Context, string) (string, ocispec.Descriptor, error) {
	return "", ocispec.Descriptor{}, r.err
}

func (r brokenResolver) Fetcher(context.Context, string) (remotes.Fetcher, error) { return nil, r.err }

func (r brokenResolver) Pusher(context.Context, string) (remotes.Pusher, error) { return nil, r.err }
