package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each fault that docs/operations.md tells of has tests, which a comment below the table names.
func TestEachFaultOfTheTableHasTests(t *testing.T) {
	content, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(content), "\n## Faults\n")
	section, _, _ = strings.Cut(section, "\n## ")
	table, comment, _ := strings.Cut(section, "\n<!--")
	var faults, tests []string
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, " | "); len(cells) > 2 {
			faults = append(faults, cells[0])
		}
	}
	for line := range strings.Lines(comment) {
		if _, _, isRow := strings.Cut(line, ": Test"); isRow {
			tests = append(tests, line)
		}
	}
	if len(faults) < 2 || len(faults)-1 != len(tests) {
		t.Fatalf("%d faults have %d lines of tests", len(faults)-1, len(tests))
	}
	there := testNames(t)
	for i, fault := range faults[1:] {
		words, names, _ := strings.Cut(tests[i], ": ")
		if !strings.Contains(fault, words) {
			t.Errorf("the tests of %q stand where those of %q should", words, fault)
		}
		for _, name := range strings.Fields(names) {
			if !there[name] {
				t.Errorf("there is no test %s, which %q names", name, words)
			}
		}
	}
}

// testNames finds the names of all tests of the module.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	declaration, names := regexp.MustCompile(`(?m)^func (Test\w+)\(`), map[string]bool{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		for _, match := range declaration.FindAllStringSubmatch(string(content), -1) {
			names[match[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
