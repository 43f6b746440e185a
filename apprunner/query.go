package apprunner

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	ProblemTooLarge DecodeProblem = "is larger than any request is"
	ProblemMissing  DecodeProblem = "is missing"
)

// Bounds of a form and of an XML document. A server takes less; the largest answer is ten thousand lines of a log, each
// of a few values.
const (
	maxDocument = 4 << 20
	maxValues   = 1 << 17
)

// EncodeQuery returns the structure that v points to as parameters of the AWS Query protocol, which precede Action and
// Version: Tags.member.1.Key, Variables.entry.1.key and Variables.entry.1.value, an empty list as its name without a
// text. It does not validate.
//
// The protocol has no words for an empty map and for a structure without members: they leave no parameter.
func EncodeQuery(v any) url.Values {
	value, s := structureOf(v)
	form := url.Values{}
	appendForm(form, "", s.toValue(value))
	return form
}

func appendForm(form url.Values, name string, value Value) {
	switch value := value.(type) {
	case StructureValue:
		for _, member := range value {
			appendForm(form, belowName(name, member.Name), member.Value)
		}
	case ListValue:
		if len(value) == 0 {
			form.Set(name, "")
		}
		for i, element := range value {
			appendForm(form, numberedName(name, "member", i+1), element)
		}
	case MapValue:
		for i, entry := range value {
			form.Set(numberedName(name, "entry", i+1)+".key", entry.Key)
			appendForm(form, numberedName(name, "entry", i+1)+".value", entry.Value)
		}
	default:
		form.Set(name, scalarText(value))
	}
}

func belowName(name, step string) string {
	if name == "" {
		return step
	}
	return name + "." + step
}

func numberedName(name, word string, number int) string {
	return name + "." + word + "." + strconv.Itoa(number)
}

// DecodeQuery reads parameters of the AWS Query protocol into the structure that v points to, which should be empty.
// The caller takes Action and Version out before: here they are unknown. Numbers begin at 1 and leave none out. The
// error is a *ValueError that names the parameter, and v is then of no use. It does not validate.
func DecodeQuery(form url.Values, v any) error {
	value, s := structureOf(v)
	parameters, refused := parametersOf(form)
	if refused != nil {
		return refused
	}
	tree, refused := formStructure(s, "", parameters, 0)
	if refused != nil {
		return refused
	}
	if err := s.fromValue(tree, value, 0); err != nil {
		return &ValueError{Problem: err.Problem, Path: trimPath(err.Path), Wanted: err.Wanted}
	}
	return nil
}

// parameter is one of a form. rest is its name below the place that is being read, which for isAtEnd is the whole name.
type parameter struct {
	name, rest, text string
	isAtEnd          bool
}

// parametersOf returns a form's parameters in the order of their names, so that of several errors always the same is
// found.
func parametersOf(form url.Values) ([]parameter, *ValueError) {
	if len(form) > maxValues {
		return nil, &ValueError{Problem: ProblemTooLarge, Path: "the form"}
	}
	size := 0
	parameters := make([]parameter, 0, len(form))
	for _, name := range slices.Sorted(maps.Keys(form)) {
		texts := form[name]
		if len(texts) != 1 {
			return nil, refuseParameter(name, ProblemDuplicateMember)
		}
		if size += len(name) + len(texts[0]); size > maxDocument {
			return nil, refuseParameter(name, ProblemTooLarge)
		}
		parameters = append(parameters, parameter{name: name, rest: name, text: texts[0]})
	}
	return parameters, nil
}

func refuseParameter(name string, problem DecodeProblem) *ValueError {
	return &ValueError{Problem: problem, Path: shownName(name)}
}

// maxName is more than the longest name of a parameter has.
const maxName = 256

// shownName is a parameter's name, quoted unless it could be one of ours.
func shownName(name string) string {
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.') {
			return quoteShort(name)
		}
	}
	if name == "" || len(name) > maxName {
		return quoteShort(name)
	}
	return name
}

// group is the parameters below one step of a name, in the order of the form.
type group struct {
	step       string
	parameters []parameter
}

// groupByStep takes the next step off each name.
func groupByStep(parameters []parameter) []group {
	var groups []group
	positions := map[string]int{}
	for _, p := range parameters {
		step, rest, hasMore := strings.Cut(p.rest, ".")
		position, isKnown := positions[step]
		if !isKnown {
			position = len(groups)
			positions[step] = position
			groups = append(groups, group{step: step})
		}
		p.rest, p.isAtEnd = rest, !hasMore
		groups[position].parameters = append(groups[position].parameters, p)
	}
	return groups
}

