package catalogue_test

import (
	"slices"
	"testing"

	"github.com/apron-run/apron/internal/build/catalogue"
)

func TestTheEmbeddedCatalogueIsReadAndUsesAllItsLayers(t *testing.T) {
	runtimes, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, name := range runtimes.Names() {
		runtime, _ := runtimes.ByName(name)
		for _, layer := range slices.Concat(runtime.BuildLayers, runtime.RunLayers) {
			used[layer] = true
		}
	}
	for name := range runtimes.Layers {
		if !used[name] {
			t.Errorf("no runtime uses the layer %s", name)
		}
	}
}
