package apprunner

import (
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// Value is a shape's value without its Go type: what the codecs of forms and of XML write from and read into, and what
// a program takes that handles any shape alike. It is one of the types below; a nil Value is an absent member.
type Value interface {
	// AppendJSON appends the bytes that the function of this name writes of the typed value.
	AppendJSON(dst []byte) []byte
	// kind closes the sum: no other package adds to it.
	kind() kind
}

type (
	// StructureValue holds the members that are there, in the order of their definition.
	StructureValue []MemberValue
	ListValue      []Value
	// MapValue is in the order of its keys.
	MapValue       []EntryValue
	StringValue    string
	EnumValue      string
	IntegerValue   int32
	BooleanValue   bool
	TimestampValue time.Time
)

// MemberValue is a member under its name on the wire.
type MemberValue struct {
	Name  string
	Value Value
}

// EntryValue is one key of a map.
type EntryValue struct {
	Key   string
	Value Value
}

func (StructureValue) kind() kind { return kindStructure }
func (ListValue) kind() kind      { return kindList }
func (MapValue) kind() kind       { return kindMap }
func (StringValue) kind() kind    { return kindString }
func (EnumValue) kind() kind      { return kindString }
func (IntegerValue) kind() kind   { return kindInteger }
func (BooleanValue) kind() kind   { return kindBoolean }
func (TimestampValue) kind() kind { return kindTimestamp }

func (v StructureValue) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	isFirst := true
	for _, member := range v {
		if member.Value == nil {
			continue
		}
		if !isFirst {
			dst = append(dst, ',')
		}
		isFirst = false
		dst = append(appendString(dst, member.Name), ':')
		dst = member.Value.AppendJSON(dst)
	}
	return append(dst, '}')
}

func (v ListValue) AppendJSON(dst []byte) []byte {
	dst = append(dst, '[')
	for i, element := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = element.AppendJSON(dst)
	}
	return append(dst, ']')
}

func (v MapValue) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, entry := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, entry.Key), ':')
		dst = entry.Value.AppendJSON(dst)
	}
	return append(dst, '}')
}

func (v StringValue) AppendJSON(dst []byte) []byte    { return appendString(dst, string(v)) }
func (v EnumValue) AppendJSON(dst []byte) []byte      { return appendString(dst, string(v)) }
func (v IntegerValue) AppendJSON(dst []byte) []byte   { return strconv.AppendInt(dst, int64(v), 10) }
func (v BooleanValue) AppendJSON(dst []byte) []byte   { return strconv.AppendBool(dst, bool(v)) }
func (v TimestampValue) AppendJSON(dst []byte) []byte { return appendTimestamp(dst, time.Time(v)) }

// ToValue returns the tree of v, which is of the type of a shape or points to one. Like the encoders it leaves absent
// members out, but never a required list.
func ToValue(v any) Value {
	value := reflect.ValueOf(v)
	for value.Kind() == reflect.Pointer && !value.IsNil() {
		value = value.Elem()
	}
	if !value.IsValid() || value.Kind() == reflect.Pointer {
		panic(fmt.Sprintf("apprunner: want a value, not a nil %T", v))
	}
	return shapeOf(value.Type()).toValue(value)
}

func (s *shape) toValue(value reflect.Value) Value {
	switch s.kind {
	case kindStructure:
		return s.toStructure(value)
	case kindList:
		list := make(ListValue, value.Len())
		for i := range list {
			list[i] = s.element.toValue(value.Index(i))
		}
		return list
	case kindMap:
		entries := make(MapValue, 0, value.Len())
		for _, key := range sortedKeys(value) {
			entries = append(entries, EntryValue{key.String(), s.element.toValue(value.MapIndex(key))})
		}
		return entries
	case kindInteger:
		return IntegerValue(value.Int())
	case kindBoolean:
		return BooleanValue(value.Bool())
	case kindTimestamp:
		return TimestampValue(value.Interface().(time.Time))
	default:
		return s.toText(value.String())
	}
}

func (s *shape) toStructure(value reflect.Value) StructureValue {
	structure := make(StructureValue, 0, len(s.members))
	for i := range s.members {
		m := &s.members[i]
		field := value.Field(m.index)
		if field.IsNil() && !(m.isRequired && m.shape.kind == kindList) {
			continue
		}
		if m.isPointer {
			field = field.Elem()
		}
		structure = append(structure, MemberValue{m.name, m.shape.toValue(field)})
	}
	return structure
}

