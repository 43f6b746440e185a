package apprunner

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
)

// DecodeProblem is what is wrong with a body.
type DecodeProblem string

const (
	ProblemSyntax          DecodeProblem = "is not valid JSON"
	ProblemInvalidUTF8     DecodeProblem = "holds text that is not valid UTF-8"
	ProblemUnknownMember   DecodeProblem = "is not a member"
	ProblemDuplicateMember DecodeProblem = "is given twice"
	ProblemWrongType       DecodeProblem = "has the wrong type"
	ProblemTooDeep         DecodeProblem = "is nested too deeply"
	ProblemTrailingData    DecodeProblem = "is followed by more than white space"
)

// DecodeError says where and why a body was refused.
type DecodeError struct {
	Problem DecodeProblem
	// Path is the member's; empty for the body as a whole.
	Path string
	// Wanted says what the member takes, for ProblemWrongType.
	Wanted string
	// Offset is how many bytes of the body were read.
	Offset int
}

func (e *DecodeError) Error() string {
	place := e.Path
	if place == "" {
		place = "the body"
	}
	text := fmt.Sprintf("%s %s", place, e.Problem)
	if e.Wanted != "" {
		text += ": it takes " + e.Wanted
	}
	return fmt.Sprintf("%s (at byte %d)", text, e.Offset)
}

// maxDepth bounds the nesting of shapes that contain themselves.
const maxDepth = 64

// DecodeJSON reads a JSON object into the structure that v points to, which should be empty. A null member is absent.
// The error is a *DecodeError, and v is then of no use. It does not validate.
func DecodeJSON(data []byte, v any) error { return decodeJSON(data, v, false) }

// DecodeAnswer is DecodeJSON for what a service answered: members that are not known here, as of a newer service, are
// passed over.
func DecodeAnswer(data []byte, v any) error { return decodeJSON(data, v, true) }

func decodeJSON(data []byte, v any, skipsUnknown bool) error {
	value, s := structureOf(v)
	d := decoder{reader: reader{data: data}, skipsUnknown: skipsUnknown}
	if err := d.structure(s, value); err != nil {
		err.Path = trimPath(err.Path)
		return err
	}
	if d.peek() != 0 {
		return d.fail(ProblemTrailingData)
	}
	return nil
}

type decoder struct {
	reader
	depth        int
	skipsUnknown bool
}

func (d *decoder) fail(problem DecodeProblem) *DecodeError {
	return &DecodeError{Problem: problem, Offset: d.at}
}

// below puts a step in front of an error's path.
func (e *DecodeError) below(step string) *DecodeError {
	e.Path = step + e.Path
	return e
}

func (d *decoder) value(s *shape, value reflect.Value) *DecodeError {
	switch s.kind {
	case kindStructure:
		return d.structure(s, value)
	case kindList:
		return d.list(s, value)
	case kindMap:
		return d.mapping(s, value)
	case kindString:
		return d.string(s, value)
	case kindBoolean:
		return d.boolean(s, value)
	case kindInteger:
		return d.integer(s, value)
	default:
		return d.timestamp(s, value)
	}
}

// wrongType is for a value of another kind than s. What is no value at all is a mistake of syntax.
func (d *decoder) wrongType(s *shape) *DecodeError {
	switch c := d.peek(); {
	case c == '{', c == '[', c == '"', c == '-', c >= '0' && c <= '9':
	case d.takeWord("true"), d.takeWord("false"), d.takeWord("null"):
	default:
		return d.fail(ProblemSyntax)
	}
	err := d.fail(ProblemWrongType)
	err.Wanted = s.kind.String()
	return err
}

func (d *decoder) structure(s *shape, value reflect.Value) *DecodeError {
	var seen uint64
	return d.object(s, func(key []byte) *DecodeError {
		position, isMember := s.byName[string(key)]
		if !isMember && d.skipsUnknown {
			return d.skipMember()
		}
		if !isMember {
			return d.fail(ProblemUnknownMember).below(memberOrKey(key))
		}
		m := &s.members[position]
		if seen&(1<<position) != 0 {
			return d.fail(ProblemDuplicateMember).below(memberStep(m.name))
		}
		seen |= 1 << position
		if !d.take(':') {
			return d.fail(ProblemSyntax).below(memberStep(m.name))
		}
		if d.takeWord("null") {
			return nil
		}
		field := value.Field(m.index)
		if m.isPointer {
			field.Set(reflect.New(m.shape.goType))
			field = field.Elem()
		}
		if err := d.value(m.shape, field); err != nil {
			return err.below(memberStep(m.name))
		}
		return nil
	})
}

// memberOrKey shows a name that a client made up.
func memberOrKey(key []byte) string {
	if len(key) == 0 || len(key) > maxShown {
		return keyStep(string(key))
	}
	for _, c := range key {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_') {
			return keyStep(string(key))
		}
	}
	return memberStep(string(key))
}

