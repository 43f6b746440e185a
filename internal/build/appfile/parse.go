package appfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/apron-run/apron/internal/platform"
)

const correctIt = "correct it, and deploy again"

// parse turns text into nodes. Aliases stay references, so that no text grows by them.
func parse(data []byte) (*yaml.Node, error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", Name, err)
	}
	var root *yaml.Node
	for {
		document := new(yaml.Node)
		if err := loader.Load(document); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, syntaxError(err, data)
		}
		content := document
		if document.Kind == yaml.DocumentNode && len(document.Content) == 1 {
			content = document.Content[0]
		}
		switch {
		case isNull(content): // a "---" with nothing behind it
		case root == nil:
			root = content
		default:
			return nil, Refuse(position(content), "leave one in the file", "a second document begins here, and %s is one", Name)
		}
	}
	if root == nil {
		return nil, platform.Explain(nil, "%s is empty", Name).Try("give it version, runtime, build and run")
	}
	return root, nil
}

// checkText finds what no YAML may hold, with its place.
func checkText(data []byte) error {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return Refuse(Position{1, 1}, "save it as UTF-8", "the file is UTF-16")
	}
	at := Position{Line: 1, Column: 1}
	for rest := data; len(rest) > 0; {
		letter, size := utf8.DecodeRune(rest)
		switch {
		case letter == utf8.RuneError && size == 1:
			return Refuse(at, "save it as UTF-8", "this is no UTF-8")
		case letter < ' ' && letter != '\t' && letter != '\n' && letter != '\r' || letter == 0x7f:
			return Refuse(at, "remove it", "there is a control character here (U+%04X)", letter)
		case letter == '\n':
			at = Position{Line: at.Line + 1}
		}
		at.Column++
		rest = rest[size:]
	}
	return nil
}

// hints say what usually leads to a message of the parser.
var hints = []struct{ message, hint string }{
	{"mapping values are not allowed", "; text with \": \" in it must be in quotes"},
	{"cannot start any token", "; text that begins with @, %, ` or a tab must be in quotes"},
	{"did not find expected key", "; keys of one section must be indented alike, by spaces"},
	{"unknown anchor", "; text that begins with * must be in quotes"},
	{"found unexpected end of stream", "; a quote or a bracket before it is not closed"},
}

func syntaxError(err error, data []byte) error {
	var problem *yaml.LoadError
	if !errors.As(err, &problem) {
		return platform.Explain(err, "%s is not valid YAML: %v", Name, err).Try(correctIt)
	}
	mark := problem.Mark
	if mark.Line == 0 {
		mark = problem.ContextMark
	}
	at := Position{Line: max(mark.Line, 1), Column: max(mark.Column, 1)}
	if tab, found := indentingTab(data, at.Line); found {
		return Refuse(tab, "replace it with spaces", "a tab indents this line, and YAML is indented by spaces")
	}
	message := problem.Message
	for _, known := range hints {
		if strings.Contains(message, known.message) {
			message += known.hint
			break
		}
	}
	return refuse(correctIt, Remark{At: at, Text: "the YAML is broken here: " + message, IsPrivate: true})
}

// indentingTab finds a tab before the first text of a line.
func indentingTab(data []byte, number int) (Position, bool) {
	lines := strings.Split(string(data), "\n")
	if number > len(lines) {
		return Position{}, false
	}
	line := lines[number-1]
	indentation := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	column := strings.IndexByte(indentation, '\t')
	return Position{Line: number, Column: column + 1}, column >= 0
}

// refuseTags complains about tags such as CloudFormation's !Ref, which would be read as plain text.
func (r *reader) refuseTags(node *yaml.Node) {
	switch tag := node.ShortTag(); {
	case node.Kind == yaml.AliasNode:
		return
	case node.Style&yaml.TaggedStyle == 0 || tag == "!!str" || tag == "!!int" || tag == "!!float" || tag == "!!bool" ||
		tag == "!!null" || tag == "!!map" || tag == "!!seq":
	default:
		r.problem(node, "%s has no meaning in %s; write the value itself", short(tag), Name)
	}
	for _, child := range node.Content {
		r.refuseTags(child)
	}
}
