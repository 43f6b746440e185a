package registry_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/apron-run/apron/internal/source/registry"
)

// pull fetches everything of the image as containerd does, and returns how many layers it has.
func pull(ctx context.Context, r *registry.Registry, ref string) (layers int, err error) {
	resolver := r.Resolver()
	name, descriptor, err := resolver.Resolve(ctx, ref)
	if err != nil {
		return 0, err
	}
	fetcher, err := resolver.Fetcher(ctx, name)
	if err != nil {
		return 0, err
	}
	raw, err := read(ctx, fetcher, descriptor)
	if err != nil {
		return 0, err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return 0, err
	}
	for _, layer := range append(manifest.Layers, manifest.Config) {
		if _, err := read(ctx, fetcher, layer); err != nil {
			return 0, err
		}
	}
	return len(manifest.Layers), nil
}

func read(ctx context.Context, fetcher remotes.Fetcher, descriptor ocispec.Descriptor) ([]byte, error) {
	content, err := fetcher.Fetch(ctx, descriptor)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	raw, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	if got := descriptor.Digest.Algorithm().FromBytes(raw); got != descriptor.Digest {
		return nil, &digestError{string(descriptor.Digest), string(got)}
	}
	return raw, nil
}

type digestError struct{ want, got string }

func (e *digestError) Error() string { return "content of " + e.want + " has the digest " + e.got }

func TestWhatWasResolvedIsPulled(t *testing.T) {
	r, host := newEmbedded(t)
	push(t, host+"/hello:latest", imageFor(t, "linux", "amd64"), remote.WithAuth(&authn.Basic{Username: keys.ID, Password: keys.Secret}))
	ref, err := r.ResolveImage(deadline(t), "hello")
	if err != nil {
		t.Fatal(err)
	}
	if layers, err := pull(deadline(t), r, ref); err != nil || layers != 2 {
		t.Errorf("pulled %d layers: %v", layers, err)
	}
}

// interrupt cuts the first answers to requests for layers off in their middle, or goes silent there.
func interrupt(next http.Handler, times int32, isSilent bool) (handler http.Handler, ranges *atomic.Int32) {
	var cuts atomic.Int32
	ranges = &atomic.Int32{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isLayer := r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
		if !isLayer {
			next.ServeHTTP(w, r)
			return
		}
		var from int
		if value, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
			from, _ = strconv.Atoi(strings.TrimSuffix(value, "-"))
			if from > 0 {
				ranges.Add(1)
			}
		}
		r.Header.Del("Range")
		whole := httptest.NewRecorder()
		next.ServeHTTP(whole, r)
		content := whole.Body.Bytes()[from:]
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		if from > 0 {
			w.Header().Set("Content-Range", "bytes "+strconv.Itoa(from)+"-"+strconv.Itoa(whole.Body.Len()-1)+"/"+strconv.Itoa(whole.Body.Len()))
			w.WriteHeader(http.StatusPartialContent)
		}
		if cuts.Add(1) > times {
			w.Write(content)
			return
		}
		w.Write(content[:len(content)/2])
		http.NewResponseController(w).Flush()
		if isSilent {
			<-r.Context().Done()
			return
		}
		panic(http.ErrAbortHandler)
	}), ranges
}

func TestALayerThatBreaksOffGoesOnWhereItEnded(t *testing.T) {
	for how, isSilent := range map[string]bool{"cut": false, "silent": true} {
		t.Run(how, func(t *testing.T) {
			images := newMemory()
			digest := push(t, serve(t, images)+"/app:latest", imageFor(t, "linux", "amd64"))
			handler, ranges := interrupt(images, 2, isSilent)
			host := serve(t, handler)
			r, _ := newRegistry(t, registry.Limits{Silence: 300 * time.Millisecond, Retries: quick.Retries})
			if _, err := pull(deadline(t), r, host+"/app@"+digest); err != nil {
				t.Fatalf("%v %q", err, evidence(err))
			}
			if ranges.Load() == 0 {
				t.Error("it began from the start again")
			}
		})
	}
}

func TestALayerThatNeverEndsIsGivenUpAndExplained(t *testing.T) {
	images := newMemory()
	digest := push(t, serve(t, images)+"/app:latest", imageFor(t, "linux", "amd64"))
	stuck := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			w.Header().Set("Content-Length", "100000")
			w.WriteHeader(http.StatusOK)
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		images.ServeHTTP(w, r)
	}))
	r, _ := newRegistry(t, registry.Limits{Silence: 100 * time.Millisecond, Retries: quick.Retries})
	_, err := pull(deadline(t), r, stuck+"/app@"+digest)
	wantCause(t, err, "stopped answering in the middle")
}

func TestAPullWithBrokenSettingsIsExplained(t *testing.T) {
	r, data := newRegistry(t, quick)
	writeFile(t, data, "registries.yaml", "registries: [")
	_, err := pull(deadline(t), r, "127.0.0.1/app@sha256:"+strings.Repeat("0", 64))
	wantCause(t, err, "registries.yaml cannot be read")
}

func TestAPullOfWhatIsMissingIsExplained(t *testing.T) {
	r, host := newEmbedded(t)
	_, err := pull(deadline(t), r, host+"/missing@sha256:"+strings.Repeat("0", 64))
	wantCause(t, err, "apron's registry has no image missing")
}
