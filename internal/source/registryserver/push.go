package registryserver

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/distribution/reference"

	"github.com/apron-run/apron/internal/source"
)

// Push is a tag that means another image than before.
type Push struct {
	Repository string
	Tag        string
	Digest     string
}

// manifestPattern takes the path of a manifest apart: repository and tag or digest.
var manifestPattern = regexp.MustCompile(`^/v2/(.+)/manifests/([^/]+)$`)

// pushOf is the tag that a request sets, if it is such a request. A manifest that is put by its digest is a part of an index.
func pushOf(r *http.Request) (push Push, isTag bool) {
	match := manifestPattern.FindStringSubmatch(r.URL.Path)
	if r.Method != http.MethodPut || match == nil {
		return Push{}, false
	}
	named, err := reference.WithName(match[1])
	if err != nil {
		return Push{}, false
	}
	_, err = reference.WithTag(named, match[2])
	return Push{Repository: match[1], Tag: match[2]}, err == nil
}

// digestOf is what a tag means now; "" when it means nothing.
func (s *Server) digestOf(push Push) string {
	link, _ := os.ReadFile(s.tagLink(push.Repository, push.Tag)) // what cannot be read means nothing
	return string(link)
}

// announce reports a tag that was pushed, unless it means what it meant before.
func (s *Server) announce(ctx context.Context, push Push, before string) {
	push.Digest = s.digestOf(push)
	s.config.Log.Info("image pushed", "repository", push.Repository, "tag", push.Tag, "digest", push.Digest)
	if s.config.OnPush != nil && push.Digest != before {
		s.config.OnPush(ctx, push)
	}
}

// Recover announces the tags that a crash kept from being announced. Call it before the first request.
func (s *Server) Recover(ctx context.Context) error {
	return s.unannounced().Each(func(subject string, raw json.RawMessage) {
		var before string
		_ = json.Unmarshal(raw, &before) // without it the tag is new
		var push Push
		push.Repository, push.Tag, _ = strings.Cut(subject, ":")
		if s.digestOf(push) != "" {
			s.announce(ctx, push, before)
		}
	})
}

// unannounced are the tags that are being pushed.
func (s *Server) unannounced() source.Unfinished {
	return source.Unfinished{Dir: filepath.Join(s.config.Dir, "pushes")}
}

func (s *Server) forget(push Push, end func() error) {
	if err := end(); err != nil {
		s.config.Log.Error("the next start announces a push again", "repository", push.Repository, "tag", push.Tag, "error", err)
	}
}
