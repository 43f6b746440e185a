package catalogue_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/build/catalogue"
)

func TestTheEmbeddedCatalogueUsesAllItsLayers(t *testing.T) {
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

func TestARuntimeThatAppRunnerNeverHadHasNoNameInTheAPI(t *testing.T) {
	runtimes, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	if runtime, ok := runtimes.ByName("nodejs24"); !ok || runtime.API != "" {
		t.Errorf("nodejs24 is %+v, %t", runtime, ok)
	}
	if runtime, ok := runtimes.ByAPI(""); ok {
		t.Errorf("the empty name in the API is %s", runtime.Name)
	}
	if names := runtimes.APINames(); slices.Contains(names, "") || !slices.Contains(names, "NODEJS_22") {
		t.Errorf("the names in the API are %q", names)
	}
}

func TestACatalogueThatMeansTwoThingsIsRefused(t *testing.T) {
	const layers = "layers:\n  base: {debian: {suite: trixie, packages: [git]}}\n"
	for _, c := range []struct{ name, text, want string }{
		{"two runtimes of one name in the API",
			layers + "runtimes:\n  a: &a {api: COBOL_60, build-layers: [base], run-layers: [base]}\n  b: *a\n", "runtimes.b.api: COBOL_60 is the API's name of the runtime a already"},
		{"no layers to run on", layers + "runtimes:\n  a: {build-layers: [base]}\n", "runtimes.a: a runtime needs build-layers and run-layers"},
		{"a pattern that a shell would read", "layers:\n  base: {debian: {suite: trixie, packages: [git], excludes: [\"/usr/'; id\"]}}\n",
			"is not an absolute path"},
		{"a pattern that dpkg would read otherwise", "layers:\n  base: {debian: {suite: trixie, packages: [git], excludes: [/usr/*/doc]}}\n",
			"is not an absolute path"},
	} {
		path := filepath.Join(t.TempDir(), "runtimes.yaml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := catalogue.Load(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want %q in it", c.name, err, c.want)
		}
	}
}