// toText tells an enum from a string.
func (s *shape) toText(text string) Value {
	if s.limits != nil && s.limits.enum != nil {
		return EnumValue(text)
	}
	return StringValue(text)
}

// ValueError says where and why a tree or a form was refused.
type ValueError struct {
	Problem DecodeProblem
	// Path is a member's in a tree, and a parameter's name in a form. Empty for the whole.
	Path string
	// Wanted says what the member takes, for ProblemWrongType.
	Wanted string
}

func (e *ValueError) Error() string {
	place := e.Path
	if place == "" {
		place = "the value"
	}
	text := fmt.Sprintf("%s %s", place, e.Problem)
	if e.Wanted != "" {
		text += ": it takes " + e.Wanted
	}
	return text
}

// FromValue reads a tree into what v points to: an empty value of the type of a shape. Strings and enums stand for each
// other, and an enum may have a text that the table does not know. The error is a *ValueError, and v is then of no use.
func FromValue(value Value, v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		panic(fmt.Sprintf("apprunner: want a pointer to a value, not %T", v))
	}
	target = target.Elem()
	if err := shapeOf(target.Type()).fromValue(value, target, 0); err != nil {
		return &ValueError{Problem: err.Problem, Path: trimPath(err.Path), Wanted: err.Wanted}
	}
	return nil
}

func (s *shape) fromValue(value Value, target reflect.Value, depth int) *DecodeError {
	if value == nil || value.kind() != s.kind {
		return &DecodeError{Problem: ProblemWrongType, Wanted: s.kind.String()}
	}
	if depth >= maxDepth && !s.isScalar() {
		return &DecodeError{Problem: ProblemTooDeep}
	}
	switch value := value.(type) {
	case StructureValue:
		return s.fromStructure(value, target, depth)
	case ListValue:
		target.Set(reflect.MakeSlice(s.goType, len(value), len(value)))
		for i, element := range value {
			if err := s.element.fromValue(element, target.Index(i), depth+1); err != nil {
				return err.below(indexStep(i))
			}
		}
	case MapValue:
		return s.fromMap(value, target, depth)
	case StringValue:
		target.SetString(string(value))
	case EnumValue:
		target.SetString(string(value))
	case IntegerValue:
		target.SetInt(int64(value))
	case BooleanValue:
		target.SetBool(bool(value))
	case TimestampValue:
		target.Set(reflect.ValueOf(time.Time(value)))
	}
	return nil
}

func (s *shape) fromStructure(value StructureValue, target reflect.Value, depth int) *DecodeError {
	var seen uint64
	for _, given := range value {
		position, isMember := s.byName[given.Name]
		if !isMember {
			return (&DecodeError{Problem: ProblemUnknownMember}).below(memberOrKey([]byte(given.Name)))
		}
		m := &s.members[position]
		if seen&(1<<position) != 0 {
			return (&DecodeError{Problem: ProblemDuplicateMember}).below(memberStep(m.name))
		}
		seen |= 1 << position
		if given.Value == nil {
			continue
		}
		field := target.Field(m.index)
		if m.isPointer {
			field.Set(reflect.New(m.shape.goType))
			field = field.Elem()
		}
		if err := m.shape.fromValue(given.Value, field, depth+1); err != nil {
			return err.below(memberStep(m.name))
		}
	}
	return nil
}

func (s *shape) fromMap(value MapValue, target reflect.Value, depth int) *DecodeError {
	made := reflect.MakeMapWithSize(s.goType, len(value))
	target.Set(made)
	for _, entry := range value {
		key := reflect.New(s.key.goType).Elem()
		key.SetString(entry.Key)
		if made.MapIndex(key).IsValid() {
			return (&DecodeError{Problem: ProblemDuplicateMember}).below(keyStep(entry.Key))
		}
		element := reflect.New(s.element.goType).Elem()
		if err := s.element.fromValue(entry.Value, element, depth+1); err != nil {
			return err.below(keyStep(entry.Key))
		}
		made.SetMapIndex(key, element)
	}
	return nil
}
