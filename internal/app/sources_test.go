package app

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/registry"
	"github.com/apron-run/apron/internal/source/watch"
)

// pushIndex pushes an index with an image for this platform, and returns the image's digest.
func pushIndex(t *testing.T, tag string) string {
	t.Helper()
	image, err := random.Image(1024, 1)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	platformOf := &v1.Platform{OS: "linux", Architecture: "amd64"}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platformOf}})
	reference, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(reference, index); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// What is compared is the image that would run, also where a tag means an index; and an unchanged tag costs one request.
func TestAnUnchangedTagCostsOneRequest(t *testing.T) {
	var asked atomic.Int64
	images := memory.New(memory.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	tag := strings.TrimPrefix(server.URL, "http://") + "/app:live"
	endpoint := source.NewEndpoint("127.0.0.1:1")
	from := platform.Source{Image: &platform.ImageSource{Identifier: tag}}
	s := sources{
		images:       registry.New(registry.Config{Data: t.TempDir(), Endpoint: endpoint}),
		repositories: git.New(git.Config{Data: t.TempDir(), Endpoint: endpoint}),
	}
	var seen watch.Seen
	find := func(want string) (requests int64) {
		t.Helper()
		asked.Store(0)
		var err error
		if seen, err = s.Find(t.Context(), from, seen); err != nil || seen.Found != want {
			t.Fatalf("found %+v, %v, want %s", seen, err, want)
		}
		return asked.Load()
	}
	first := pushIndex(t, tag)
	find(first)
	if requests := find(first); requests != 1 {
		t.Errorf("an unchanged tag cost %d requests", requests)
	}
	find(pushIndex(t, tag))

	for address, want := range map[string]bool{"http://127.0.0.1:1/git/app.git": false, "https://git.test/app": true, "/srv/app.git": true, "git@git.test:app": true} {
		code := platform.Source{Code: &platform.CodeSource{RepositoryURL: address}}
		if got := s.IsElsewhere(t.Context(), code); got != want {
			t.Errorf("%s is elsewhere: %v", address, got)
		}
	}
}

func TestAWebhooksURLBeginsWithTheOneThatOthersReach(t *testing.T) {
	for public, want := range map[string]string{"": "http://127.0.0.1:8700", "https://deploy.test/apron/": "https://deploy.test/apron"} {
		config := Default()
		config.WebhookURL = public
		if got := config.webhookBase(); got != want {
			t.Errorf("with %q it begins with %q", public, got)
		}
	}
}
