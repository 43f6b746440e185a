package appfile

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxProblems bounds what one broken file can say.
const maxProblems = 20

func (r *reader) problem(node *yaml.Node, format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, position(node).String()+": "+fmt.Sprintf(format, args...))
	}
}

func (r *reader) warn(node *yaml.Node, format string, args ...any) {
	if len(r.warnings) < maxProblems {
		r.warnings = append(r.warnings, position(node).String()+": "+fmt.Sprintf(format, args...))
	}
}

// elsewhere says where a key that people write at the top of the file belongs.
var elsewhere = map[string]string{
	"startCommand": "run.command", "start-command": "run.command", "start_command": "run.command", "command": "run.command",
	"buildCommand": "build.commands.build", "commands": "build.commands",
	"env": "run.env", "environment": "run.env", "secrets": "run.secrets", "network": "run.network", "port": "run.network.port",
	"pre-run": "run.pre-run", "runtime-version": "run.runtime-version",
	"health_check": "the service's HealthCheckConfiguration", "healthcheck": "the service's HealthCheckConfiguration",
	"health": "the service's HealthCheckConfiguration", "source_directory": "the service's SourceDirectory",
	"vpc_connector": "the service's NetworkConfiguration",
}

// others warns about unknown keys at the top of the file: they are ignored, but not in silence.
func (r *reader) others(top *section) {
	for _, left := range top.entries {
		if left.taken {
			continue
		}
		if home, ok := elsewhere[left.name]; ok {
			r.warn(left.key, "%s is ignored here; did you mean %s?", short(left.name), home)
			continue
		}
		r.warn(left.key, "%s is not a key of %s and is ignored", short(left.name), Name)
	}
}

// unknown treats what is left of a section of build or run: a near miss of a known key is an error, because a phase
// that silently does not run is worse; anything else is a warning.
func (r *reader) unknown(s *section, path string, known ...string) {
	for _, left := range s.entries {
		if left.taken {
			continue
		}
		if meant := nearest(left.name, known); meant != "" {
			r.problem(left.key, "%s is not a key; did you mean %s?", joinPath(path, left.name), joinPath(path, meant))
			continue
		}
		r.warn(left.key, "%s is not a key of %s and is ignored; %s has %s", joinPath(path, left.name), Name, path, strings.Join(known, ", "))
	}
}

// nearest returns the known key that a misspelt one means, or nothing.
func nearest(name string, known []string) string {
	plain := func(s string) string {
		return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(s))
	}
	synonyms := map[string]string{"startcommand": "command", "start": "command", "cmd": "command", "commands": "command",
		"environment": "env", "prerun": "pre-run", "runtimeversion": "runtime-version"}
	for _, key := range known {
		if plain(name) == plain(key) || synonyms[plain(name)] == key || isOneEditApart(plain(name), plain(key)) {
			return key
		}
	}
	return ""
}

// isOneEditApart says whether one letter added, removed or replaced makes a into b. Short words are never near.
func isOneEditApart(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 || len(a) < 4 {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] {
			return a[i:] == b[i+1:] || len(a) == len(b) && a[i+1:] == b[i+1:]
		}
	}
	return true
}
