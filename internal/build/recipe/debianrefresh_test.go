package recipe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
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
	dir := t.TempDir()
	cache, err := recipe.Open(dir, func() host.Settings { return host.Discover(ctx) })
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
	var lately bytes.Buffer
	if soon, err := cache.Refresh(ctx, from, runtime, &lately); err != nil || !strings.Contains(lately.String(), "own was made") {
		t.Errorf("a refresh at once gave %+v, %v:\n%s", soon, err, lately.String())
	}
	letTimePass(t, dir)
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

// letTimePass makes the index say that everything was looked at an hour earlier.
func letTimePass(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "layers", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the index has %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var entry map[string]any
		if err := json.Unmarshal(text, &entry); err != nil {
			t.Fatal(err)
		}
		entry["CheckedAt"] = time.Now().Add(-time.Hour).UTC()
		if text, err = json.Marshal(entry); err == nil {
			err = os.WriteFile(file, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
