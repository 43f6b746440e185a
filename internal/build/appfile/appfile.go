// Package appfile reads apprunner.yaml: the text of one file in, its meaning or a plain explanation out.
//
// It is kinder than App Runner: what people write otherwise than documented, and what still has one clear meaning, is read
// with a warning that says how; all else is refused with the remedy. No part of a file is left out in silence.
//
// It keeps the text of every scalar (runtime-version: 3.10 stays "3.10"), knows the line and column of everything it
// complains about, and never prints the value of a variable. It does not decide which runtimes exist: that is the
// catalogue's matter.
package appfile

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/apron-run/apron/internal/platform"
)

// Name is the file's name, in the source directory.
const Name = "apprunner.yaml"

// MaxBytes bounds the file; real ones have 100 to 5,000 bytes.
const MaxBytes = 256 << 10

// DefaultPort is where an app listens when nothing says otherwise.
const DefaultPort = 8080

// File is an apprunner.yaml that has everything it must have, but perhaps a runtime.
type File struct {
	// Runtime is what the file calls its runtime, or empty.
	Runtime string
	// RuntimeAt is where the runtime is named, or should be, for complaints about it.
	RuntimeAt Position
	// RuntimeVersion is run.runtime-version's text, or empty.
	RuntimeVersion   string
	RuntimeVersionAt Position

	PreBuild         []string
	Build            []string
	PostBuild        []string
	BuildEnvironment []Variable

	PreRun       []string
	Command      string
	Port         int
	PortVariable string
	Environment  []Variable
	Secrets      []Variable

	// BuildAt is where the build commands are.
	BuildAt Position
	// Warnings say what was read otherwise than it is written, what was ignored, and what will likely go wrong.
	Warnings []Remark
}

// Variable is one entry of an env list, in the file's order. For secrets, Value is the reference of the value.
type Variable struct{ Name, Value string }

// Read reads the file's text. The error is a *platform.ExplainedError whose cause is the first problem and whose
// evidence holds the others; it wraps an *Error with all of them.
func Read(data []byte) (File, error) {
	if len(data) > MaxBytes {
		return File{}, platform.Explain(nil, "%s has %d bytes; more than %d are not read", Name, len(data), MaxBytes).
			Try("move what makes it long into a script")
	}
	root, err := parse(data)
	if err != nil {
		return File{}, err
	}
	r := &reader{sections: map[string]*section{}, pending: map[string]entry{}, named: map[string]*yaml.Node{}}
	file := r.file(root)
	if len(r.problems) > 0 {
		return File{}, refuse("correct "+Name+", and deploy again", r.problems...)
	}
	slices.SortStableFunc(r.warnings, func(a, b Remark) int { return cmp.Compare(a.At.Line, b.At.Line) })
	file.Warnings = r.warnings
	return file, nil
}

// reader walks the nodes and collects what is wrong, so that a user sees all of it at once.
type reader struct {
	problems []Remark
	warnings []Remark
	// sections are the file's parts by their path. What belongs to one that is not there yet waits in pending.
	sections map[string]*section
	pending  map[string]entry
	// named are the places of the app's variables.
	named map[string]*yaml.Node
	// isPrivate says that what is read now are variables.
	isPrivate bool
	// length is how many bytes of text were read, which aliases can make more than the file has.
	length int
	// commandNode is run.command, or nil.
	commandNode *yaml.Node
}

func (r *reader) file(root *yaml.Node) File {
	r.refuseTags(root)
	top := r.mapping(root, "", "version, runtime, build and run")
	if top == nil || r.isForeign(top) {
		return File{}
	}
	r.sections[""] = top
	r.unnest(top, "run", "build")
	r.unnest(top, "build", "run")
	build, run := r.open("build"), r.open("run")
	if build == nil || run == nil {
		return File{}
	}
	r.rehome(top)
	r.rehome(build)
	r.rehome(run)
	commands, network := r.open("build.commands"), r.open("run.network")
	if commands == nil || network == nil {
		return File{}
	}
	r.rehome(commands)

	var file File
	r.version(top)
	file.Runtime, file.RuntimeAt = r.runtime(top)
	if r.wantsDockerfile(file, top, build) {
		return File{}
	}
	r.phases(build, commands, run, &file)
	r.run(run, network, &file)
	for _, each := range []*section{top, build, commands, run, network} {
		r.leftovers(each)
	}
	r.lookAtStart(file)
	return file
}

// version takes everything that means 1.0, which is the only version there is.
func (r *reader) version(top *section) {
	node := r.take(top, "version")
	if isNull(node) {
		r.warn(orElse(node, top.node), "version is missing and read as 1.0; App Runner wants \"version: 1.0\" in the file")
		return
	}
	text, ok := r.scalar(node, "version")
	text = strings.TrimSpace(text)
	plain := strings.TrimPrefix(strings.ToLower(text), "v")
	switch {
	case !ok || text == "1.0" || text == "1":
	case plain == "1" || strings.HasPrefix(plain, "1."):
		r.warn(node, "version %s is read as 1.0, which is the only version of %s", short(text), Name)
	default:
		r.problem(node, "version must be 1.0, not %s: it is the version of the format of %s; the version of the runtime belongs "+
			"under run.runtime-version", short(text), Name)
	}
}

func (r *reader) runtime(top *section) (string, Position) {
	node := r.take(top, "runtime")
	if isNull(node) {
		return "", position(orElse(node, top.node))
	}
	text, _ := r.scalar(node, "runtime")
	return strings.TrimSpace(text), position(node)
}
