package appfile

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// known are the keys of each section. A section that is not here is an entry of a list of variables.
var known = map[string][]string{
	"":               {"version", "runtime", "build", "run"},
	"build":          {"commands", "env"},
	"build.commands": {"pre-build", "build", "post-build"},
	"run":            {"runtime-version", "pre-run", "command", "network", "env", "secrets"},
	"run.network":    {"port", "env"},
}

func keysOf(path string) []string {
	if keys, isSection := known[path]; isSection {
		return keys
	}
	return []string{"name", "value", "value-from"}
}

// plain is a key without the ways in which people write it otherwise.
func plain(key string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.TrimSpace(key)))
}

// synonyms are other words for keys of one section, in their plain form.
var synonyms = map[string][]string{
	"commands": {"command", "cmd", "phases", "steps"}, "env": {"environment", "environmentvariables", "envvars", "variables", "envs"},
	"command": {"commands", "startcommand", "start", "cmd", "runcommand", "entrypoint", "startcmd"}, "runtime-version": {"version"},
	"pre-build": {"pre", "before", "beforebuild", "install", "setup"}, "post-build": {"post", "after", "afterbuild"},
	"port": {"containerport", "httpport"}, "secrets": {"secret"},
	"name": {"key", "variable"}, "value-from": {"from", "valuearn", "secretarn", "arn"}, "value": {"val"},
}

// nearest returns the key that a misspelt one means, or nothing.
func nearest(name string, keys []string) string {
	for _, key := range keys {
		if plain(name) == plain(key) {
			return key
		}
	}
	for _, key := range keys {
		if slices.Contains(synonyms[key], plain(name)) || IsNear(plain(name), plain(key)) {
			return key
		}
	}
	return ""
}

