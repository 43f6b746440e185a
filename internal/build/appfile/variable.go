package appfile

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// variables reads a list of {name, value} or {name, value-from}. Values may be secret and are never part of a message.
func (r *reader) variables(node *yaml.Node, path, valueKey string) []Variable {
	if isNull(node) {
		return nil
	}
	shape := fmt.Sprintf("a list of entries with name and %s", valueKey)
	if node.Kind != yaml.SequenceNode {
		r.problem(node, "%s must be %s, not %s", path, shape, kindOf(node))
		return nil
	}
	var variables []Variable
	for i, item := range node.Content {
		where := fmt.Sprintf("entry %d of %s", i+1, path)
		fields := r.mapping(item, where, "name and "+valueKey)
		if fields == nil {
			continue
		}
		variable, ok := r.variable(fields, where, path, valueKey)
		if !ok {
			continue
		}
		for _, earlier := range variables {
			if earlier.Name == variable.Name {
				r.warn(fields.node, "%s names %s a second time; the last one counts", path, short(variable.Name))
			}
		}
		variables = append(variables, variable)
	}
	return variables
}

func (r *reader) variable(fields *section, where, path, valueKey string) (Variable, bool) {
	name := fields.take("name")
	if isNull(name) {
		r.problem(fields.node, "%s has no name", where)
		return Variable{}, false
	}
	text, ok := r.scalar(name, "the name of "+where)
	if !ok || !r.checkName(name, "the name of "+where, text) {
		return Variable{}, false
	}
	value := fields.take(valueKey)
	if value == nil {
		r.missingValue(fields, path, text, valueKey)
		return Variable{}, false
	}
	content, ok := r.scalar(value, fmt.Sprintf("the %s of %s in %s", valueKey, short(text), path))
	if ok && content == "" && valueKey == "value-from" {
		r.problem(value, "%s in %s has no value-from: write the ARN of a secret or the name of a parameter", short(text), path)
		return Variable{}, false
	}
	r.unknown(fields, where, "name", valueKey)
	return Variable{Name: text, Value: content}, ok
}

func (r *reader) missingValue(fields *section, path, name, valueKey string) {
	switch {
	case valueKey == "value" && (fields.at("value-from") != nil || fields.at("valueFrom") != nil):
		r.problem(fields.node, "%s in %s has value-from in place of value; references of secrets belong under run.secrets", short(name), path)
	case valueKey == "value-from" && fields.at("valueFrom") != nil:
		r.problem(fields.node, "%s in %s has valueFrom; did you mean value-from?", short(name), path)
	default:
		r.problem(fields.node, "%s in %s has no %s", short(name), path, valueKey)
	}
}

func (r *reader) checkName(node *yaml.Node, where, name string) bool {
	if name == "" || strings.ContainsAny(name, "=\x00\r\n") {
		r.problem(node, "%s must be the name of a variable, not %s", where, short(name))
		return false
	}
	return true
}
