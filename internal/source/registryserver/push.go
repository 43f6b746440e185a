package registryserver

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"strings"

	"github.com/distribution/reference"
)

// Push is a tag that means another image than before.
type Push struct {
	Repository string
	Tag        string
	Digest     string
}

// manifestPattern takes the path of a manifest apart: repository and tag or digest.
var manifestPattern = regexp.MustCompile(`^/v2/(.+)/manifests/([^/]+)$`)

// digestOf is what the tag that a request is about means; "" when it means nothing yet, or the request is about none.
func (s *Server) digestOf(r *http.Request) string {
	match := manifestPattern.FindStringSubmatch(r.URL.Path)
	if r.Method != http.MethodPut || match == nil {
		return ""
	}
	named, err := reference.WithName(match[1])
	if err != nil {
		return ""
	}
	if _, err := reference.WithTag(named, match[2]); err != nil {
		return ""
	}
	link, _ := os.ReadFile(s.tagLink(match[1], match[2])) // what cannot be read means nothing
	return string(link)
}

// announce reports a tag that was pushed and means another image than before.
func (s *Server) announce(r *http.Request, digest, before string) {
	match := manifestPattern.FindStringSubmatch(r.URL.Path)
	if match == nil || strings.Contains(match[2], ":") {
		return // a layer, or a manifest by digest: a part of an index
	}
	push := Push{Repository: match[1], Tag: match[2], Digest: digest}
	s.config.Log.Info("image pushed", "repository", push.Repository, "tag", push.Tag, "digest", push.Digest)
	if s.config.OnPush != nil && digest != before {
		s.config.OnPush(context.WithoutCancel(r.Context()), push)
	}
}
