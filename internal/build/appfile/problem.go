package appfile

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/apron-run/apron/internal/platform"
)

// Position is a place in the file, counted from 1; zero is no place.
type Position struct{ Line, Column int }

func (p Position) String() string {
	return Name + " line " + strconv.Itoa(p.Line) + ", column " + strconv.Itoa(p.Column)
}

// Remark is a problem or a warning with its place, if it has one.
type Remark struct {
	At   Position
	Text string
	// IsPrivate says that the values of variables may be near the place, so that the line must not be shown.
	IsPrivate bool
}

func (r Remark) String() string {
	if r.At == (Position{}) {
		return r.Text
	}
	return r.At.String() + ": " + r.Text
}

// Error is all that is wrong with a file. It is inside of the *platform.ExplainedError that tells it.
type Error struct{ Problems []Remark }

func (e *Error) Error() string { return strings.Join(textOf(e.Problems), "\n") }

// Refuse explains one problem that another package has found in the file.
func Refuse(at Position, remedy, format string, args ...any) error {
	return refuse(remedy, Remark{At: at, Text: fmt.Sprintf(format, args...)})
}

// refuse explains problems, the first of them first.
func refuse(remedy string, problems ...Remark) error {
	return platform.Explain(&Error{Problems: problems}, "%s", problems[0]).Try("%s", remedy).WithEvidence(textOf(problems[1:])...)
}

func textOf(remarks []Remark) []string {
	lines := make([]string, len(remarks))
	for i, remark := range remarks {
		lines[i] = remark.String()
	}
	return lines
}

// maxRemarks bounds what one file can say.
const maxRemarks = 50

func (r *reader) problem(node *yaml.Node, format string, args ...any) {
	r.problems = r.add(r.problems, node, format, args...)
}

func (r *reader) warn(node *yaml.Node, format string, args ...any) {
	r.warnings = r.add(r.warnings, node, format, args...)
}

func (r *reader) add(remarks []Remark, node *yaml.Node, format string, args ...any) []Remark {
	switch {
	case len(remarks) > maxRemarks:
		return remarks
	case len(remarks) == maxRemarks:
		return append(remarks, Remark{At: position(node), Text: "there is more to be said, from here on"})
	}
	return append(remarks, Remark{At: position(node), Text: fmt.Sprintf(format, args...), IsPrivate: r.isPrivate})
}

func position(node *yaml.Node) Position {
	return Position{Line: max(node.Line, 1), Column: max(node.Column, 1)}
}

func orElse(node, other *yaml.Node) *yaml.Node {
	if node == nil {
		return other
	}
	return node
}

// short quotes a bounded piece of the user's text. It is never used for the value of a variable.
func short(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
