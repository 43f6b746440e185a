package appfile

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// section is a mapping whose keys are taken one by one; what is left at the end is unknown.
type section struct {
	path string
	// node is the mapping, key the key it stands under, or the mapping where there is none.
	node, key *yaml.Node
	entries   []entry
}

type entry struct {
	name  string
	key   *yaml.Node
	value *yaml.Node
	taken bool
}

func (s *section) find(name string) *entry {
	for i := range s.entries {
		if s.entries[i].name == name {
			return &s.entries[i]
		}
	}
	return nil
}

func (s *section) at(name string) *yaml.Node {
	if found := s.find(name); found != nil {
		return found.value
	}
	return nil
}

// mapping reads a node as a mapping, or complains and returns nil.
func (r *reader) mapping(node *yaml.Node, path, keys string) *section {
	node = resolve(node)
	name := path
	if name == "" {
		name = Name
	}
	if node.Kind != yaml.MappingNode {
		r.problem(node, "%s must be a mapping with %s, not %s", name, keys, kindOf(node))
		return nil
	}
	s := &section{path: path, node: node, key: node}
	if len(node.Content)/2 > maxEntries {
		r.problem(node, "%s has more than %d keys", name, maxEntries)
		return s
	}
	names := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], resolve(node.Content[i+1])
		switch {
		case key.Kind != yaml.ScalarNode:
			r.problem(key, "a key of %s must be plain text", name)
		case key.Value == "<<":
			r.problem(key, "merge keys (<<) are not supported in %s: write the keys themselves", Name)
		case names[key.Value]:
			r.problem(key, "%s is there twice: remove one", joinPath(path, key.Value))
		default:
			names[key.Value] = true
			s.entries = append(s.entries, entry{name: key.Value, key: key, value: value})
		}
	}
	return s
}

// take returns a key's value, or nil. A key that is written a little otherwise is taken with a warning.
func (r *reader) take(s *section, name string) *yaml.Node {
	if found := s.find(name); found != nil {
		found.taken = true
		return found.value
	}
	for i := range s.entries {
		if left := &s.entries[i]; !left.taken && nearest(left.name, keysOf(s.path)) == name {
			left.taken = true
			r.warn(left.key, "%s is read as %s", joinPath(s.path, left.name), name)
			return left.value
		}
	}
	return nil
}

// maxEntries bounds each mapping, and maxItems each list: with aliases a small file can have as many as it likes.
const (
	maxEntries = 200
	maxItems   = 1000
)

// items returns the entries of a list, or none and a complaint when it is too long.
func (r *reader) items(list *yaml.Node, path string) []*yaml.Node {
	if len(list.Content) > maxItems {
		r.problem(list, "%s has more than %d entries", path, maxItems)
		return nil
	}
	return list.Content
}

// scalar returns the text of a scalar as it is written; null is empty.
func (r *reader) scalar(node *yaml.Node, what string) (string, bool) {
	node = resolve(node)
	if node.Kind != yaml.ScalarNode {
		r.problem(node, "%s must be text, not %s", what, kindOf(node))
		return "", false
	}
	if isNull(node) {
		return "", true
	}
	if r.length += len(node.Value); r.length > MaxBytes {
		r.problem(node, "%s is there so often, by aliases, that the file has more than %d bytes of text", what, MaxBytes)
		return "", false
	}
	if strings.ContainsRune(node.Value, 0) {
		r.problem(node, "%s holds a NUL character", what)
		return "", false
	}
	return node.Value, true
}

// theOne returns what a list of one entry holds, with a warning, and any other node as it is.
func (r *reader) theOne(node *yaml.Node, path string) *yaml.Node {
	if node != nil && node.Kind == yaml.SequenceNode && len(node.Content) == 1 {
		r.warn(node, "%s is a list, and its only entry is read as the value", path)
		return resolve(node.Content[0])
	}
	return node
}

func resolve(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node == nil || node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

func kindOf(node *yaml.Node) string {
	switch {
	case isNull(node):
		return "nothing"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	}
	return "text"
}

// joinPath names a key of the file. One that is no plain word is quoted.
func joinPath(path, key string) string {
	if !plainWord.MatchString(key) || len(key) > 60 {
		key = short(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func entryName(i int, path string) string { return fmt.Sprintf("entry %d of %s", i+1, path) }
