package appfile

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// variables reads a list of {name, value}, also in the other shapes in which people write it. Values may be secret and are
// never part of a message. Entries that refer to a secret are added to secrets; where that is nil, they are refused.
func (r *reader) variables(node *yaml.Node, path string, secrets *[]Variable) []Variable {
	r.isPrivate = true
	defer func() { r.isPrivate = false }()
	var plain []Variable
	seen := map[string]bool{}
	for _, each := range r.pairs(node, path, "value") {
		name, ok := r.name(each, path)
		if !ok {
			continue
		}
		if seen[name] {
			r.warn(each.at, "%s names %s a second time; the last one counts", path, short(name))
		}
		seen[name] = true
		if secrets != nil {
			r.named[name] = each.at
		}
		if each.from != nil {
			if secrets == nil {
				r.problem(each.at, "%s in %s refers to a secret, and a build is given none; the app's are under run.secrets", short(name), path)
				continue
			}
			r.warn(each.at, "%s in %s refers to a secret and is read as an entry of run.secrets", short(name), path)
			*secrets = r.reference(*secrets, each.from, name, path)
			continue
		}
		if isNull(each.value) && each.isValueMissing {
			r.problem(each.at, "%s in %s has no value; write value: \"\" where it is to be empty", short(name), path)
			continue
		}
		value, ok := r.scalar(each.value, fmt.Sprintf("the value of %s in %s", short(name), path))
		if !ok {
			continue
		}
		if reference.MatchString(value) {
			r.warn(each.at, "%s in %s holds ${…}, which is given to the app as it is: nothing fills it in", short(name), path)
		}
		plain = append(plain, Variable{Name: name, Value: value})
	}
	return plain
}

// reference matches what some expect to be filled in.
var reference = regexp.MustCompile(`\$\{\w+\}|\$\(\w+\)|\{\{.*\}\}`)

// secrets reads a list of {name, value-from}.
func (r *reader) secrets(node *yaml.Node) []Variable {
	const path = "run.secrets"
	r.isPrivate = true
	defer func() { r.isPrivate = false }()
	var secrets []Variable
	seen := map[string]bool{}
	for _, each := range r.pairs(node, path, "value-from") {
		name, ok := r.name(each, path)
		if !ok {
			continue
		}
		if seen[name] {
			r.warn(each.at, "%s names %s a second time; the last one counts", path, short(name))
		}
		seen[name] = true
		from := each.from
		if from == nil && !isNull(each.value) {
			text, _ := r.scalar(each.value, fmt.Sprintf("the value of %s in %s", short(name), path))
			if !isReference.MatchString(text) {
				r.problem(each.at, "%s in %s has no value-from, which is the ARN of a secret or parameter; a plain value belongs under run.env",
					short(name), path)
				continue
			}
			if !each.isBare {
				r.warn(each.at, "value of %s in %s is the ARN of a secret and is read as value-from", short(name), path)
			}
			from = each.value
		}
		if from == nil {
			r.problem(each.at, "%s in %s has no value-from: write the ARN of a secret or the name of a parameter", short(name), path)
			continue
		}
		secrets = r.reference(secrets, from, name, path)
	}
	return secrets
}

// isReference matches the ARN of a secret or of a parameter.
var isReference = regexp.MustCompile(`^arn:[a-z-]+:(secretsmanager|ssm):`)

// reference adds a secret whose reference is a node's text.
func (r *reader) reference(secrets []Variable, node *yaml.Node, name, path string) []Variable {
	text, ok := r.scalar(node, fmt.Sprintf("value-from of %s in %s", short(name), path))
	text = strings.TrimSpace(text)
	if !ok {
		return secrets
	}
	if text == "" {
		r.problem(node, "%s in %s has no value-from: write the ARN of a secret or the name of a parameter", short(name), path)
		return secrets
	}
	if found := placeholder.FindString(text); found != "" {
		r.warn(node, "the value-from of %s in %s still has the placeholder %s in it; the secret is looked up when a deployment begins", short(name), path, short(found))
	}
	return append(secrets, Variable{Name: name, Value: text})
}

// pair is one variable as it is written, in whatever shape.
type pair struct {
	at, name, value, from *yaml.Node
	// isValueMissing says that an entry has a name alone; isBare that the shape has no keys such as value.
	isValueMissing, isBare bool
}

