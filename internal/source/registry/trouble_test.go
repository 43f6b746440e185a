package registry_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source/registry"
)

func TestATroubleThatPassesIsTriedAgain(t *testing.T) {
	images := newMemory()
	digest := push(t, serve(t, images)+"/app:latest", imageFor(t, "linux", "amd64"))
	troubles := map[string]http.HandlerFunc{
		"too many requests": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"unavailable":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"reset": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		},
	}
	for trouble, handler := range troubles {
		t.Run(trouble, func(t *testing.T) {
			var requests atomic.Int32
			host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1)%3 != 0 {
					handler(w, r)
					return
				}
				images.ServeHTTP(w, r)
			}))
			r, _ := newRegistry(t, quick)
			wantResolved(t, r, host+"/app", host+"/app@"+digest)
		})
	}
}

func TestARegistryThatStaysBusyIsExplained(t *testing.T) {
	var status, requests atomic.Int32
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(int(status.Load()))
	}))
	r, _ := newRegistry(t, quick)
	status.Store(http.StatusTooManyRequests)
	_, err := r.ResolveImage(deadline(t), host+"/app")
	wantCause(t, err, "allows no more requests now", "registries.json")
	status.Store(http.StatusServiceUnavailable)
	_, err = r.ResolveImage(deadline(t), host+"/app")
	wantCause(t, err, "does not work now (status 503)")
	if got := requests.Load(); got > 12 {
		t.Errorf("%d requests for two resolutions", got)
	}
}

func TestARegistryIsAskedAgainWhenItSays(t *testing.T) {
	images := newMemory()
	digest := push(t, serve(t, images)+"/app:latest", imageFor(t, "linux", "amd64"))
	for name, c := range map[string]struct {
		retryAfter func() string
		least      time.Duration
	}{
		"in seconds": {func() string { return "1" }, time.Second},
		"by a date":  {func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) }, 900 * time.Millisecond},
		"never":      {func() string { return "" }, 0},
		"badly":      {func() string { return "soon" }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var began atomic.Pointer[time.Time]
			host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				now := time.Now()
				if began.CompareAndSwap(nil, &now) {
					w.Header().Set("Retry-After", c.retryAfter())
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				if waited := time.Since(*began.Load()); waited < c.least {
					t.Errorf("it was asked again after %s", waited)
				}
				images.ServeHTTP(w, r)
			}))
			r, _ := newRegistry(t, quick)
			wantResolved(t, r, host+"/app", host+"/app@"+digest)
		})
	}
}

func TestARegistryThatAsksForMoreTimeThanThereIsIsExplained(t *testing.T) {
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	r, _ := newRegistry(t, registry.Limits{Resolve: 5 * time.Second})
	_, err := r.ResolveImage(deadline(t), host+"/app")
	wantCause(t, err, "allows no more requests now")
}

func TestASilentRegistryIsGivenUp(t *testing.T) {
	images := newMemory()
	push(t, serve(t, images)+"/app:latest", imageFor(t, "linux", "amd64"))
	done := make(chan struct{})
	for at, isSilent := range map[string]func(*http.Request) bool{
		"at once":         func(*http.Request) bool { return true },
		"at the manifest": func(r *http.Request) bool { return r.Method == http.MethodGet },
	} {
		t.Run(at, func(t *testing.T) {
			host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if isSilent(r) {
					w.Header().Set("Content-Length", "1000")
					if r.Method == http.MethodGet {
						io.WriteString(w, `{"schemaVersion":`)
						http.NewResponseController(w).Flush()
					}
					select {
					case <-r.Context().Done():
					case <-done:
					}
					return
				}
				images.ServeHTTP(w, r)
			}))
			r, _ := newRegistry(t, registry.Limits{Silence: 200 * time.Millisecond, Retries: quick.Retries})
			_, err := r.ResolveImage(deadline(t), host+"/app")
			wantCause(t, err, "stopped answering")
		})
	}
	close(done)
}

func TestResolutionHasADeadlineOfItsOwnAndEndsWithItsContext(t *testing.T) {
	host := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	r, _ := newRegistry(t, registry.Limits{Resolve: 200 * time.Millisecond})
	_, err := r.ResolveImage(deadline(t), host+"/app")
	wantCause(t, err, "did not answer in time")

	r, _ = newRegistry(t, quick)
	ctx, cancel := context.WithCancel(deadline(t))
	cancel()
	if _, err := r.ResolveImage(ctx, host+"/app"); err == nil || platform.AsExplained(err) != nil {
		t.Errorf("a cancelled resolution: %v", err)
	}
}

func TestAManifestThatDoesNotHaveItsDigestIsRefused(t *testing.T) {
	images := newMemory()
	digest := push(t, serve(t, images)+"/app:latest", imageFor(t, "linux", "amd64"))
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/") {
			answer := httptest.NewRecorder()
			images.ServeHTTP(answer, r)
			w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
			io.WriteString(w, strings.Replace(answer.Body.String(), "2", "3", 1))
			return
		}
		images.ServeHTTP(w, r)
	}))
	r, _ := newRegistry(t, quick)
	_, err := r.ResolveImage(deadline(t), host+"/app@"+digest)
	wantCause(t, err, "sent other content than the digest")
}

func TestRegistriesThatAreNotThereAreExplained(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	listener.Close()
	r, _ := newRegistry(t, quick)
	_, err = r.ResolveImage(deadline(t), host+"/app")
	wantCause(t, err, "the registry "+host+" cannot be reached")
	_, err = r.ResolveImage(deadline(t), "no-such-host.invalid/app")
	wantCause(t, err, "the registry no-such-host.invalid does not exist or cannot be looked up")
}

func TestSecretsInAddressesBehindARegistryAreNotShown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := listener.Addr().String()
	listener.Close()
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://ada:pa55word@"+gone+"/object?X-Amz-Signature=s1gnature", http.StatusTemporaryRedirect)
	}))
	r, _ := newRegistry(t, quick)
	_, err = r.ResolveImage(deadline(t), host+"/app")
	wantCause(t, err, "cannot be reached")
	explained := platform.AsExplained(err)
	for _, text := range append(explained.Evidence, explained.Cause, explained.Err.Error()) {
		if strings.Contains(text, "s1gnature") || strings.Contains(text, "pa55word") {
			t.Errorf("shown: %s", text)
		}
	}
}
