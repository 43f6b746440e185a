package detect

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// wanted is what a repository says of the version of its language: a version, or a range in the language's own way to write
// one. Empty is any.
type wanted struct{ text, from string }

// line is a runtime's version as far as it names a line of versions: 22 of Node.js, 3.11 of Python.
type line []int

// depth is how many numbers name a line: minor versions of some languages only add.
var depth = map[string]int{"Node.js": 1, "Java": 1, "Go": 1, "Python": 2, "Ruby": 2, "PHP": 2}

// names begin the names of a language's runtimes.
var names = map[string][]string{
	"Node.js": {"nodejs"}, "Java": {"java", "corretto"}, "Go": {"go"}, "Python": {"python"}, "Ruby": {"ruby"}, "PHP": {"php"},
}

var runtimeName = regexp.MustCompile(`^([a-z]+)[0-9]*$`)

type candidate struct {
	name string
	line line
}

// candidates are the runtimes of a language, the newest first. Of Node.js those that get long-term support come first: the
// even ones.
func candidates(runtimes []Runtime, language string) []candidate {
	var found []candidate
	for _, runtime := range runtimes {
		parts := runtimeName.FindStringSubmatch(runtime.Name)
		if parts == nil || !slices.Contains(names[language], parts[1]) {
			continue
		}
		version := numbers(runtime.Version)
		if language == "Java" && len(version) > 1 && version[0] == 1 {
			version = version[1:] // 1.8 is 8
		}
		found = append(found, candidate{runtime.Name, version[:min(len(version), depth[language])]})
	}
	isLongTerm := func(c candidate) bool { return language != "Node.js" || len(c.line) > 0 && c.line[0]%2 == 0 }
	slices.SortStableFunc(found, func(a, b candidate) int {
		if isLongTerm(a) != isLongTerm(b) {
			if isLongTerm(a) {
				return -1
			}
			return 1
		}
		return slices.Compare(b.line, a.line)
	})
	return found
}

// choose returns the runtime for what is wanted, why it is that one, and a notice where it is another than was asked for; ""
// where the language has none.
func choose(runtimes []Runtime, language string, want wanted) (name, why, notice string) {
	all := candidates(runtimes, language)
	if len(all) == 0 {
		return "", "", ""
	}
	text := strings.TrimSpace(want.text)
	if text == "" {
		if language == "Node.js" {
			return all[0].name, "nothing asks for a version: the newest that gets long-term support", ""
		}
		return all[0].name, "nothing asks for a version: the newest", ""
	}
	why = fmt.Sprintf("%s asks for %s", want.from, oneLine(text))
	accepts, ok := parseRange(text, language)
	if !ok {
		return all[0].name, why, fmt.Sprintf("%s, which says no version here; %s is used", why, all[0].name)
	}
	for _, each := range all {
		if accepts(each.line) {
			return each.name, why, ""
		}
	}
	// None is of that line. A newer one most likely runs what was written for it.
	nearest := all[0]
	oldest := numbers(text)
	slices.SortFunc(all, func(a, b candidate) int { return slices.Compare(a.line, b.line) })
	for _, each := range all {
		if slices.Compare(each.line, oldest) >= 0 {
			nearest = each
			break
		}
	}
	return nearest.name, why, fmt.Sprintf("%s, and there is no such runtime here; %s is used", why, nearest.name)
}

var (
	digits      = regexp.MustCompile(`[0-9]+`)
	hyphenRange = regexp.MustCompile(`(\S+)\s+-\s+(\S+)`)
	spaceAfter  = regexp.MustCompile(`([<>=~^!]+)\s+`)
	comparator  = regexp.MustCompile(`^([<>=~^!]*)v?([0-9]+(?:\.(?:[0-9]+|[xX*]))*)[A-Za-z0-9.+_*-]*$`)
)

// codenames are those of Node.js's long-term versions.
var codenames = map[string]string{
	"lts/gallium": "16", "lts/hydrogen": "18", "lts/iron": "20", "lts/jod": "22", "lts/krypton": "24",
}

// anyVersion are words that ask for none.
var anyVersion = []string{"*", "x", "latest", "lts", "lts/*", "node", "current", "stable", "system"}

// parseRange reads a version or range of npm, pip, Composer or Bundler. False is a text that is none of them.
func parseRange(text, language string) (accepts func(line) bool, ok bool) {
	text = strings.ToLower(text)
	if number, known := codenames[text]; known {
		text = number
	}
	if slices.Contains(anyVersion, text) {
		return func(line) bool { return true }, true
	}
	var alternatives [][]func(line) bool
	for alternative := range strings.SplitSeq(strings.ReplaceAll(text, "||", "|"), "|") {
		alternative = hyphenRange.ReplaceAllString(alternative, ">=$1 <=$2")
		alternative = spaceAfter.ReplaceAllString(alternative, "$1")
		var all []func(line) bool
		for _, word := range strings.FieldsFunc(alternative, func(r rune) bool { return r == ' ' || r == ',' }) {
			parts := comparator.FindStringSubmatch(word)
			if parts == nil {
				return nil, false
			}
			if version := numbers(parts[2]); len(version) > 0 {
				all = append(all, compare(parts[1], version, language))
			}
		}
		if len(all) > 0 {
			alternatives = append(alternatives, all)
		}
	}
	return func(has line) bool {
		return slices.ContainsFunc(alternatives, func(all []func(line) bool) bool {
			return !slices.ContainsFunc(all, func(accepts func(line) bool) bool { return !accepts(has) })
		})
	}, len(alternatives) > 0
}

// compare makes a comparator of an operator and a version. A runtime is of a whole line of versions, of which it has the
// newest: only the numbers that name the line count.
func compare(operator string, version []int, language string) func(line) bool {
	if language == "Java" && len(version) > 1 && version[0] == 1 {
		version = version[1:]
	}
	deep := depth[language]
	cut := line(version[:min(len(version), deep)])
	hasTail := len(version) > deep && slices.Max(version[deep:]) > 0
	order := func(has line) int {
		return slices.Compare(has, append(slices.Clone(cut), make(line, max(0, len(has)-len(cut)))...))
	}
	begins := func(has line, n int) bool { return len(has) >= n && slices.Equal(has[:n], cut[:n]) }
	switch operator {
	case ">=":
		return func(has line) bool { return order(has) >= 0 }
	case ">":
		return func(has line) bool { return order(has) > 0 || hasTail && order(has) == 0 }
	case "<":
		return func(has line) bool { return order(has) < 0 || hasTail && order(has) == 0 }
	case "<=":
		return func(has line) bool { return order(has) <= 0 || begins(has, len(cut)) }
	case "!=":
		return func(has line) bool { return len(version) > deep || !begins(has, len(cut)) }
	case "^":
		return func(has line) bool { return begins(has, 1) && order(has) >= 0 }
	case "~=", "~>", "~":
		if len(version) <= 2 && (operator != "~" || language == "PHP") { // the last number may grow
			return func(has line) bool { return begins(has, 1) && order(has) >= 0 }
		}
	}
	return func(has line) bool { return begins(has, len(cut)) }
}

// numbers are those of a version, the most significant first, up to a wildcard.
func numbers(text string) []int {
	if i := strings.IndexAny(text, "xX*"); i > 0 && text[i-1] == '.' {
		text = text[:i]
	}
	var all []int
	for _, number := range digits.FindAllString(text, 4) {
		value, err := strconv.Atoi(number)
		if err != nil {
			break
		}
		all = append(all, value)
	}
	return all
}