func (d *decoder) mapping(s *shape, value reflect.Value) *DecodeError {
	made := reflect.MakeMap(s.goType)
	value.Set(made)
	element := reflect.New(s.element.goType).Elem()
	return d.object(s, func(key []byte) *DecodeError {
		name := reflect.New(s.key.goType).Elem()
		name.SetString(string(key))
		if made.MapIndex(name).IsValid() {
			return d.fail(ProblemDuplicateMember).below(keyStep(string(key)))
		}
		if !d.take(':') {
			return d.fail(ProblemSyntax).below(keyStep(string(key)))
		}
		element.SetZero()
		if err := d.value(s.element, element); err != nil {
			return err.below(keyStep(string(key)))
		}
		made.SetMapIndex(name, element)
		return nil
	})
}

// object reads the braces, keys and commas of an object; each takes over after a key.
func (d *decoder) object(s *shape, each func(key []byte) *DecodeError) *DecodeError {
	if !d.take('{') {
		return d.wrongType(s)
	}
	if d.depth++; d.depth > maxDepth {
		return d.fail(ProblemTooDeep)
	}
	defer func() { d.depth-- }()
	if d.take('}') {
		return nil
	}
	for {
		if d.peek() != '"' {
			return d.fail(ProblemSyntax)
		}
		key, problem := d.text()
		if problem != "" {
			return d.fail(problem)
		}
		if err := each(key); err != nil {
			return err
		}
		if d.take('}') {
			return nil
		}
		if !d.take(',') {
			return d.fail(ProblemSyntax)
		}
	}
}

func (d *decoder) list(s *shape, value reflect.Value) *DecodeError {
	value.Set(reflect.MakeSlice(s.goType, 0, 0))
	return d.items(s, func(i int) *DecodeError {
		value.Grow(1)
		value.SetLen(i + 1)
		value.Index(i).SetZero()
		return d.value(s.element, value.Index(i))
	})
}

// items reads the brackets and commas of a list; each takes over before an item.
func (d *decoder) items(s *shape, each func(i int) *DecodeError) *DecodeError {
	if !d.take('[') {
		return d.wrongType(s)
	}
	if d.depth++; d.depth > maxDepth {
		return d.fail(ProblemTooDeep)
	}
	defer func() { d.depth-- }()
	if d.take(']') {
		return nil
	}
	for i := 0; ; i++ {
		if err := each(i); err != nil {
			return err.below(indexStep(i))
		}
		if d.take(']') {
			return nil
		}
		if !d.take(',') {
			return d.fail(ProblemSyntax)
		}
	}
}

// skipMember passes over what follows an unknown key. It is checked for syntax all the same.
func (d *decoder) skipMember() *DecodeError {
	if !d.take(':') {
		return d.fail(ProblemSyntax)
	}
	return d.skip()
}

func (d *decoder) skip() *DecodeError {
	switch c := d.peek(); {
	case c == '{':
		return d.object(anything, func([]byte) *DecodeError { return d.skipMember() })
	case c == '[':
		return d.items(anything, func(int) *DecodeError { return d.skip() })
	case c == '"':
		if _, problem := d.text(); problem != "" {
			return d.fail(problem)
		}
		return nil
	case d.takeWord("true"), d.takeWord("false"), d.takeWord("null"):
		return nil
	}
	if _, ok := d.number(); !ok {
		return d.fail(ProblemSyntax)
	}
	return nil
}

// anything is the shape of a value that is passed over.
var anything = &shape{kind: kindStructure}

func (d *decoder) string(s *shape, value reflect.Value) *DecodeError {
	if d.peek() != '"' {
		return d.wrongType(s)
	}
	text, problem := d.text()
	if problem != "" {
		return d.fail(problem)
	}
	value.SetString(string(text))
	return nil
}

func (d *decoder) boolean(s *shape, value reflect.Value) *DecodeError {
	switch {
	case d.takeWord("true"):
		value.SetBool(true)
	case d.takeWord("false"):
		value.SetBool(false)
	default:
		return d.wrongType(s)
	}
	return nil
}

func (d *decoder) integer(s *shape, value reflect.Value) *DecodeError {
	text, err := d.numberText(s)
	if err != nil {
		return err
	}
	number, parseErr := strconv.ParseInt(string(text), 10, 32)
	if parseErr != nil { // a fraction, an exponent, or more than 32 bits
		err := d.fail(ProblemWrongType)
		err.Wanted = "an integer of 32 bits"
		return err
	}
	value.SetInt(number)
	return nil
}

// lastSecond is the end of the year 9999.
const lastSecond = 253402300799

func (d *decoder) timestamp(s *shape, value reflect.Value) *DecodeError {
	text, err := d.numberText(s)
	if err != nil {
		return err
	}
	seconds, parseErr := strconv.ParseFloat(string(text), 64)
	if parseErr != nil || math.Abs(seconds) > lastSecond {
		err := d.fail(ProblemWrongType)
		err.Wanted = "seconds since 1970, up to the year 9999"
		return err
	}
	// A float holds today's seconds exactly to less than a microsecond, and the wire carries milliseconds.
	at := time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC()
	value.Set(reflect.ValueOf(at))
	return nil
}

func (d *decoder) numberText(s *shape) ([]byte, *DecodeError) {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		return nil, d.wrongType(s)
	}
	text, ok := d.number()
	if !ok {
		return nil, d.fail(ProblemSyntax)
	}
	return text, nil
}
