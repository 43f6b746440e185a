package apprunner

import (
	"flag"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// everyAction is each action with its input and output. The tests of the codecs find all other shapes below these.
var everyAction = actionsUnderTest()

type actionUnderTest struct {
	name          string
	input, output any
}

func actionsUnderTest() []actionUnderTest {
	all := make([]actionUnderTest, len(endpoints))
	for i, endpoint := range endpoints {
		all[i] = actionUnderTest{
			endpoint.action().Name, reflect.Zero(endpoint.input()).Interface(), reflect.Zero(endpoint.output()).Interface(),
		}
	}
	return all
}

func TestTheTableOfShapesHasEveryAction(t *testing.T) {
	for i, action := range slices.Concat(Actions(), ExtensionActions()) {
		if i >= len(everyAction) || everyAction[i].name != action.Name {
			t.Fatalf("%s is not where it should be in everyAction", action.Name)
		}
	}
	for _, action := range everyAction {
		for what, v := range map[string]any{"Request": action.input, "Response": action.output} {
			if got := shapeOf(reflect.TypeOf(v)).modelName(); got != action.name+what {
				t.Errorf("%s has a %s of the shape %s", action.name, what, got)
			}
		}
	}
}

// everyShape returns all shapes of all actions, each before those that it is made of.
func everyShape() []*shape {
	var found []*shape
	seen := map[*shape]bool{}
	var visit func(s *shape)
	visit = func(s *shape) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		found = append(found, s)
		for _, m := range s.members {
			visit(m.shape)
		}
		visit(s.key)
		visit(s.element)
	}
	for _, action := range everyAction {
		visit(shapeOf(reflect.TypeOf(action.input)))
		visit(shapeOf(reflect.TypeOf(action.output)))
	}
	return found
}

func TestThereAreAllShapesOfTheModel(t *testing.T) {
	kinds, names := map[kind]int{}, map[string]bool{}
	extensions := map[string]bool{}
	for _, f := range deliberate[0].facts {
		extensions[strings.TrimPrefix(f.name, "shape ")] = true
	}
	for _, s := range append(everyShape(), shapeOf(of[ErrorMessage]())) {
		name := wireName(s)
		isUnnamedList := s.kind == kindList && s.goType.Name() == "" // of an extension
		if extensions[name] || isUnnamedList {
			continue
		}
		if names[name] {
			t.Errorf("two types are the shape %s", name)
		}
		names[name] = true
		kinds[s.kind]++
	}
	kinds[kindStructure] += len(exceptionCodes)
	// Boolean, HasAssociatedService, IsDefault, Latest and NullableBoolean of the model are one type of Go.
	kinds[kindBoolean] += 4
	want := map[kind]int{kindStructure: 113, kindList: 14, kindMap: 2, kindString: 48, kindInteger: 16, kindBoolean: 5, kindTimestamp: 1}
	total := 0
	for kind, count := range kinds {
		total += count
		if count != want[kind] {
			t.Errorf("there are %d shapes that are %s, want %d", count, kind, want[kind])
		}
	}
	if total != 199 {
		t.Errorf("there are %d shapes, want 199", total)
	}
}

func TestAnUnknownTextOfAnEnumIsReadAndRefusedByValidate(t *testing.T) {
	count := 0
	for _, s := range everyShape() {
		if s.limits == nil || s.limits.enum == nil {
			continue
		}
		count++
		const text = "NEWER_THAN_THIS"
		read := reflect.New(s.goType).Elem()
		if err := (&decoder{reader: reader{data: []byte(`"` + text + `"`)}}).value(s, read); err != nil || read.String() != text {
			t.Errorf("%s is read from JSON as %q, %v", s.goType, read, err)
		}
		parsed, problem := s.parseText(text)
		if problem != "" || parsed != EnumValue(text) {
			t.Errorf("%s is read from text as %v, %s", s.goType, parsed, problem)
		}
		found := validator{steps: []step{{kind: kindStructure, name: "Member"}}}
		found.check(s, read)
		if len(found.violations) != 1 || found.violations[0].Rule != RuleEnum || found.violations[0].Path != "Member" {
			t.Errorf("%s: %v, want a violation of %s", s.goType, found.violations, RuleEnum)
		}
	}
	if count != 19 {
		t.Errorf("there are %d enums, want 19", count)
	}
}

var seedFlag = flag.Uint64("seed", 0, "seed of the random values; 0 takes a new one")

// generator makes random values, valid or not: the codecs do not validate.
type generator struct {
	*rand.Rand
	// isXML leaves out the characters that XML cannot hold.
	isXML bool
	// isForm makes no structure without members and no empty map, which a form cannot tell from absent ones.
	isForm bool
	// isWhole makes timestamps of whole seconds.
	isWhole bool
	// hasNoReturn leaves out carriage returns.
	hasNoReturn bool
}

