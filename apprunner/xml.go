package apprunner

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// XMLNamespace is the one that elements may be in. They may also be in none.
const XMLNamespace = "http://apprunner.amazonaws.com/doc/2020-05-15/"

const ProblemXMLSyntax DecodeProblem = "is not valid XML"

// EncodeXML returns the structure that v points to as an element of that name: a member is an element, a list holds
// <member>, a map holds <entry> of <key> and <value>. It has no declaration and names no namespace, so that it fits
// into the envelope of a response and into the envelope's namespace. It does not validate.
//
// XML 1.0 has no way to write most control characters, U+FFFE and U+FFFF, and bytes that are not UTF-8. Each becomes
// U+FFFD, as bytes that are not UTF-8 do in JSON: output of programs may contain them, and an answer with a mark in it
// is worth more than none. Line breaks and tabs are written as references, which no reader turns into something else.
func EncodeXML(name string, v any) []byte {
	value, s := structureOf(v)
	var document bytes.Buffer
	writeElement(&document, name, s.toValue(value))
	return document.Bytes()
}

func writeElement(document *bytes.Buffer, name string, value Value) {
	writeTag(document, "<", name)
	switch value := value.(type) {
	case StructureValue:
		for _, member := range value {
			writeElement(document, member.Name, member.Value)
		}
	case ListValue:
		for _, element := range value {
			writeElement(document, "member", element)
		}
	case MapValue:
		for _, entry := range value {
			writeTag(document, "<", "entry")
			writeElement(document, "key", StringValue(entry.Key))
			writeElement(document, "value", entry.Value)
			writeTag(document, "</", "entry")
		}
	default:
		// A buffer fails at nothing.
		_ = xml.EscapeText(document, []byte(scalarText(value)))
	}
	writeTag(document, "</", name)
}

func writeTag(document *bytes.Buffer, open, name string) {
	document.WriteString(open)
	document.WriteString(name)
	document.WriteByte('>')
}

// DecodeXML reads an element, whatever its name, into the structure that v points to, which should be empty. It takes
// what EncodeXML and botocore write, in UTF-8, with comments and white space between elements; but no document type, no
// processing instruction and no attribute other than a namespace's. A reference to half of a surrogate pair, which no
// XML has, reads as U+FFFD. The error is a *DecodeError, and v is then of no use. It does not validate.
func DecodeXML(data []byte, v any) error {
	value, s := structureOf(v)
	if len(data) > maxDocument {
		return &DecodeError{Problem: ProblemTooLarge}
	}
	r := xmlReader{decoder: xml.NewDecoder(bytes.NewReader(data))}
	tree, err := r.document(s)
	if err == nil {
		err = s.fromValue(tree, value, 0)
	}
	if err != nil {
		err.Path = trimPath(err.Path)
		return err
	}
	return nil
}

// xmlReader makes a tree of a document. Each of its methods for a shape begins after the element's start and ends with
// its end.
type xmlReader struct {
	decoder *xml.Decoder
	depth   int
	// count is of the values made. The smallest element takes less of a document than of memory.
	count int
}

func (r *xmlReader) fail(problem DecodeProblem) *DecodeError {
	return &DecodeError{Problem: problem, Offset: int(r.decoder.InputOffset())}
}

func (r *xmlReader) document(s *shape) (Value, *DecodeError) {
	if err := r.prologue(); err != nil {
		return nil, err
	}
	value, err := r.value(s)
	if err != nil {
		return nil, err
	}
	for {
		token, tokenErr := r.decoder.Token()
		switch {
		case errors.Is(tokenErr, io.EOF): // the decoder returns it bare, and only once every element has ended
			return value, nil
		case tokenErr != nil:
			return nil, r.fail(ProblemXMLSyntax)
		case !isIgnorable(token):
			return nil, r.fail(ProblemTrailingData)
		}
	}
}

// prologue reads up to the start of the first element.
func (r *xmlReader) prologue() *DecodeError {
	for isFirst := true; ; isFirst = false {
		token, tokenErr := r.decoder.Token()
		if tokenErr != nil {
			return r.fail(ProblemXMLSyntax)
		}
		switch token := token.(type) {
		case xml.StartElement:
			return r.checkStart(token)
		case xml.ProcInst: // the declaration, which the decoder has checked
			if token.Target != "xml" || !isFirst {
				return r.fail(ProblemXMLSyntax)
			}
		default:
			if !isIgnorable(token) {
				return r.fail(ProblemXMLSyntax)
			}
		}
	}
}

// isIgnorable says whether a token may stand between elements.
func isIgnorable(token xml.Token) bool {
	switch token := token.(type) {
	case xml.Comment:
		return true
	case xml.CharData:
		return len(bytes.Trim(token, " \t\r\n")) == 0
	}
	return false
}

func (r *xmlReader) checkStart(start xml.StartElement) *DecodeError {
	isOurs := start.Name.Space == "" || start.Name.Space == XMLNamespace
	for _, attribute := range start.Attr {
		isOurs = isOurs && (attribute.Name.Space == "xmlns" || attribute.Name == xml.Name{Local: "xmlns"})
	}
	if !isOurs {
		return r.fail(ProblemUnknownMember).below(memberOrKey([]byte(start.Name.Local)))
	}
	return nil
}

