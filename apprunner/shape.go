package apprunner

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"
)

// kind is what a shape is on the wire.
type kind int

const (
	kindStructure kind = iota
	kindList
	kindMap
	kindString
	kindInteger
	kindBoolean
	kindTimestamp
)

// shape is a Go type read once: all that the walkers need to know of it.
type shape struct {
	kind   kind
	goType reflect.Type
	// limits is what a scalar allows; nil when it allows everything.
	limits *limits
	// members are a structure's, in order; byName finds them.
	members []member
	byName  map[string]int
	// key and element are of a map; element also of a list.
	key, element *shape
}

// member is one field of a structure.
type member struct {
	// name is the one on the wire; prefix is `"name":`, ready to be written.
	name, prefix string
	index        int
	isRequired   bool
	// isPointer says that the field points to its value: a scalar or a structure. Lists and maps are nil when absent.
	isPointer bool
	shape     *shape
}

// maxMembers is how many members a structure may have: the decoder marks those it has seen in a word.
const maxMembers = 64

// shapes remembers the shape of each type that was asked for.
var shapes sync.Map // reflect.Type -> *shape

// shapeOf returns the shape of a type. It panics for a type that is no shape: that is a mistake in a definition, and the
// tests read them all.
func shapeOf(t reflect.Type) *shape {
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	made := map[reflect.Type]*shape{}
	root := readShape(t, made)
	// Stored only once complete, so that no other goroutine sees a shape half read.
	for t, s := range made {
		shapes.LoadOrStore(t, s)
	}
	return root
}

// readShape reads t and what it reaches. made holds those begun, which lets a structure contain itself.
func readShape(t reflect.Type, made map[reflect.Type]*shape) *shape {
	if s, ok := made[t]; ok {
		return s
	}
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	s := &shape{goType: t, limits: table[t]}
	made[t] = s
	switch {
	case t == of[time.Time]():
		s.kind = kindTimestamp
	case t.Kind() == reflect.Struct:
		s.kind = kindStructure
		s.readMembers(made)
	case t.Kind() == reflect.Slice:
		s.kind, s.element = kindList, readShape(t.Elem(), made)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		s.kind, s.key, s.element = kindMap, readShape(t.Key(), made), readShape(t.Elem(), made)
	case t.Kind() == reflect.String:
		s.kind = kindString
	case t.Kind() == reflect.Int32:
		s.kind = kindInteger
	case t.Kind() == reflect.Bool:
		s.kind = kindBoolean
	default:
		panic(fmt.Sprintf("apprunner: %s is no shape", t))
	}
	return s
}

func (s *shape) readMembers(made map[reflect.Type]*shape) {
	s.byName = map[string]int{}
	for i := range s.goType.NumField() {
		field := s.goType.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("api"), ",")
		if name == "" {
			name = field.Name
		}
		fieldType := field.Type
		isPointer := fieldType.Kind() == reflect.Pointer
		if isPointer {
			fieldType = fieldType.Elem()
		}
		m := member{
			name: name, prefix: string(appendString(nil, name)) + ":", index: i,
			isRequired: options == "required", isPointer: isPointer, shape: readShape(fieldType, made),
		}
		canBeAbsent := isPointer || m.shape.kind == kindList || m.shape.kind == kindMap
		if !canBeAbsent || options != "" && options != "required" {
			panic(fmt.Sprintf("apprunner: member %s of %s is defined wrongly", name, s.goType))
		}
		s.byName[name] = len(s.members)
		s.members = append(s.members, m)
	}
	if len(s.members) > maxMembers {
		panic(fmt.Sprintf("apprunner: %s has more than %d members", s.goType, maxMembers))
	}
}

// structureOf returns the structure that v points to, and its shape.
func structureOf(v any) (reflect.Value, *shape) {
	value := reflect.ValueOf(v)
	if value.Kind() != reflect.Pointer || value.IsNil() || value.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("apprunner: want a pointer to a structure, not %T", v))
	}
	value = value.Elem()
	return value, shapeOf(value.Type())
}

// String names a kind as a person says it.
func (k kind) String() string {
	switch k {
	case kindStructure, kindMap:
		return "an object"
	case kindList:
		return "a list"
	case kindInteger:
		return "an integer"
	case kindBoolean:
		return "true or false"
	case kindTimestamp:
		return "a number of seconds"
	default:
		return "a string"
	}
}
