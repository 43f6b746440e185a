package catalogue_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/build/catalogue"
)

var update = flag.Bool("update", false, "write the table of docs/runtimes.md anew")

const (
	page  = "../../../docs/runtimes.md"
	begin = "<!-- the table is written by go test ./internal/build/catalogue -update -->\n"
	end   = "\n<!-- here it ends -->\n"
)

func TestTheDocsListTheRuntimesOfTheCatalogue(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, hasBegin := strings.Cut(string(text), begin)
	_, after, hasEnd := strings.Cut(rest, end)
	if !hasBegin || !hasEnd {
		t.Fatalf("%s has no place for the table", page)
	}
	wanted := before + begin + table(t) + end + after
	if wanted == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the catalogue says: run this test with -update", page)
	}
	if err := os.WriteFile(page, []byte(wanted), 0o644); err != nil {
		t.Fatal(err)
	}
}

func table(t *testing.T) string {
	runtimes, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("| runtime | in the API | version | build | tools |\n|---|---|---|---|---|\n")
	for _, name := range runtimes.Names() {
		runtime, _ := runtimes.ByName(name)
		kind := "revised"
		if runtime.IsOriginal {
			kind = "original"
		}
		fmt.Fprintf(&text, "| `%s` | %s | %s | %s | %s |\n",
			name, cmp.Or(runtime.API, "–"), runtime.Version, kind, strings.Join(runtime.Tools, ", "))
	}
	return text.String()
}
