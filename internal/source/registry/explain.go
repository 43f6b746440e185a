package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
)

// explain turns an error of a registry into a sentence. Errors that are explained, cancellations and nil come back as
// they are.
func (s *session) explain(ctx context.Context, ref string, err error) error {
	if err == nil || platform.AsExplained(err) != nil {
		return err
	}
	named, parseErr := reference.ParseNormalizedNamed(ref)
	if parseErr != nil {
		return err
	}
	err = redactedError{err}
	host := reference.Domain(named)
	var explained *platform.ExplainedError
	switch {
	case errors.Is(err, errTookTooLong), errors.Is(context.Cause(ctx), errTookTooLong), errors.Is(err, context.DeadlineExceeded):
		explained = platform.Explain(err, "the registry %s did not answer in time about %s", host, ref).
			Try("check that it is up, and deploy again")
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, errSilent), isBroken(err):
		explained = platform.Explain(err, "the registry %s stopped answering in the middle of %s", host, ref).
			Try("check that it is up, and deploy again")
	default:
		explained = s.explainAnswer(ctx, named, err)
	}
	if explained == nil {
		explained = s.explainConnection(host, err)
	}
	if explained == nil {
		explained = platform.Explain(err, "the registry %s could not be asked for %s", host, ref).
			Try("check the image's name and that this machine can pull it, and deploy again")
	}
	return explained.WithEvidence(err.Error())
}

// explainAnswer explains what a registry answered, or returns nil.
func (s *session) explainAnswer(ctx context.Context, named reference.Named, err error) *platform.ExplainedError {
	host := reference.Domain(named)
	var busy *busyError
	if errors.As(err, &busy) {
		if busy.status == http.StatusTooManyRequests {
			return platform.Explain(err, "the registry %s allows no more requests now", host).
				Try("wait, or put credentials for it into %s, or a mirror into %s", s.registry.credentialsFile(), s.registry.settingsFile())
		}
		return platform.Explain(err, "the registry %s does not work now (status %d)", host, busy.status).
			Try("check it, and deploy again")
	}
	if errdefs.IsNotFound(err) {
		return s.explainMissing(ctx, named, err)
	}
	var status remoteerrors.ErrUnexpectedStatus
	isRefused := errors.Is(err, docker.ErrInvalidAuthorization) ||
		errors.As(err, &status) && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden)
	switch {
	case isRefused:
		return s.explainRefusal(ctx, named, err)
	case errors.As(err, &status):
		return platform.Explain(err, "the registry %s answered %s for %s", host, status.Status, named).
			Try("look into the registry's own log, and deploy again")
	}
	return nil
}

func (s *session) explainRefusal(ctx context.Context, named reference.Named, err error) *platform.ExplainedError {
	host, file := reference.Domain(named), s.registry.credentialsFile()
	user, password, lookupErr := s.registry.Credentials(ctx, host)
	if explained := platform.AsExplained(lookupErr); explained != nil {
		return explained
	}
	if user == "" && password == "" {
		return platform.Explain(err, "the registry %s gives %s only to those who log in, or has no such repository", host, reference.TrimNamed(named)).
			Try("put credentials for %s into %s (the format is Docker's config.json)", host, file)
	}
	return platform.Explain(err, "the registry %s refused the credentials that %s has for it, or has no repository %s", host, file, reference.Path(named)).
		Try("check both")
}

// explainMissing says whether the repository or only the tag is missing.
func (s *session) explainMissing(ctx context.Context, named reference.Named, err error) *platform.ExplainedError {
	host, repository := reference.Domain(named), reference.Path(named)
	place := "the registry " + host
	if s.registry.config.Endpoint.Is(host, "80") {
		place = "apron's registry"
	}
	const most = 10 * time.Second // it only says more about a failure
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tags, listErr := s.tags(ctx, named)
	if listErr != nil || len(tags) == 0 {
		return platform.Explain(err, "%s has no image %s", place, repository).
			Try("check the name, or push it")
	}
	if digested, ok := named.(reference.Digested); ok {
		return platform.Explain(err, "%s has the repository %s but nothing with the digest %s", place, repository, digested.Digest()).
			Try("check it, or push it again")
	}
	tag := "latest"
	if tagged, ok := named.(reference.Tagged); ok {
		tag = tagged.Tag()
	}
	near := source.Nearest(tag, tags, 10)
	there := strings.Join(near, ", ")
	if more := len(tags) - len(near); more > 0 {
		there += fmt.Sprintf(" and %d more", more)
	}
	return platform.Explain(err, "%s has no tag %s of %s: it has %s", place, tag, repository, there).
		Try("choose one of these, or push the tag")
}

// explainAbsence puts before why an image cannot be had from another registry that apron's own, which was asked first, does
// not have the repository absent. Its name may have been meant for an image that was to be pushed there.
func (r *Registry) explainAbsence(named reference.Named, absent string, err error) error {
	elsewhere := platform.AsExplained(err)
	if absent == "" || elsewhere == nil {
		return err
	}
	tag := "latest"
	if tagged, ok := named.(reference.Tagged); ok {
		tag = tagged.Tag()
	}
	return platform.Explain(err, "apron's registry has no repository %s, and %s", absent, elsewhere.Cause).
		Try("push it with `docker push %s/%s:%s`, if that is meant, or %s",
			r.config.Endpoint.Address(), absent, tag, elsewhere.Remedy).
		WithEvidence(elsewhere.Evidence...)
}

// explainConnection explains why no answer came about, or returns nil.
func (s *session) explainConnection(host string, err error) *platform.ExplainedError {
	var (
		lookup      *net.DNSError
		unknown     x509.UnknownAuthorityError
		wrongName   x509.HostnameError
		invalid     x509.CertificateInvalidError
		unverified  *tls.CertificateVerificationError
		recordError tls.RecordHeaderError
		alert       tls.AlertError
		operation   *net.OpError
	)
	settings := s.registry.settingsFile()
	switch {
	case errors.As(err, &lookup):
		return platform.Explain(err, "the registry %s does not exist or cannot be looked up from this machine", host).
			Try("check the image's name and this machine's DNS")
	case errors.As(err, &unknown), errors.As(err, &wrongName), errors.As(err, &invalid), errors.As(err, &unverified):
		return platform.Explain(err, "the certificate of the registry %s is not trusted", host).
			Try("name its certificate authority as `ca` in %s", settings)
	case errors.As(err, &recordError), errors.As(err, &alert), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return platform.Explain(err, "the registry %s does not speak TLS as expected", host).
			Try("if it is meant to be without, set `http: true` for it in %s", settings)
	case errors.Is(err, errUnreachable), errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &operation) && operation.Op == "dial":
		return platform.Explain(err, "the registry %s cannot be reached from this machine", host).
			Try("check that it is up, the network and proxies")
	}
	return nil
}

// Queries of URLs carry signatures of stores behind registries, user parts carry passwords.
var (
	queryPattern = regexp.MustCompile(`(https?://[^\s"?]+)\?[^\s"]*`)
	userPattern  = regexp.MustCompile(`://[^/@\s"]+@`)
)

// redactedError is an error that prints without what could be a secret.
type redactedError struct{ err error }

func (e redactedError) Error() string { return redact(e.err.Error()) }
func (e redactedError) Unwrap() error { return e.err }

func redact(line string) string {
	const longest = 1000
	line = queryPattern.ReplaceAllString(line, "$1?…")
	line = userPattern.ReplaceAllString(line, "://***@")
	return strings.ToValidUTF8(line[:min(len(line), longest)], "")
}