func newGenerator(t *testing.T) *generator {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("the values are those of -seed %d", seed)
	return &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
}

// structure returns a pointer to a random structure of the shape.
func (g *generator) structure(s *shape) any {
	made := reflect.New(s.goType)
	g.fill(s, made.Elem())
	return made.Interface()
}

func (g *generator) fill(s *shape, value reflect.Value) {
	switch s.kind {
	case kindStructure:
		g.fillMembers(s, value)
	case kindList:
		value.Set(reflect.MakeSlice(s.goType, g.length(0), 4))
		for i := range value.Len() {
			g.fill(s.element, value.Index(i))
		}
	case kindMap:
		value.Set(reflect.MakeMap(s.goType))
		atLeast := 0
		if g.isForm {
			atLeast = 1
		}
		for length := g.length(atLeast); value.Len() < length; {
			key, element := reflect.New(s.key.goType).Elem(), reflect.New(s.element.goType).Elem()
			g.fill(s.key, key)
			g.fill(s.element, element)
			value.SetMapIndex(key, element)
		}
	case kindInteger:
		value.SetInt(int64(g.integer()))
	case kindBoolean:
		value.SetBool(g.IntN(2) == 0)
	case kindTimestamp:
		value.Set(reflect.ValueOf(g.timestamp()))
	default:
		if s.limits != nil && s.limits.enum != nil && g.IntN(8) > 0 {
			value.SetString(s.limits.enum[g.IntN(len(s.limits.enum))])
			return
		}
		value.SetString(g.text())
	}
}

func (g *generator) fillMembers(s *shape, value reflect.Value) {
	sure := -1
	if g.isForm && len(s.members) > 0 {
		sure = g.IntN(len(s.members))
	}
	for i, m := range s.members {
		// A required list is never absent on the wire.
		if i != sure && !(m.isRequired && m.shape.kind == kindList) && g.IntN(4) == 0 {
			continue
		}
		field := value.Field(m.index)
		if m.isPointer {
			field.Set(reflect.New(m.shape.goType))
			field = field.Elem()
		}
		g.fill(m.shape, field)
	}
}

func (g *generator) length(atLeast int) int { return max(atLeast, g.IntN(5)-1) }

func (g *generator) integer() int32 {
	switch g.IntN(4) {
	case 0:
		return int32(g.Uint32())
	case 1:
		return []int32{0, -1, 1, 1<<31 - 1, -1 << 31}[g.IntN(5)]
	default:
		return g.Int32N(300)
	}
}

// timestamp is of the years 1844 to 2096, whose microseconds the floating numbers of JSON hold.
func (g *generator) timestamp() time.Time {
	const first, last = -4_000_000_000, 4_000_000_000
	at := time.Unix(first+g.Int64N(last-first), 0)
	if !g.isWhole && g.IntN(4) > 0 {
		at = at.Add(time.Duration(g.IntN(1000)) * time.Millisecond)
	}
	return at.UTC()
}

// pieces are what texts are made of: what a codec may have to escape, and what it may take for its own.
var pieces = []string{
	"a", "Z", "0", "arn:aws:", "\n", "\r", "\r\n", "\t", " ", "  ", "<", ">", "&", "&amp;", "]]>", "<![CDATA[", "<!--", "'", `"`, `\`,
	`\n`, "%", "%41", "+", "=", "&a=b", ";", ".", ".member.1", "/", "é", "ß", "漢", "😀", "\u2028", "\ufeff", "\ufffd", "\u00a0", "\u0085", "\x7f",
	"true", "null", "1.5", "2020-05-15T00:00:00Z",
}

// controls are the characters that XML cannot hold.
var controls = []string{"\x00", "\x01", "\x1b", "\b", "\f", "\ufffe", "\uffff"}

func (g *generator) text() string {
	var text strings.Builder
	for range g.IntN(6) {
		if !g.isXML && g.IntN(8) == 0 {
			text.WriteString(controls[g.IntN(len(controls))])
			continue
		}
		text.WriteString(pieces[g.IntN(len(pieces))])
	}
	if g.hasNoReturn {
		return strings.ReplaceAll(text.String(), "\r", "")
	}
	return text.String()
}

// newValue returns a random value of any shape.
func newValue(g *generator, s *shape) reflect.Value {
	value := reflect.New(s.goType).Elem()
	g.fill(s, value)
	return value
}

// newOf returns an empty structure of the type of the one that v points to.
func newOf(v any) any { return reflect.New(reflect.TypeOf(v).Elem()).Interface() }
