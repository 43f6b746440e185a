package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/apron-run/apron/"

// arrows are the imports that each part of the program may have of other parts, besides platform and what lies below
// its own folder. They point down: docs/architecture.md has the picture.
var arrows = map[string][]string{
	"apprunner":          {},
	"cmd/apron":          {"internal/app", "internal/build", "internal/doctor", "internal/progress", "internal/telemetry"},
	"cmd/apron-log":      {},
	"examples":           {},
	"internal":           {}, // this test
	"internal/api":       {"apprunner", "internal/secret", "internal/source", "internal/store", "internal/telemetry"},
	"internal/app":       {"*"},
	"internal/autoscale": {},
	"internal/build":     {"internal/daemon", "internal/progress"},
	"internal/certs":     {"internal/store"},
	"internal/compute":   {"internal/daemon", "internal/freezer", "internal/thread"},
	"internal/daemon":    {},
	"internal/dataplane": {"internal/proxy"},
	"internal/deploy":    {"internal/autoscale", "internal/compute", "internal/failpoint", "internal/freezer", "internal/store"},
	"internal/doctor":    {"internal/thread"},
	"internal/failpoint": {},
	"internal/freezer":   {},
	"internal/operation": {"internal/deploy", "internal/failpoint", "internal/store"},
	"internal/platform":  {},
	"internal/progress":  {},
	"internal/proxy":     {},
	"internal/pushed":    {"internal/progress", "internal/store", "internal/telemetry"},
	"internal/secret":    {"internal/store"},
	"internal/source":    {},
	"internal/store":     {},
	// Each database stands alone; what they share is below them.
	"internal/store/postgres": {"internal/store", "internal/store/sqlstore"},
	"internal/store/sqlite":   {"internal/store", "internal/store/sqlstore"},
	"internal/store/sqlstore": {"internal/store"},
	"internal/telemetry":      {},
	"internal/thread":         {},
}

// testOnly must not be linked into a program.
var testOnly = []string{"testing", "net/http/httptest", "github.com/google/go-cmp/cmp"}

type goPackage struct {
	ImportPath, Name string
	Imports, Deps    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	command := exec.Command("go", "list", "-json=ImportPath,Name,Imports,Deps", "./...")
	command.Dir = ".."
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	decoder := json.NewDecoder(output)
	for {
		var one goPackage
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	return all
}

// partOf returns the part of the program that a package belongs to, or "" for the tests' own and for other modules.
func partOf(name string) string {
	inside, ours := strings.CutPrefix(name, module)
	if !ours || strings.HasPrefix(inside, "test/") {
		return ""
	}
	for part := inside; part != "."; part = path.Dir(part) {
		if _, known := arrows[part]; known {
			return part
		}
	}
	return inside
}

func isForTests(name string) bool {
	return strings.HasSuffix(name, "test") || strings.Contains(name, "test/")
}

func TestImportsPointDown(t *testing.T) {
	for _, from := range packages(t) {
		part := partOf(from.ImportPath)
		if part == "" || isForTests(from.ImportPath) {
			continue
		}
		allowed, known := arrows[part]
		if !known {
			t.Errorf("%s is no part that the list of arrows knows", part)
			continue
		}
		for _, to := range from.Imports {
			target := partOf(to)
			if target == "" || target == part || target == "internal/platform" && part != "apprunner" || slices.Contains(allowed, "*") {
				continue
			}
			if !slices.Contains(allowed, target) {
				t.Errorf("%s imports %s", from.ImportPath, to)
			}
		}
	}
}

// The domain needs the standard library only, and the public package besides that what signs a client's requests.
func TestWhatIsAtTheBottomNeedsLittle(t *testing.T) {
	allowed := map[string][]string{
		"internal/platform": nil,
		"apprunner":         {"github.com/aws/aws-sdk-go-v2/", "github.com/aws/smithy-go"},
	}
	for _, each := range packages(t) {
		libraries, isBottom := allowed[partOf(each.ImportPath)]
		if !isBottom {
			continue
		}
		for _, to := range each.Deps {
			isAllowed := strings.HasPrefix(to, module) || slices.ContainsFunc(libraries, func(library string) bool { return strings.HasPrefix(to, library) })
			if domain, _, _ := strings.Cut(to, "/"); strings.Contains(domain, ".") && !isAllowed {
				t.Errorf("%s needs %s", each.ImportPath, to)
			}
		}
	}
}

func TestNoProgramHoldsWhatIsForTests(t *testing.T) {
	for _, each := range packages(t) {
		if each.Name != "main" || !strings.HasPrefix(each.ImportPath, module+"cmd/") {
			continue
		}
		for _, to := range each.Deps {
			if slices.Contains(testOnly, to) || strings.HasPrefix(to, module) && isForTests(to) {
				t.Errorf("%s links %s", each.ImportPath, to)
			}
		}
	}
}
