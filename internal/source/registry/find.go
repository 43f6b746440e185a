package registry

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/distribution/reference"

	"github.com/apron-run/apron/internal/platform"
)

// ecrPattern is a host of Amazon's private registries.
var ecrPattern = regexp.MustCompile(`^[0-9]{12}\.dkr\.ecr(-fips)?\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$`)

const (
	dockerHub = "docker.io"
	publicECR = "public.ecr.aws"
)

// find reads an image identifier and decides which registry it is at. Names without a registry ("hello", "team/app"),
// and those of Amazon's registries, are at apron's own registry when their repository is there: an image can be
// pushed to apron under the name that scripts already use. Other names without a registry are at Docker Hub. absent is the
// repository that apron's own registry was asked for and does not have, or empty.
func (r *Registry) find(ctx context.Context, identifier string) (named reference.Named, absent string, err error) {
	named, err = parse(identifier)
	if err != nil {
		return nil, "", err
	}
	host := reference.Domain(named)
	if r.config.Endpoint.Is(host, "80") {
		named, err = r.atEmbedded(named, reference.Path(named))
		return named, "", err
	}
	repository := embeddedName(named, identifier)
	if repository == "" || r.config.Embedded == nil {
		return named, "", nil
	}
	has, err := r.config.Embedded.Has(ctx, repository)
	if err != nil {
		return nil, "", fmt.Errorf("resolve image: %w", err)
	}
	if !has {
		return named, repository, nil
	}
	named, err = r.atEmbedded(named, repository)
	return named, "", err
}

// IsEmbedded says whether an image identifier means that tag of apron's own registry.
func (r *Registry) IsEmbedded(ctx context.Context, identifier, repository, tag string) bool {
	named, _, err := r.find(ctx, identifier)
	if err != nil || reference.Domain(named) != r.config.Endpoint.Address() || reference.Path(named) != repository {
		return false
	}
	tagged, isTagged := named.(reference.Tagged)
	return isTagged && tagged.Tag() == tag
}

// TagElsewhere returns the tag that an image identifier names at another registry than apron's own; "" for an image of apron's
// own, and for one that is named by its digest, which means the same for ever.
func (r *Registry) TagElsewhere(ctx context.Context, identifier string) string {
	named, _, err := r.find(ctx, identifier)
	if err != nil || reference.Domain(named) == r.config.Endpoint.Address() {
		return ""
	}
	tagged, isTagged := named.(reference.Tagged)
	if !isTagged {
		return ""
	}
	return tagged.Tag()
}

// embeddedName is the repository of apron's own registry that may be meant, or empty when the name says clearly that
// another registry is.
func embeddedName(named reference.Named, identifier string) string {
	host := reference.Domain(named)
	switch {
	case ecrPattern.MatchString(host), host == publicECR:
		return reference.Path(named)
	case host == dockerHub && !strings.HasPrefix(identifier, dockerHub+"/") && !strings.HasPrefix(identifier, "index."+dockerHub+"/"):
		return reference.FamiliarName(named)
	default:
		return ""
	}
}

// atEmbedded moves a name to apron's own registry, its tag and digest kept.
func (r *Registry) atEmbedded(named reference.Named, repository string) (reference.Named, error) {
	moved, err := reference.WithName(r.config.Endpoint.Address() + "/" + repository)
	if err != nil {
		return nil, platform.Explain(err, "%s is not a name that apron's registry can hold", repository).
			Try("use lower case letters, digits, and single . _ - / between them")
	}
	if digested, ok := named.(reference.Digested); ok {
		return reference.WithDigest(moved, digested.Digest())
	}
	if tagged, ok := named.(reference.Tagged); ok {
		return reference.WithTag(moved, tagged.Tag())
	}
	return reference.TagNameOnly(moved), nil
}

// parse reads an image identifier as Docker does. A digest beside a tag wins.
func parse(identifier string) (reference.Named, error) {
	if strings.Contains(identifier, "://") {
		// It may carry a password, so it is not repeated.
		return nil, platform.Explain(nil, "an image is named without a scheme").
			Try("write HOST/NAME:TAG instead of a URL")
	}
	named, err := reference.ParseNormalizedNamed(identifier)
	if err != nil {
		return nil, platform.Explain(err, "%.200q is not the name of an image", identifier).Try("write HOST/NAME@sha256:DIGEST, with 64 hex digits").
			Try("write HOST/NAME:TAG or HOST/NAME@sha256:DIGEST, in lower case")
	}
	if digested, ok := named.(reference.Digested); ok {
		canonical, err := reference.WithDigest(reference.TrimNamed(named), digested.Digest())
		if err != nil {
			return nil, platform.Explain(err, "%.200q is not the name of an image", identifier).Try("write HOST/NAME@sha256:DIGEST, with 64 hex digits")
		}
		return canonical, nil
	}
	return reference.TagNameOnly(named), nil
}
