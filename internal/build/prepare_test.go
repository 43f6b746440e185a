package build_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/platform"
)

// npmCatalogue has one runtime, of a package that no registry has.
const npmCatalogue = `
layers:
  own:
    npm: [{name: own, version: 1.0.0, integrity: sha512-none, copy: {.: usr/lib/own}}]
runtimes:
  own1: {api: OWN_1, build-layers: [own], run-layers: [own]}
`

// newSlowBuilder is a Builder that waits for its npm registry, which tells when it is asked.
func newSlowBuilder(t *testing.T) (builder *build.Builder, asked <-chan struct{}) {
	t.Helper()
	asks := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asks <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	t.Setenv("NPM_CONFIG_REGISTRY", server.URL)
	data := t.TempDir()
	write(t, data, "mine.yaml", npmCatalogue)
	builder, err := build.New(build.Config{Data: data, Cache: filepath.Join(data, "cache"), Catalogue: filepath.Join(data, "mine.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	return builder, asks
}

// awaitPreparation follows one to its end and returns it with all its lines.
func awaitPreparation(t *testing.T, builder *build.Builder, id string) platform.Preparation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for {
		seen, err := builder.Preparation(id, 0)
		if err != nil || seen.IsOver {
			if err != nil || seen.Failure != nil && strings.Contains(seen.Runtime, "tool") {
				t.Fatalf("the preparation ended with %+v, %v\n%s", seen.Failure, err, strings.Join(seen.Lines, "\n"))
			}
			return seen
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the preparation does not end:\n%s", strings.Join(seen.Lines, "\n"))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestAPreparationIsJoinedFollowedAndCancelled(t *testing.T) {
	builder, asked := newSlowBuilder(t)
	begun, err := builder.PrepareRuntime("own1", false)
	if err != nil || begun.IsJoined || begun.IsOver {
		t.Fatalf("it began as %+v, %v", begun, err)
	}
	<-asked
	if runtime, err := builder.RuntimeNamed("own1"); err != nil || runtime.State != platform.RuntimeBeingMade {
		t.Errorf("meanwhile the runtime is %+v, %v", runtime, err)
	}
	joined, err := builder.PrepareRuntime("own1", false)
	if err != nil || !joined.IsJoined || joined.ID != begun.ID {
		t.Errorf("the second is %+v, %v", joined, err)
	}
	if _, err := builder.PrepareRuntime("own1", true); !errors.Is(err, platform.ErrBeingPrepared) {
		t.Errorf("a refresh meanwhile: %v", err)
	}
	seen, err := builder.Preparation(begun.ID, 0)
	if err != nil || len(seen.Lines) != 2 || !strings.Contains(seen.Lines[0], "making own") || seen.Next != 2 {
		t.Errorf("it tells %q up to %d, %v", seen.Lines, seen.Next, err)
	}
	if later, err := builder.Preparation(begun.ID, seen.Next); err != nil || len(later.Lines) != 0 {
		t.Errorf("after these lines it tells %q, %v", later.Lines, err)
	}
	if err := builder.CancelPreparation(begun.ID); err != nil {
		t.Fatal(err)
	}
	ended := awaitPreparation(t, builder, begun.ID)
	if ended.Failure == nil || !strings.Contains(ended.Failure.Cause, "cancelled") {
		t.Errorf("it ended with %v", ended.Failure)
	}
	if runtime, err := builder.RuntimeNamed("own1"); err != nil || runtime.State != platform.RuntimeNotMade {
		t.Errorf("after the cancellation the runtime is %+v, %v", runtime, err)
	}
}

func TestAPreparationEndsWithApron(t *testing.T) {
	builder, asked := newSlowBuilder(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- builder.RunPreparations(ctx) }()
	begun, err := builder.PrepareRuntime("own1", false)
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if seen, err := builder.Preparation(begun.ID, 0); err != nil || !seen.IsOver || seen.Failure == nil {
		t.Errorf("it is %+v, %v", seen, err)
	}
	if _, err := builder.PrepareRuntime("own1", false); err == nil {
		t.Error("another began after the end")
	}
}

func TestAPreparationOfNothingIsRefused(t *testing.T) {
	builder, _ := newSlowBuilder(t)
	if _, err := builder.PrepareRuntime("none", false); !errors.Is(err, platform.ErrNoRuntime) {
		t.Errorf("an unknown runtime: %v", err)
	}
	if _, err := builder.Preparation("none", 0); !errors.Is(err, platform.ErrNoPreparation) {
		t.Errorf("an unknown preparation: %v", err)
	}
	if err := builder.CancelPreparation("none"); !errors.Is(err, platform.ErrNoPreparation) {
		t.Errorf("the end of an unknown preparation: %v", err)
	}
}