// pairs reads a list of entries, or one of the shapes that mean the same.
func (r *reader) pairs(node *yaml.Node, path, valueKey string) []pair {
	if isNull(node) {
		return nil
	}
	shape := "a list of entries with name and " + valueKey
	if isWrapper(node) {
		r.warn(node.Content[0], "%s is read as %s", joinPath(path, node.Content[0].Value), path)
		node = resolve(node.Content[1])
	}
	switch {
	case node.Kind == yaml.MappingNode && isEntry(node):
		r.warn(node, "%s is a mapping and is read as the only entry of %s", path, shape)
		return r.entry(node, entryName(0, path), valueKey)
	case node.Kind == yaml.MappingNode:
		r.warn(node, "%s is a mapping of names to values and is read as %s", path, shape)
		return r.bare(node, path, valueKey)
	case node.Kind != yaml.SequenceNode:
		r.problem(node, "%s must be %s, not %s", path, shape, kindOf(node))
		return nil
	}
	var all []pair
	told := map[string]bool{} // of each shape, once
	tell := func(item *yaml.Node, where, text string) {
		if !told[text] {
			r.warn(item, "%s, and each of its kind, is %s", where, text)
		}
		told[text] = true
	}
	for i, item := range r.items(node, path) {
		item, where := resolve(item), entryName(i, path)
		switch {
		case item.Kind == yaml.ScalarNode && strings.Contains(item.Value, "="):
			tell(item, where, "read as NAME=VALUE")
			name, value, _ := strings.Cut(item.Value, "=")
			all = append(all, pair{at: item, name: part(item, name), value: part(item, value), isBare: true})
		case item.Kind == yaml.MappingNode && !isEntry(item):
			tell(item, where, "read as names with their values")
			all = append(all, r.bare(item, where, valueKey)...)
		default:
			all = append(all, r.entry(item, where, valueKey)...)
		}
	}
	return all
}

func part(of *yaml.Node, text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: of.Line, Column: of.Column}
}

// isWrapper says whether a mapping has one key, which only names what the section is.
func isWrapper(node *yaml.Node) bool {
	return node.Kind == yaml.MappingNode && len(node.Content) == 2 && node.Content[0].Kind == yaml.ScalarNode && resolve(node.Content[1]).Kind != yaml.ScalarNode &&
		(plain(node.Content[0].Value) == "variables" || plain(node.Content[0].Value) == "vars")
}

// isEntry says whether a mapping is {name, value} in any of its spellings, and not NAME: VALUE.
func isEntry(node *yaml.Node) bool {
	if len(node.Content)/2 > maxEntries {
		return false
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i].Value
		if meant := nearest(key, keysOf("entry")); meant == "" || key == strings.ToUpper(key) {
			return false
		}
	}
	return len(node.Content) > 0
}

func (r *reader) bare(node *yaml.Node, path, valueKey string) []pair {
	s := r.mapping(node, path, "names and values")
	all := make([]pair, len(s.entries))
	for i, each := range s.entries {
		all[i] = pair{at: each.key, name: each.key, value: each.value, isBare: true}
		if isNull(each.value) {
			all[i].value = part(each.key, "")
		}
		if each.value.Kind == yaml.MappingNode && len(each.value.Content) == 2 && nearest(each.value.Content[0].Value, []string{"value-from"}) != "" {
			all[i].from = resolve(each.value.Content[1])
		}
	}
	return all
}

func (r *reader) entry(item *yaml.Node, where, valueKey string) []pair {
	fields := r.mapping(item, where, "name and "+valueKey)
	if fields == nil {
		return nil
	}
	found := pair{at: fields.node, name: r.take(fields, "name"), value: r.take(fields, "value"), from: r.take(fields, "value-from")}
	found.isValueMissing = found.value == nil
	if isNull(found.name) {
		r.problem(fields.node, "%s has no name", where)
		return nil
	}
	if found.from != nil && !isNull(found.value) {
		r.problem(fields.node, "%s has both value and value-from: keep one", where)
		return nil
	}
	for _, left := range fields.entries {
		if !left.taken {
			r.warn(left.key, "%s is not a key of an entry and is ignored; there are name and %s", joinPath(where, left.name), valueKey)
		}
	}
	return []pair{found}
}

// name returns the name of a variable.
func (r *reader) name(each pair, path string) (string, bool) {
	text, ok := r.scalar(each.name, "the name of a variable in "+path)
	text = strings.TrimSpace(text)
	return text, ok && r.checkName(each.name, "the name of a variable in "+path, text)
}

func (r *reader) checkName(node *yaml.Node, where, name string) bool {
	if name == "" || strings.ContainsAny(name, "=\x00\r\n \t") {
		before, _, isAssigned := strings.Cut(name, "=") // what follows may be the value
		if isAssigned {
			before += "=…"
		}
		r.problem(node, "%s must be the name of a variable, not %s", where, short(before))
		return false
	}
	return true
}
