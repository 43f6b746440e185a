package build

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/apron-run/apron/internal/build/appfile"
	"github.com/apron-run/apron/internal/build/catalogue"
)

// A runtime is found by what a file calls it and by its run.runtime-version, whatever the catalogue has:
//
//   - The name counts as it is, or with other letters and signs (Python3.11, NODEJS_18).
//   - A version that the runtime begins with, or another patch of it, is that runtime.
//   - Any other version is another runtime of the same language: the one that has it, else the nearest newer one that runs
//     what was written for it.
//
// Everything but the exact name and version is told as a remark.

// resolveRuntime finds the runtime that a file asks for.
func resolveRuntime(runtimes *catalogue.Catalogue, file appfile.File) (catalogue.Runtime, []appfile.Remark, error) {
	lock, isLocked, remarks, err := readLock(file)
	if err != nil {
		return catalogue.Runtime{}, nil, err
	}
	name := readName(file.Runtime, "")
	if name.language == "" {
		name = lock
	}
	if name.language == "" {
		return catalogue.Runtime{}, nil, appfile.Refuse(file.RuntimeAt, "write one of "+strings.Join(runtimes.Names(), ", "),
			"runtime is missing")
	}
	if isLocked && lock.language != "" && lock.language != name.language {
		return catalogue.Runtime{}, nil, appfile.Refuse(file.RuntimeVersionAt, "write the version alone, or leave run.runtime-version out",
			"run.runtime-version is %q, and the runtime is %s", file.RuntimeVersion, file.Runtime)
	}
	runtime, isNamed := runtimeCalled(runtimes, file.Runtime)
	if !isLocked {
		lock.version = name.version
	}
	switch {
	case isNamed && runtime.Name != file.Runtime:
		remarks = append(remarks, appfile.Remark{At: file.RuntimeAt, Text: fmt.Sprintf("runtime %q is read as %s", file.Runtime, runtime.Name)})
		fallthrough
	case isNamed:
		if !isLocked || versionOf(runtime).begins(lock.version) || lock.isLeast && slices.Compare(versionOf(runtime), lock.version) > 0 {
			return runtime, remarks, nil
		}
		if versionOf(runtime).isOfLine(name.language, lock.version) {
			return runtime, append(remarks, appfile.Remark{At: file.RuntimeVersionAt, Text: fmt.Sprintf(
				"run.runtime-version %s is not here exactly; %s of version %s is used", lock.version, runtime.Name, runtime.Version)}), nil
		}
	}
	found, err := runtimeOf(runtimes, name.language, lock.version, file)
	if err != nil {
		return catalogue.Runtime{}, nil, err
	}
	at, asked := file.RuntimeAt, fmt.Sprintf("runtime %q", file.Runtime)
	switch {
	case isLocked && file.Runtime == "":
		at, asked = file.RuntimeVersionAt, fmt.Sprintf("runtime is missing, and run.runtime-version %q", file.RuntimeVersion)
	case isLocked:
		at, asked = file.RuntimeVersionAt, fmt.Sprintf("run.runtime-version %s of runtime %q", lock.version, file.Runtime)
	}
	return found, append(remarks, appfile.Remark{At: at, Text: fmt.Sprintf("%s is read as %s of version %s", asked, found.Name, found.Version)}), nil
}

// runtimeCalled finds a runtime by its name, the API's value, or either of them with other signs and letters.
func runtimeCalled(runtimes *catalogue.Catalogue, name string) (catalogue.Runtime, bool) {
	if runtime, ok := runtimes.ByName(name); ok {
		return runtime, true
	}
	for _, candidate := range runtimes.Names() {
		runtime, _ := runtimes.ByName(candidate)
		if plain := plainName(name); plain == plainName(candidate) || plain != "" && plain == plainName(runtime.API) {
			return runtime, true
		}
	}
	return catalogue.Runtime{}, false
}

