package catalogue_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/build/catalogue"
)

// load reads an operator's file with the text.
func load(t *testing.T, text string) (*catalogue.Catalogue, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return catalogue.Load(path)
}

func TestAnOperatorsFileReplacesAddsAndRemovesByName(t *testing.T) {
	embedded, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	merged, err := load(t, `
layers:
  mine:
    debian: {suite: trixie, packages: [ca-certificates]}
runtimes:
  nodejs22: null
  go1:
    api: GO_1
    version: "1.27.4"
    build-image: registry.example.org/go:1.27
    run-image: registry.example.org/base@sha256:7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc
  own1:
    api: OWN_1
    build-layers: [bookworm-build, mine]
    run-layers: [mine]
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(merged.Names()) != len(embedded.Names()) {
		t.Errorf("there are %v, want one more and one less than %v", merged.Names(), embedded.Names())
	}
	if _, found := merged.ByName("nodejs22"); found {
		t.Error("what is null is still there")
	}
	replaced, _ := merged.ByName("go1")
	if !replaced.IsImage() || len(replaced.BuildLayers) > 0 || replaced.Name != "go1" {
		t.Errorf("the entry was not replaced as a whole: %+v", replaced)
	}
	if added, found := merged.ByAPI("OWN_1"); !found || added.IsImage() {
		t.Errorf("what was added is %+v, %v", added, found)
	}
	if _, found := embedded.ByName("nodejs22"); !found {
		t.Error("the embedded catalogue has changed")
	}
}

func TestAnEmptyFileChangesNothing(t *testing.T) {
	embedded, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "# nothing yet\n", "runtimes:\n"} {
		merged, err := load(t, text)
		if err != nil || len(merged.Names()) != len(embedded.Names()) {
			t.Errorf("%q: %v, %v", text, merged, err)
		}
	}
}

func TestAMistakeIsToldWithFileLineFieldAndRule(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"a field that does not exist": {
			"runtimes:\n  own1:\n    api: OWN_1\n    imgae: x\n", []string{"mine.yaml", "line 4", "imgae"},
		},
		"a value of another type": {
			"runtimes:\n  own1:\n    api: [OWN_1]\n", []string{"mine.yaml", "line 3"},
		},
		"no YAML at all": {"runtimes: [\n", []string{"mine.yaml", "L2"}},
		"an image without a tag": {
			"runtimes:\n  own1:\n    api: OWN_1\n    build-image: docker.io/library/php\n    run-image: docker.io/library/php:8\n",
			[]string{"mine.yaml:4: runtimes.own1.build-image:", `"docker.io/library/php"`, "HOST/NAME:TAG"},
		},
		"an image without its registry": {
			"runtimes:\n  own1:\n    api: OWN_1\n    build-image: php:8.1\n    run-image: php:8.1\n",
			[]string{"mine.yaml:4: runtimes.own1.build-image:", "HOST/NAME:TAG"},
		},
		"one image of two": {
			"runtimes:\n  own1:\n    api: OWN_1\n    build-image: docker.io/library/php:8\n",
			[]string{"mine.yaml:2: runtimes.own1.run-image:", "is needed"},
		},
		"layers and images": {
			"runtimes:\n  own1:\n    api: OWN_1\n    run-image: docker.io/library/php:8\n    build-layers: [go1]\n",
			[]string{"mine.yaml:2: runtimes.own1:", "either layers or images"},
		},
		"neither": {"runtimes:\n  own1:\n    api: OWN_1\n", []string{"mine.yaml:2: runtimes.own1:", "build-layers and run-layers"}},
		"a layer that is not there": {
			"runtimes:\n  own1:\n    api: OWN_1\n    build-layers: [go1]\n    run-layers: [none]\n",
			[]string{"mine.yaml:5: runtimes.own1.run-layers:", `there is no layer "none"`},
		},
		"a layer that others need is removed": {
			"layers:\n  bookworm-run: null\n", []string{"mine.yaml:1: runtimes.", `there is no layer "bookworm-run"`},
		},
		"an option as a package": {
			"layers:\n  own:\n    debian: {suite: sid, packages: [--hook-dir=x]}\n",
			[]string{"mine.yaml:3: layers.own.debian:", `"--hook-dir=x"`},
		},
		"two runtimes of one name in the API": {
			"runtimes:\n  zzz:\n    api: GO_1\n    build-layers: [go1]\n    run-layers: [go1]\n",
			[]string{"mine.yaml:3: runtimes.zzz.api:", "go1 already"},
		},
		"a name that Dockerfiles cannot use": {
			"runtimes:\n  Own-1:\n    api: OWN_1\n", []string{"mine.yaml:2: runtimes.Own-1:", "lower case"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, test.text)
			if err == nil {
				t.Fatal("it was taken")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not tell %q: %v", want, err)
				}
			}
		})
	}
}
