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

var (
	python = regexp.MustCompile(`^(/usr/bin/)?python(3(\.[0-9]+)?)?$`)
	// plainRequirement matches a line of a requirements file that names a package of the index.
	plainRequirement = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._, -]*\])?[ ]*([=<>!~]=?[^/;@]*)?(;[^/@]*)?$`)
	// plainPackage matches a package of the index as a word of a command.
	plainPackage = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(==[A-Za-z0-9.]+)?$`)
	// archive matches what pip takes for a file instead.
	archive = regexp.MustCompile(`\.(zip|whl|tar|tgz|tbz|txz|tlz|gz|bz2|xz|lzma)$`)
	// environmentName matches a folder of the source directory itself.
	environmentName = regexp.MustCompile(`^\.?[A-Za-z0-9_-]+$`)
)

// pip needs packages of the index, named in the command or in files that name nothing else.
func (f folder) pip(words []string) ([]string, bool) {
	if len(words) < 2 || words[0] != "install" {
		return nil, false
	}
	var files []string
	for i := 1; i < len(words); i++ {
		word := words[i]
		switch {
		case (word == "-r" || word == "--requirement") && i+1 < len(words):
			i++
			if !f.isPlainRequirements(words[i]) {
				return nil, false
			}
			files = append(files, f.path(words[i]))
		case slices.Contains(pipOptions, word):
		case plainPackage.MatchString(word) && !archive.MatchString(word):
		default:
			return nil, false
		}
	}
	return files, true
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

// makesEnvironment is for python -m venv: the folder is new, so that the source does not lie over it.
func (s *scout) makesEnvironment(words []string) bool {
	if len(words) != 1 || !environmentName.MatchString(words[0]) || s.has(words[0]) {
		return false
	}
	s.environment = words[0]
	return true
}