// formValue reads the parameters below name, of which there is at least one.
func formValue(s *shape, name string, parameters []parameter, depth int) (Value, *ValueError) {
	if depth >= maxDepth && !s.isScalar() {
		return nil, refuseParameter(name, ProblemTooDeep)
	}
	for _, p := range parameters {
		if !p.isAtEnd {
			continue
		}
		switch {
		case s.kind == kindList && p.text == "" && len(parameters) == 1:
			return ListValue{}, nil
		case len(parameters) > 1 && s.kind == kindList:
			return nil, refuseParameter(name, ProblemDuplicateMember)
		case !s.isScalar():
			return nil, &ValueError{Problem: ProblemWrongType, Path: shownName(name), Wanted: s.kind.String()}
		}
	}
	switch s.kind {
	case kindStructure:
		return formStructure(s, name, parameters, depth)
	case kindList:
		return formList(s, name, parameters, depth)
	case kindMap:
		return formMap(s, name, parameters, depth)
	default:
		return formScalar(s, parameters)
	}
}

func formScalar(s *shape, parameters []parameter) (Value, *ValueError) {
	for _, p := range parameters {
		if !p.isAtEnd {
			return nil, refuseParameter(p.name, ProblemUnknownMember)
		}
	}
	p := parameters[0]
	value, problem := s.parseText(p.text)
	if problem != "" {
		err := refuseParameter(p.name, problem)
		if problem == ProblemWrongType {
			err.Wanted = s.wantedText()
		}
		return nil, err
	}
	return value, nil
}

func formStructure(s *shape, name string, parameters []parameter, depth int) (StructureValue, *ValueError) {
	values := make([]Value, len(s.members))
	count := 0
	for _, g := range groupByStep(parameters) {
		position, isMember := s.byName[g.step]
		if !isMember {
			return nil, refuseParameter(g.parameters[0].name, ProblemUnknownMember)
		}
		m := &s.members[position]
		value, err := formValue(m.shape, belowName(name, m.name), g.parameters, depth+1)
		if err != nil {
			return nil, err
		}
		values[position] = value
		count++
	}
	structure := make(StructureValue, 0, count)
	for i, value := range values {
		if value != nil {
			structure = append(structure, MemberValue{s.members[i].name, value})
		}
	}
	return structure, nil
}

// numbered returns the parameters below name.word.1, name.word.2 and so on.
func numbered(name, word string, parameters []parameter) ([][]parameter, *ValueError) {
	for _, g := range groupByStep(parameters) {
		if g.step != word || g.parameters[0].isAtEnd {
			return nil, refuseParameter(g.parameters[0].name, ProblemUnknownMember)
		}
		parameters = g.parameters
	}
	groups := groupByStep(parameters)
	byNumber := make([][]parameter, len(groups))
	for _, g := range groups {
		number, err := strconv.Atoi(g.step)
		if err != nil || number < 1 || strconv.Itoa(number) != g.step {
			return nil, refuseParameter(g.parameters[0].name, ProblemUnknownMember)
		}
		if number <= len(groups) {
			byNumber[number-1] = g.parameters
		}
	}
	for i, parameters := range byNumber {
		if parameters == nil {
			return nil, refuseParameter(numberedName(name, word, i+1), ProblemMissing)
		}
	}
	return byNumber, nil
}

func formList(s *shape, name string, parameters []parameter, depth int) (Value, *ValueError) {
	elements, err := numbered(name, "member", parameters)
	if err != nil {
		return nil, err
	}
	list := make(ListValue, len(elements))
	for i, element := range elements {
		if list[i], err = formValue(s.element, numberedName(name, "member", i+1), element, depth+1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func formMap(s *shape, name string, parameters []parameter, depth int) (Value, *ValueError) {
	entries, err := numbered(name, "entry", parameters)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(entries))
	made := make(MapValue, len(entries))
	for i, entry := range entries {
		entryName := numberedName(name, "entry", i+1)
		var key Value
		for _, g := range groupByStep(entry) {
			switch g.step {
			case "key":
				key, err = formValue(s.key, entryName+".key", g.parameters, depth+1)
			case "value":
				made[i].Value, err = formValue(s.element, entryName+".value", g.parameters, depth+1)
			default:
				err = refuseParameter(g.parameters[0].name, ProblemUnknownMember)
			}
			if err != nil {
				return nil, err
			}
		}
		switch {
		case key == nil:
			return nil, refuseParameter(entryName+".key", ProblemMissing)
		case made[i].Value == nil:
			return nil, refuseParameter(entryName+".value", ProblemMissing)
		case seen[scalarText(key)]:
			return nil, refuseParameter(entryName+".key", ProblemDuplicateMember)
		}
		made[i].Key = scalarText(key)
		seen[made[i].Key] = true
	}
	return made, nil
}
