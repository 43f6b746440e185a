package detect

import (
	"regexp"
	"strings"
)

// processLine matches a line of a Procfile.
var processLine = regexp.MustCompile(`^([A-Za-z0-9_-]+)\s*:\s*(\S.*)$`)

// addProcfile takes the start command of the Procfile's web line, which wins over everything that was found, and tells of the
// lines that nothing runs.
func addProcfile(f *folder, made *app) {
	others := []string{}
	for line := range strings.Lines(f.read("Procfile")) {
		found := processLine.FindStringSubmatch(strings.TrimSpace(line))
		switch {
		case found == nil:
		case found[1] == "web":
			made.start, made.site = command{found[2], "the web line of Procfile"}, nil
		case len(others) < maxPlaces:
			others = append(others, found[1])
		}
	}
	if len(others) > 0 {
		made.notice("Procfile has %s besides web: only web is run", strings.Join(others, ", "))
	}
}
