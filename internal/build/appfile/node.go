package appfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/apron-run/apron/internal/platform"
)

// parse turns text into nodes. Aliases stay references, so that no text grows by them.
func parse(data []byte) (*yaml.Node, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", Name, err)
	}
	var document yaml.Node
	if err := loader.Load(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, platform.Explain(nil, "%s is empty", Name).Try("give it version, runtime, build and run")
		}
		return nil, syntaxError(err)
	}
	var second yaml.Node
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, syntaxError(err)
	default:
		return nil, platform.Explain(nil, "%s: a second document begins here", position(&second)).Try("leave one in the file")
	}
	root := &document
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		root = root.Content[0]
	}
	if isNull(root) {
		return nil, platform.Explain(nil, "%s is empty", Name).Try("give it version, runtime, build and run")
	}
	return root, nil
}

func syntaxError(err error) error {
	var problem *yaml.LoadError
	if !errors.As(err, &problem) {
		return platform.Explain(err, "%s is not valid YAML: %v", Name, err).Try("correct it, and deploy again")
	}
	mark := problem.Mark
	if mark.Line == 0 {
		mark = problem.ContextMark
	}
	at := Position{Line: max(mark.Line, 1), Column: max(mark.Column, 1)}
	return platform.Explain(err, "%s: the YAML is broken here: %s", at, problem.Message).Try("correct it, and deploy again")
}

// section is a mapping whose keys are taken one by one; what is left at the end is unknown.
type section struct {
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

func (s *section) at(name string) *yaml.Node {
	for i := range s.entries {
		if s.entries[i].name == name {
			return s.entries[i].value
		}
	}
	return nil
}

func (s *section) take(name string) *yaml.Node {
	for i := range s.entries {
		if s.entries[i].name == name {
			s.entries[i].taken = true
			return s.entries[i].value
		}
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
	s := &section{node: node, key: node}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], resolve(node.Content[i+1])
		switch {
		case key.Kind != yaml.ScalarNode:
			r.problem(key, "a key of %s must be plain text", name)
		case key.Value == "<<":
			r.problem(key, "merge keys (<<) are not supported in %s", Name)
		case s.at(key.Value) != nil:
			r.problem(key, "%s is there twice", joinPath(path, key.Value))
		default:
			s.entries = append(s.entries, entry{name: key.Value, key: key, value: value})
		}
	}
	return s
}

// scalar returns the text of a scalar as it is written; null is empty.
func (r *reader) scalar(node *yaml.Node, path string) (string, bool) {
	node = resolve(node)
	if node.Kind != yaml.ScalarNode {
		r.problem(node, "%s must be text, not %s", path, kindOf(node))
		return "", false
	}
	if isNull(node) {
		return "", true
	}
	if strings.ContainsRune(node.Value, 0) {
		r.problem(node, "%s holds a NUL character", path)
		return "", false
	}
	return node.Value, true
}

// list reads the commands of a phase. A missing phase is none.
func (r *reader) list(node *yaml.Node, path string) []string {
	if isNull(node) {
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		r.problem(node, "%s must be a list of commands, one \"- command\" a line, not %s", path, kindOf(node))
		return nil
	}
	var commands []string
	for i, item := range node.Content {
		item = resolve(item)
		if item.Kind == yaml.MappingNode {
			r.problem(item, "command %d of %s is read as a mapping because of \": \" in it; put the command into quotes", i+1, path)
			continue
		}
		text, ok := r.scalar(item, fmt.Sprintf("command %d of %s", i+1, path))
		if ok && strings.TrimSpace(text) == "" {
			r.problem(item, "command %d of %s is empty", i+1, path)
			continue
		}
		commands = append(commands, text)
	}
	return commands
}

func resolve(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// find returns a key's value in a node that may be no mapping at all.
func find(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

func isNull(node *yaml.Node) bool {
	return node == nil || node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

func position(node *yaml.Node) Position {
	return Position{Line: max(node.Line, 1), Column: max(node.Column, 1)}
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

func joinPath(path, key string) string {
	if path == "" {
		return short(key)
	}
	return path + "." + short(key)
}

// short quotes a bounded piece of the user's text. It is never used for the value of a variable.
func short(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