// runtimeOf finds a language's runtime that has a version, or the nearest newer one that runs what was written for it.
func runtimeOf(runtimes *catalogue.Catalogue, language string, wanted version, file appfile.File) (catalogue.Runtime, error) {
	all := runtimesOf(runtimes, language)
	if len(all) == 0 {
		missing := unknownRuntime(file.RuntimeAt.String(), file.Runtime, runtimes.Names())
		missing.Err = &appfile.Error{Problems: []appfile.Remark{{At: file.RuntimeAt, Text: fmt.Sprintf("there is no runtime %q", file.Runtime)}}}
		return catalogue.Runtime{}, missing
	}
	var having []catalogue.Runtime
	for _, runtime := range all {
		if versionOf(runtime).isOfLine(language, wanted) {
			having = append(having, runtime)
		}
	}
	switch {
	case len(having) == 1 || len(having) > 1 && len(wanted) >= lineDepth(language):
		return having[0], nil
	case len(having) > 1:
		return newest(having), nil
	}
	for _, runtime := range all {
		has := versionOf(runtime)
		if slices.Compare(has, wanted) > 0 && (lineDepth(language) == 1 || has[0] == wanted[0]) {
			return runtime, nil
		}
	}
	list := make([]string, len(all))
	for i, runtime := range all {
		list[i] = runtime.Name + " (" + runtime.Version + ")"
	}
	at := file.RuntimeAt
	if file.RuntimeVersion != "" {
		at = file.RuntimeVersionAt
	}
	return catalogue.Runtime{}, appfile.Refuse(at, "write the name or version of one of "+strings.Join(list, ", ")+", or build with a Dockerfile: tag the service apron:build=dockerfile",
		"there is no runtime of %s here that has version %s or a newer one that runs what was written for it", language, wanted)
}

// runtimesOf returns the runtimes of a language, oldest first.
func runtimesOf(runtimes *catalogue.Catalogue, language string) []catalogue.Runtime {
	var all []catalogue.Runtime
	for _, name := range runtimes.Names() {
		runtime, _ := runtimes.ByName(name)
		if readName(name, "").language == language && len(versionOf(runtime)) > 0 {
			all = append(all, runtime)
		}
	}
	slices.SortStableFunc(all, func(a, b catalogue.Runtime) int { return slices.Compare(versionOf(a), versionOf(b)) })
	return all
}

// newest returns the newest runtime that App Runner has too, else the newest at all.
func newest(sorted []catalogue.Runtime) catalogue.Runtime {
	for _, runtime := range slices.Backward(sorted) {
		if slices.Contains(appRunnerRuntimes, runtime.Name) {
			return runtime
		}
	}
	return sorted[len(sorted)-1]
}

// version is a version's numbers, the most significant first. Empty is any.
type version []int

func (v version) String() string {
	texts := make([]string, len(v))
	for i, number := range v {
		texts[i] = strconv.Itoa(number)
	}
	return strings.Join(texts, ".")
}

// begins says whether wanted is v, or its first numbers.
func (v version) begins(wanted version) bool {
	return len(wanted) <= len(v) && slices.Equal(v[:len(wanted)], wanted)
}

// isOfLine says whether v and wanted differ at most in what does not break an app.
func (v version) isOfLine(language string, wanted version) bool {
	depth := min(lineDepth(language), len(v), len(wanted))
	return slices.Equal(v[:depth], wanted[:depth])
}

// lineDepth is how many numbers name one line of a language's versions: minor versions of some only add.
func lineDepth(language string) int {
	switch language {
	case "nodejs", "java", "dotnet":
		return 1
	}
	return 2
}

func versionOf(runtime catalogue.Runtime) version {
	return numbers(runtime.Version, readName(runtime.Name, "").language)
}

// named is what a name says: its language and, if it has one, its version.
type named struct {
	language string
	version  version
	// isLeast says that any newer version serves too.
	isLeast bool
}

var namePattern = regexp.MustCompile(`^([a-z.#+ _-]*?)[-_:. ]*(?:v)?(\d+(?:[._-]\d+)*)?(?:\.[x*]|[-_. ][a-z].*)?$`)

