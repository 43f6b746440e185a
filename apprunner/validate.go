package apprunner

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// Rule is one kind of limit.
type Rule string

const (
	RuleRequired  Rule = "required"
	RuleMinLength Rule = "min length"
	RuleMaxLength Rule = "max length"
	RuleMin       Rule = "min"
	RuleMax       Rule = "max"
	RulePattern   Rule = "pattern"
	RuleEnum      Rule = "enum"
)

// Violation is one member that breaks a rule.
type Violation struct {
	// Path is the member's, from the top.
	Path string
	Rule Rule
	// Text says the rule for a person. It never repeats a sensitive value.
	Text string
}

func (v Violation) String() string { return v.Path + " " + v.Text }

// ValidationError holds every violation, in the order of the members.
type ValidationError struct{ Violations []Violation }

func (e *ValidationError) Error() string {
	texts := make([]string, len(e.Violations))
	for i, violation := range e.Violations {
		texts[i] = violation.String()
	}
	return strings.Join(texts, "; ")
}

// Validate checks the structure that v points to against the limits of its shapes. The error is a *ValidationError
// with all that is wrong.
func Validate(v any) error {
	value, s := structureOf(v)
	var found validator
	found.check(s, value)
	if len(found.violations) == 0 {
		return nil
	}
	return &ValidationError{found.violations}
}

// validator walks a value. steps is the way to where it is; they become a path only when something is wrong there.
type validator struct {
	violations []Violation
	steps      []step
}

// step is a member, an index or a key of a map.
type step struct {
	kind  kind
	name  string
	index int
}

func (v *validator) path() string {
	var path string
	for _, step := range v.steps {
		switch step.kind {
		case kindStructure:
			path += memberStep(step.name)
		case kindMap:
			path += keyStep(step.name)
		default:
			path += indexStep(step.index)
		}
	}
	return trimPath(path)
}

func (v *validator) add(rule Rule, format string, args ...any) {
	v.violations = append(v.violations, Violation{v.path(), rule, fmt.Sprintf(format, args...)})
}

func (v *validator) check(s *shape, value reflect.Value) {
	switch s.kind {
	case kindStructure:
		v.checkMembers(s, value)
	case kindList:
		for i := range value.Len() {
			v.steps = append(v.steps, step{kind: kindList, index: i})
			v.check(s.element, value.Index(i))
			v.leave()
		}
	case kindMap:
		for _, key := range sortedKeys(value) {
			v.steps = append(v.steps, step{kind: kindMap, name: key.String()})
			v.check(s.key, key)
			v.check(s.element, value.MapIndex(key))
			v.leave()
		}
	case kindString:
		if s.limits != nil {
			v.checkString(s.limits, value.String())
		}
	case kindInteger:
		if s.limits != nil {
			v.checkInteger(s.limits, value.Int())
		}
	}
}

func (v *validator) leave() { v.steps = v.steps[:len(v.steps)-1] }

func (v *validator) checkMembers(s *shape, value reflect.Value) {
	for i := range s.members {
		m := &s.members[i]
		field := value.Field(m.index)
		if field.IsNil() && !m.isRequired {
			continue
		}
		v.steps = append(v.steps, step{kind: kindStructure, name: m.name})
		switch {
		case field.IsNil():
			v.add(RuleRequired, "is required")
		case m.isPointer:
			v.check(m.shape, field.Elem())
		default:
			v.check(m.shape, field)
		}
		v.leave()
	}
}

func (v *validator) checkString(l *limits, text string) {
	if l.enum != nil {
		if !slices.Contains(l.enum, text) {
			v.add(RuleEnum, "is %s, and must be one of %s", quoteShort(text), strings.Join(l.enum, ", "))
		}
		return
	}
	length := int64(utf8.RuneCountInString(text))
	switch {
	case length < l.min:
		v.add(RuleMinLength, "has %s, and must %s", characters(length), l.saysOfLength("have at least %d", l.min))
	case l.max > 0 && length > l.max:
		v.add(RuleMaxLength, "has %s, and must %s", characters(length), l.saysOfLength("have at most %d", l.max))
	case l.compiled == nil || l.compiled.MatchString(text):
	case l.isSensitive:
		v.add(RulePattern, "must %s", l.says)
	default:
		v.add(RulePattern, "is %s, and must %s", quoteShort(text), l.says)
	}
}

func characters(count int64) string {
	if count == 1 {
		return "1 character"
	}
	return fmt.Sprintf("%d characters", count)
}

// saysOfLength is what a text of the wrong length must do. That it must be one of a few says more than a bound.
func (l *limits) saysOfLength(format string, bound int64) string {
	if strings.HasPrefix(l.says, "be ") {
		return l.says
	}
	return fmt.Sprintf(format, bound)
}

func (v *validator) checkInteger(l *limits, number int64) {
	switch {
	case l.min != 0 && number < l.min:
		v.add(RuleMin, "is %d, and must be at least %d", number, l.min)
	case l.max != 0 && number > l.max:
		v.add(RuleMax, "is %d, and must be at most %d", number, l.max)
	}
}
