package recipe_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/build/recipe"
)

func TestTheSamePackagesGiveTheSameDigest(t *testing.T) {
	if os.Getenv("APRON_EXAMPLES") != "all" {
		t.Skip("it installs a Debian twice; APRON_EXAMPLES=all lets it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cache, err := recipe.Open(t.TempDir(), func() host.Settings { return host.Discover(ctx) })
	if err != nil {
		t.Fatal(err)
	}
	runtime := catalogue.Runtime{Name: "own1", BuildLayers: []string{"own"}, RunLayers: []string{"own"}}
	from := &catalogue.Catalogue{
		Layers: map[string]catalogue.Layer{
			"own": {Debian: &catalogue.Debian{Suite: "bookworm", Packages: []string{"ca-certificates", "python3-minimal"}}},
		},
		Runtimes: map[string]catalogue.Runtime{"own1": runtime},
	}
	first, err := cache.Images(ctx, from, runtime, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	before, _ := cache.Status(from, runtime)
	var told bytes.Buffer
	again, err := cache.Refresh(ctx, from, runtime, &told)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Release()
	after, _ := cache.Status(from, runtime)
	if again.Version != first.Version || again.Run != first.Run || !strings.Contains(told.String(), "made own: unchanged") {
		t.Errorf("the refresh gave %+v after %+v:\n%s", again, first, told.String())
	}
	if !after.MadeAt.Equal(before.MadeAt) || !after.CheckedAt.After(before.CheckedAt) {
		t.Errorf("made at %v and checked at %v became %v and %v", before.MadeAt, before.CheckedAt, after.MadeAt, after.CheckedAt)
	}
}