// IsNear says whether two words differ by one letter, or by the order of their letters.
func IsNear(a, b string) bool {
	return isOneEditApart(a, b) || len(a) > 3 && slices.Equal(slices.Sorted(slices.Values([]rune(a))), slices.Sorted(slices.Values([]rune(b))))
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

// homes say where keys belong that people write in another section, by their plain form.
var homes = map[string]string{
	"runtime": "runtime", "runtimeversion": "run.runtime-version",
	"commands": "build.commands", "buildcommands": "build.commands", "buildcommand": "build.commands",
	"prebuild": "build.commands.pre-build", "build": "build.commands.build", "postbuild": "build.commands.post-build",
	"startcommand": "run.command", "start": "run.command", "command": "run.command", "cmd": "run.command", "runcommand": "run.command",
	"entrypoint": "run.command", "startcmd": "run.command", "run": "run.command",
	"prerun": "run.pre-run", "env": "run.env", "environment": "run.env", "environmentvariables": "run.env", "envvars": "run.env",
	"secrets": "run.secrets", "network": "run.network", "port": "run.network.port",
}

// rehome finds what belongs elsewhere, and brings it there with a warning. What is there already stays.
func (r *reader) rehome(s *section) {
	for i := range s.entries {
		left := &s.entries[i]
		home := homeOf(s.path, left.name)
		if left.taken || home == "" {
			continue
		}
		left.taken = true
		switch isPlaced := r.place(home, *left); {
		case isPlaced && joinPath(s.path, left.name) == home:
			r.warn(left.key, "the key %s is read as a path", home)
		case isPlaced:
			r.warn(left.key, "%s is read as %s, where it belongs", joinPath(s.path, left.name), home)
		case s.path == "build.commands" || left.value.Kind != yaml.ScalarNode:
			r.problem(left.key, "%s would be lost, because %s is there: remove one", joinPath(s.path, left.name), home)
		default:
			r.warn(left.key, "%s is ignored, because %s is there", joinPath(s.path, left.name), home)
		}
	}
}

// homeOf returns the path of the key that is meant by one that the section does not have, or nothing.
func homeOf(path, name string) string {
	if slices.Contains(known[path], name) {
		return ""
	}
	if whole := strings.TrimSpace(name); strings.Contains(whole, ".") { // a path is written as a key
		parent, key := split(whole)
		if slices.Contains(known[parent], key) {
			return whole
		}
		return ""
	}
	if nearest(name, known[path]) != "" {
		return ""
	}
	home := homes[plain(name)]
	if parent, _ := split(home); parent == path {
		return ""
	}
	return home
}

func split(path string) (parent, key string) {
	if at := strings.LastIndexByte(path, '.'); at >= 0 {
		return path[:at], path[at+1:]
	}
	return "", path
}

// place puts an entry where it belongs, or returns false when something is there already.
func (r *reader) place(path string, found entry) bool {
	parent, key := split(path)
	placed := entry{name: key, key: found.key, value: found.value}
	if s := r.sections[parent]; s != nil {
		if r.has(s, key) {
			return false
		}
		s.entries = append(s.entries, placed)
		return true
	}
	if _, isThere := r.pending[path]; isThere {
		return false
	}
	r.pending[path] = placed
	return true
}

// has says whether a section holds a key, also where it is written a little otherwise.
func (r *reader) has(s *section, key string) bool {
	return slices.ContainsFunc(s.entries, func(each entry) bool { return each.name == key || nearest(each.name, known[s.path]) == key })
}

// unnest takes a top section out of the other one, below which it is indented by mistake.
func (r *reader) unnest(top *section, name, inside string) {
	if top.find(name) != nil {
		return
	}
	outer := resolve(top.at(inside))
	if outer == nil || outer.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(outer.Content); i += 2 {
		key, value := outer.Content[i], resolve(outer.Content[i+1])
		if key.Value == name && value.Kind == yaml.MappingNode {
			outer.Content = slices.Delete(outer.Content, i, i+2)
			r.warn(key, "%s stands below %s and is read as if it stood at the top of the file", name, inside)
			top.entries = append(top.entries, entry{name: name, key: key, value: value})
			return
		}
	}
}

// open returns a section by its path; one that is missing is empty. It complains and returns nil where it is no section.
func (r *reader) open(path string) *section {
	parent, key := split(path)
	outer := r.sections[parent]
	node := r.take(outer, key)
	s := &section{path: path, node: outer.node, key: outer.key}
	if !isNull(node) {
		if s = r.asSection(resolve(node), path); s == nil {
			return nil
		}
		if found := outer.find(key); found != nil {
			s.key = found.key
		}
	}
	for _, key := range known[path] {
		if placed, isPending := r.pending[joinPlain(path, key)]; isPending {
			if r.has(s, key) {
				r.problem(placed.key, "%s would be lost, because %s is there: remove one", short(placed.key.Value), joinPlain(path, key))
				continue
			}
			s.entries = append(s.entries, placed)
		}
	}
	r.sections[path] = s
	return s
}

func joinPlain(path, key string) string { return path + "." + key }

// shorthand is what a section that is text or a list of texts means.
var shorthand = map[string]string{"build": "commands", "build.commands": "build", "run": "command", "run.network": "port"}

// asSection reads the node of a section, also where it is the value of the section's main key alone.
func (r *reader) asSection(node *yaml.Node, path string) *section {
	list := node.Kind == yaml.SequenceNode
	if list && len(node.Content) == 1 && resolve(node.Content[0]).Kind == yaml.MappingNode {
		node = r.theOne(node, path)
		list = false
	}
	isList := list && (path == "build" || path == "build.commands")
	if isList || node.Kind == yaml.ScalarNode {
		main := shorthand[path]
		r.warn(node, "%s is %s and is read as %s", path, kindOf(node), joinPlain(path, main))
		return &section{path: path, node: node, key: node, entries: []entry{{name: main, key: node, value: node}}}
	}
	keys := known[path]
	return r.mapping(node, path, strings.Join(keys[:len(keys)-1], ", ")+" and "+keys[len(keys)-1])
}
