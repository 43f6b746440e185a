package e2e

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
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/apron-run/apron/test/load"
	"github.com/apron-run/apron/test/sample"
)

// isBlob says whether a request is for a layer or an image's configuration.
func isBlob(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
}

// A registry that fails: the deployment ends soon and says why, the service goes on, and when the registry works again a
// deployment does too.
func TestARegistryThatFails(t *testing.T) {
	for fault, c := range map[string]struct {
		// fail answers the request in the place of the registry, or returns false.
		fail func(w http.ResponseWriter, r *http.Request, well http.Handler) bool
		want string
	}{
		"too many requests": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}, "allows no more requests now"},
		"does not work": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if isBlob(r) {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return isBlob(r)
		}, "does not work now (status 503)"},
		"other content": {func(w http.ResponseWriter, r *http.Request, well http.Handler) bool {
			if isBlob(r) {
				answer := httptest.NewRecorder()
				well.ServeHTTP(answer, r)
				content := answer.Body.Bytes()
				content[len(content)/2] ^= 1
				w.Write(content)
			}
			return isBlob(r)
		}, "digest"},
		"resets": {func(w http.ResponseWriter, r *http.Request, well http.Handler) bool {
			if isBlob(r) {
				w.Header().Set("Content-Length", "1000000")
				w.WriteHeader(http.StatusOK)
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			return false
		}, "stopped answering in the middle"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			a := shared(t)
			var isFailing atomic.Bool
			host := serveImage(t, sample.Image(t, sample.Variant{Version: "two " + fault, PaddingMiB: 1}), func(well http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !isFailing.Load() || !c.fail(w, r, well) {
						well.ServeHTTP(w, r)
					}
				})
			})
			tag := "registry-" + strings.ReplaceAll(fault, " ", "-")
			push(t, a, tag+":live", sample.Variant{Version: "one"})
			service := a.MustCreate(t, fromImage(tag, tag+":live", nil))
			requests := load.Start(t, a.Client, service.URL, "one", faultRate)
			isFailing.Store(true)
			update := service.Update(t, imageSource(host+"/app:live", nil))
			wantFailure(t, service.WantOperation(t, update, "ROLLBACK_SUCCEEDED"), c.want)
			isFailing.Store(false)
			requests.Expect("two " + fault)
			update = service.Update(t, imageSource(host+"/app:live", nil))
			service.WantOperation(t, update, "SUCCEEDED")
			requests.Settled()
			wantNoFaults(t, requests)
		})
	}
}

// serveImage runs a registry with one image, app:live, until the test ends. change, when not nil, is what stands before it.
func serveImage(t *testing.T, image v1.Image, change func(http.Handler) http.Handler) (host string) {
	t.Helper()
	handler := memory.New(memory.Logger(log.New(io.Discard, "", 0)))
	if change != nil {
		handler = change(handler)
	}
	server := httptest.NewServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	host = strings.TrimPrefix(server.URL, "http://")
	reference, err := name.ParseReference(host + "/app:live")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference, image); err != nil {
		t.Fatal(err)
	}
	return host
}