// languages are what people call a language, and its own word here.
var languages = map[string]string{
	"nodejs": "nodejs", "python": "python", "java": "java", "dotnet": "dotnet", "ruby": "ruby", "php": "php", "go": "go",
	"node": "nodejs", "js": "nodejs", "javascript": "nodejs", "typescript": "nodejs", "npm": "nodejs", "py": "python", "golang": "go",
	"corretto": "java", "amazoncorretto": "java", "jdk": "java", "openjdk": "java", "jre": "java", "temurin": "java", "net": "dotnet",
	"netcore": "dotnet", "dotnetcore": "dotnet", "aspnet": "dotnet", "aspnetcore": "dotnet", "csharp": "dotnet", "rb": "ruby", "rails": "ruby",
}

// readName takes a runtime's name apart: python311, node-20, Python 3.11, golang:1.21-alpine, openjdk17. A version without a
// language is read as one of the language that is given.
func readName(name, given string) named {
	found := namePattern.FindStringSubmatch(strings.ToLower(strings.TrimSpace(name)))
	if found == nil {
		return named{language: languageOf(name)}
	}
	language := languageOf(found[1])
	digits := found[2]
	if len(digits) > 1 && lineDepth(cmp.Or(language, given)) > 1 && !strings.ContainsAny(digits, "._-") {
		digits = digits[:1] + "." + digits[1:] // python311 is 3.11, go121 is 1.21
	}
	return named{language: language, version: numbers(digits, cmp.Or(language, given))}
}

// languageOf returns a language's own word, also where its name is misspelt.
func languageOf(name string) string {
	language := strings.TrimRight(plainName(name), "0123456789")
	if word, isKnown := languages[language]; isKnown {
		return word
	}
	for _, known := range slices.Sorted(maps.Keys(languages)) {
		if appfile.IsNear(language, known) {
			return languages[known]
		}
	}
	return language
}

var digitsPattern = regexp.MustCompile(`\d+`)

// numbers reads a version's numbers. Java's 1.8 is 8.
func numbers(text, language string) version {
	var all version
	for _, digits := range digitsPattern.FindAllString(text, 5) {
		number, err := strconv.Atoi(digits)
		if err != nil {
			break
		}
		all = append(all, number)
	}
	if language == "java" && len(all) > 1 && all[0] == 1 {
		return all[1:]
	}
	return all
}

var (
	numberLock = regexp.MustCompile(`^\d+(\.\d+)*$`)
	// javaUpdate matches the sign of an update in Java's way to write versions: 8u432.
	javaUpdate = regexp.MustCompile(`(\d)u(\d)`)
	kindLock   = regexp.MustCompile(`^(?:[a-z]+[-_:. ]*|[~^>=v ]*)v?\d+(?:[._u]\d+)*(?:\.[x*])*\+?(?:-[a-z].*)?$`)
	anyLock    = []string{"latest", "lts", "stable", "current", "newest", "*", "x", "lts/*", "default"}
)

// readLock reads run.runtime-version. False is none.
func readLock(file appfile.File) (lock named, isLocked bool, remarks []appfile.Remark, err error) {
	text := strings.ToLower(file.RuntimeVersion)
	said := func(format string, args ...any) []appfile.Remark {
		return []appfile.Remark{{At: file.RuntimeVersionAt, Text: fmt.Sprintf(format, args...)}}
	}
	switch {
	case text == "":
		return named{}, false, nil, nil
	case slices.Contains(anyLock, text):
		return named{}, false, said("run.runtime-version %q names no version; the one of the runtime is used", file.RuntimeVersion), nil
	case numberLock.MatchString(text):
		language := languageOf(file.Runtime)
		if len(text) == 1 || strings.Contains(text, ".") || lineDepth(language) == 1 {
			return named{version: numbers(text, language)}, true, nil, nil
		}
	case !kindLock.MatchString(text):
		return named{}, false, nil, appfile.Refuse(file.RuntimeVersionAt, "write one such as 3.11, or leave it out",
			"run.runtime-version is %q, which is no version", file.RuntimeVersion)
	}
	lock = readName(strings.Trim(javaUpdate.ReplaceAllString(text, "$1.$2"), "~^>=+ "), languageOf(file.Runtime))
	lock.isLeast = strings.HasPrefix(text, ">")
	if lock.isLeast {
		return lock, true, said("run.runtime-version %q is read as %s or newer", file.RuntimeVersion, lock.version), nil
	}
	return lock, true, said("run.runtime-version %q is read as %s", file.RuntimeVersion, lock.version), nil
}
