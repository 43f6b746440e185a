package build

import (
	"regexp"
	"slices"
	"strings"
)

// localModule matches a replacement by a folder, or by what is quoted.
var localModule = regexp.MustCompile("=>\\s*[\"`./]")

// goMod downloads what go.mod names. Modules of a folder are no download.
func (f folder) goMod(words []string) ([]string, bool) {
	if len(words) != 2 || words[0] != "mod" || words[1] != "download" {
		return nil, false
	}
	if f.hasAny("go.work", "vendor") || f.hasAbove("go.work") || !f.isPlain("go.sum") {
		return nil, false
	}
	if manifest, ok := f.read("go.mod"); !ok || localModule.Match(manifest) {
		return nil, false
	}
	return f.with([]string{"go.mod", "go.sum"}), true
}

var (
	bundleOption = regexp.MustCompile(`^(--jobs[= ]?[0-9]*|--retry[= ]?[0-9]*|-j[0-9]*|--quiet|[0-9]+)$`)
	// plainGem matches a line of a Gemfile, which is a program, that does no more than name gems of a registry.
	plainGem = regexp.MustCompile(`^(source ["'][^"'#]+["']( do)?|ruby ["'][0-9.~> ]+["']|group( *:[a-z_]+,?)+ do|end|` +
		`gem ["'][A-Za-z0-9._-]+["'](, *["'][0-9A-Za-z.~<>=! ]+["'])*(, *(require|platforms?|group|groups):? *(=> *)?(false|true|:[a-z_]+|\[[a-z_:, ]*\]|["'][A-Za-z0-9/_-]+["']|%i\[[a-z_ ]*\]))*)?$`)
)

// bundle needs a lock file without folders and repositories, and a Gemfile that is a mere list.
func (f folder) bundle(words []string) ([]string, bool) {
	if len(words) == 0 || words[0] != "install" {
		return nil, false
	}
	if slices.ContainsFunc(words[1:], func(word string) bool { return !bundleOption.MatchString(word) }) {
		return nil, false
	}
	gemfile, ok := f.read("Gemfile")
	if !ok || f.hasAny(".bundle", "gems.rb", "vendor") || f.hasAbove(".bundle") || !f.isPlain("Gemfile.lock", "PATH\n", "GIT\n", "PLUGIN SOURCE\n") {
		return nil, false
	}
	for line := range strings.Lines(string(gemfile)) {
		line, _, _ = strings.Cut(line, " #")
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") && !plainGem.MatchString(line) {
			return nil, false
		}
	}
	return f.with([]string{"Gemfile", "Gemfile.lock"}), true
}

var mavenWords = []string{
	"-B", "--batch-mode", "-q", "--quiet", "-ntp", "--no-transfer-progress", "-U", "dependency:go-offline", "dependency:resolve",
	"dependency:resolve-plugins",
}

// maven downloads what one pom.xml names.
func (f folder) maven(words []string) ([]string, bool) {
	goes := slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, "dependency:") })
	if !goes || slices.ContainsFunc(words, func(word string) bool { return !slices.Contains(mavenWords, word) }) {
		return nil, false
	}
	looksAround := []string{"<modules>", "<module>", "<relativePath>", "<systemPath>", "basedir", "<extension", "file:", "<exists>", "<missing>"}
	if f.has(".mvn") || f.hasAbove("pom.xml", ".mvn") || !f.isPlain("pom.xml", looksAround...) {
		return nil, false
	}
	return f.with([]string{"pom.xml"}), true
}