// next returns the name of the next element inside the current one; isEnd says that there is none.
func (r *xmlReader) next(s *shape) (name string, isEnd bool, err *DecodeError) {
	for {
		token, tokenErr := r.decoder.Token()
		if tokenErr != nil {
			return "", false, r.fail(ProblemXMLSyntax)
		}
		switch token := token.(type) {
		case xml.StartElement:
			return token.Name.Local, false, r.checkStart(token)
		case xml.EndElement:
			return "", true, nil
		case xml.CharData:
			if !isIgnorable(token) {
				return "", false, r.wrongType(s.kind.String())
			}
		case xml.Comment:
		default:
			return "", false, r.fail(ProblemXMLSyntax)
		}
	}
}

func (r *xmlReader) wrongType(wanted string) *DecodeError {
	err := r.fail(ProblemWrongType)
	err.Wanted = wanted
	return err
}

func (r *xmlReader) value(s *shape) (Value, *DecodeError) {
	if r.count++; r.count > maxValues {
		return nil, r.fail(ProblemTooLarge)
	}
	if s.isScalar() {
		return r.scalar(s)
	}
	if r.depth++; r.depth > maxDepth {
		return nil, r.fail(ProblemTooDeep)
	}
	defer func() { r.depth-- }()
	switch s.kind {
	case kindStructure:
		return r.structure(s)
	case kindList:
		return r.list(s)
	default:
		return r.mapping(s)
	}
}

func (r *xmlReader) structure(s *shape) (Value, *DecodeError) {
	values := make([]Value, len(s.members))
	for {
		name, isEnd, err := r.next(s)
		if err != nil {
			return nil, err
		}
		if isEnd {
			break
		}
		position, isMember := s.byName[name]
		if !isMember {
			return nil, r.fail(ProblemUnknownMember).below(memberOrKey([]byte(name)))
		}
		m := &s.members[position]
		if values[position] != nil {
			return nil, r.fail(ProblemDuplicateMember).below(memberStep(m.name))
		}
		if values[position], err = r.value(m.shape); err != nil {
			return nil, err.below(memberStep(m.name))
		}
	}
	structure := StructureValue{}
	for i, value := range values {
		if value != nil {
			structure = append(structure, MemberValue{s.members[i].name, value})
		}
	}
	return structure, nil
}

func (r *xmlReader) list(s *shape) (Value, *DecodeError) {
	list := ListValue{}
	for {
		name, isEnd, err := r.next(s)
		if err != nil {
			return nil, err
		}
		if isEnd {
			return list, nil
		}
		if name != "member" {
			return nil, r.fail(ProblemUnknownMember).below(memberOrKey([]byte(name)))
		}
		element, err := r.value(s.element)
		if err != nil {
			return nil, err.below(indexStep(len(list)))
		}
		list = append(list, element)
	}
}

func (r *xmlReader) mapping(s *shape) (Value, *DecodeError) {
	made := MapValue{}
	seen := map[string]bool{}
	for {
		name, isEnd, err := r.next(s)
		if err != nil {
			return nil, err
		}
		if isEnd {
			return made, nil
		}
		if name != "entry" {
			return nil, r.fail(ProblemUnknownMember).below(memberOrKey([]byte(name)))
		}
		entry, err := r.entry(s)
		if err != nil {
			return nil, err
		}
		if seen[entry.Key] {
			return nil, r.fail(ProblemDuplicateMember).below(keyStep(entry.Key))
		}
		seen[entry.Key] = true
		made = append(made, entry)
	}
}

// entry reads a key and its value, in either order.
func (r *xmlReader) entry(s *shape) (EntryValue, *DecodeError) {
	parts := map[string]Value{}
	for {
		name, isEnd, err := r.next(s)
		if err != nil {
			return EntryValue{}, err
		}
		if isEnd {
			break
		}
		part := s.element
		switch {
		case name == "key":
			part = s.key
		case name != "value":
			return EntryValue{}, r.fail(ProblemUnknownMember).below(memberOrKey([]byte(name)))
		}
		if parts[name] != nil {
			return EntryValue{}, r.fail(ProblemDuplicateMember).below(memberStep(name))
		}
		if parts[name], err = r.value(part); err != nil {
			return EntryValue{}, err.below(memberStep(name))
		}
	}
	for _, name := range []string{"key", "value"} {
		if parts[name] == nil {
			return EntryValue{}, r.fail(ProblemMissing).below(memberStep(name))
		}
	}
	return EntryValue{scalarText(parts["key"]), parts["value"]}, nil
}

func (r *xmlReader) scalar(s *shape) (Value, *DecodeError) {
	var text strings.Builder
	for {
		token, tokenErr := r.decoder.Token()
		if tokenErr != nil {
			return nil, r.fail(ProblemXMLSyntax)
		}
		switch token := token.(type) {
		case xml.CharData:
			text.Write(token)
		case xml.Comment: // the text goes on behind it
		case xml.StartElement:
			return nil, r.wrongType(s.wantedText())
		case xml.EndElement:
			value, problem := s.parseText(text.String())
			if problem == ProblemWrongType {
				return nil, r.wrongType(s.wantedText())
			}
			if problem != "" {
				return nil, r.fail(problem)
			}
			return value, nil
		default:
			return nil, r.fail(ProblemXMLSyntax)
		}
	}
}
