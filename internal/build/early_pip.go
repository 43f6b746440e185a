package build

import (
	"regexp"
	"slices"
	"strings"
)

var pipOptions = []string{
	"--upgrade", "-U", "--no-cache-dir", "--quiet", "-q", "--disable-pip-version-check", "--prefer-binary", "--no-deps",
	"--no-warn-script-location", "--require-hashes", "--break-system-packages", "--root-user-action=ignore",
}

// plainRequirement matches a line of a requirements file that names a package of the index.
var plainRequirement = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._, -]*\])?[ ]*([=<>!~]=?[^/;@]*)?(;[^/@]*)?$`)

// pip needs each requirement in a file that names only packages of the index.
func (f folder) pip(words []string) ([]string, bool) {
	var files []string
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case (word == "-r" || word == "--requirement") && i+1 < len(words):
			i++
			if !f.isPlainRequirements(words[i]) {
				return nil, false
			}
			files = append(files, f.path(words[i]))
		case word == "pip" || word == "setuptools" || word == "wheel": // the usual upgrade of the tools themselves
		case slices.Contains(pipOptions, word):
		default:
			return nil, false
		}
	}
	return files, len(words) > 0
}

func (f folder) isPlainRequirements(name string) bool {
	data, ok := f.read(name)
	if !ok {
		return false
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		line = strings.TrimSpace(strings.TrimSuffix(line, "\\"))
		switch {
		case line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "--hash="):
		case plainRequirement.MatchString(line):
		default:
			return false
		}
	}
	return true
}
