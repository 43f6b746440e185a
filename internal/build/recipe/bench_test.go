package recipe_test

import (
	"os"
	"testing"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/build/recipe"
)

// BenchmarkAColdRecipe measures how long it takes until a runtime is there on a machine that has nothing yet. It fetches
// the packages each time.
func BenchmarkAColdRecipe(b *testing.B) {
	name := os.Getenv("APRON_RUNTIME")
	if name == "" {
		name = "python311"
	}
	runtimes, err := catalogue.Default()
	if err != nil {
		b.Fatal(err)
	}
	runtime, ok := runtimes.ByName(name)
	if !ok {
		b.Fatalf("there is no runtime %q", name)
	}
	for b.Loop() {
		cache, err := recipe.Open(b.TempDir(), func() host.Settings { return host.Discover(b.Context()) })
		if err != nil {
			b.Fatal(err)
		}
		if _, err := cache.Images(b.Context(), runtimes, runtime, b.Output()); err != nil {
			b.Fatal(err)
		}
	}
}
