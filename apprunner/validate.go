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
	found.check(s, value, nil)
	if len(found.violations) == 0 {
		return nil
	}
	return &ValidationError{found.violations}
}

// place is where the validator is; its path is made only when something is wrong there.
type place struct {
	above *place
	// step is made from one of these.
	member string
	index  int
	key    *string
}

func (p *place) path() string {
	steps := ""
	for ; p != nil; p = p.above {
		switch {
		case p.key != nil:
			steps = joinPath(keyStep(*p.key), steps)
		case p.member != "":
			steps = joinPath(memberStep(p.member), steps)
		default:
			steps = joinPath(indexStep(p.index), steps)
		}
	}
	return trimPath(steps)
}

type validator struct{ violations []Violation }

func (v *validator) add(at *place, rule Rule, format string, args ...any) {
	v.violations = append(v.violations, Violation{at.path(), rule, fmt.Sprintf(format, args...)})
}

func (v *validator) check(s *shape, value reflect.Value, at *place) {
	switch s.kind {
	case kindStructure:
		v.checkMembers(s, value, at)
	case kindList:
		for i := range value.Len() {
			v.check(s.element, value.Index(i), &place{above: at, index: i})
		}
	case kindMap:
		for _, key := range sortedKeys(value) {
			below := &place{above: at, key: new(key.String())}
			v.check(s.key, key, below)
			v.check(s.element, value.MapIndex(key), below)
		}
	case kindString:
		if s.limits != nil {
			v.checkString(s.limits, value.String(), at)
		}
	case kindInteger:
		if s.limits != nil {
			v.checkInteger(s.limits, value.Int(), at)
		}
	}
}

func (v *validator) checkMembers(s *shape, value reflect.Value, at *place) {
	for i := range s.members {
		m := &s.members[i]
		field := value.Field(m.index)
		if field.IsNil() {
			if m.isRequired {
				v.add(&place{above: at, member: m.name}, RuleRequired, "is required")
			}
			continue
		}
		if m.isPointer {
			field = field.Elem()
		}
		v.check(m.shape, field, &place{above: at, member: m.name})
	}
}

func (v *validator) checkString(l *limits, text string, at *place) {
	if l.enum != nil {
		if !slices.Contains(l.enum, text) {
			v.add(at, RuleEnum, "is %s, and must be one of %s", quoteShort(text), strings.Join(l.enum, ", "))
		}
		return
	}
	length := int64(utf8.RuneCountInString(text))
	switch {
	case length < l.min:
		v.add(at, RuleMinLength, "has %d characters, and must have at least %d", length, l.min)
	case l.max > 0 && length > l.max:
		v.add(at, RuleMaxLength, "has %d characters, and must have at most %d", length, l.max)
	case l.compiled == nil || l.compiled.MatchString(text):
	case l.isSensitive:
		v.add(at, RulePattern, "must %s", l.says)
	default:
		v.add(at, RulePattern, "is %s, and must %s", quoteShort(text), l.says)
	}
}

func (v *validator) checkInteger(l *limits, number int64, at *place) {
	switch {
	case l.min != 0 && number < l.min:
		v.add(at, RuleMin, "is %d, and must be at least %d", number, l.min)
	case l.max != 0 && number > l.max:
		v.add(at, RuleMax, "is %d, and must be at most %d", number, l.max)
	}
}
