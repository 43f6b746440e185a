// Package appfile reads apprunner.yaml: the text of one file in, its meaning or a plain explanation out.
//
// It keeps the text of every scalar (runtime-version: 3.10 stays "3.10"), knows the line and column of everything it
// complains about, and never prints the value of a variable. It does not decide which runtimes exist: that is the
// catalogue's matter.
package appfile

import (
	"strconv"
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

// File is an apprunner.yaml that has everything it must have.
type File struct {
	Runtime string
	// RuntimeAt is where the runtime is named, for complaints about it.
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

	// Warnings are remarks for the log: what was ignored, and where.
	Warnings []string
}

// Variable is one entry of an env list, in the file's order. For secrets, Value is the reference of the value.
type Variable struct{ Name, Value string }

// Position is a place in the file, counted from 1.
type Position struct{ Line, Column int }

func (p Position) String() string {
	return Name + " line " + strconv.Itoa(p.Line) + ", column " + strconv.Itoa(p.Column)
}

// Read reads the file's text. The error is a *platform.ExplainedError whose cause is the first problem and whose
// evidence holds the others.
func Read(data []byte) (File, error) {
	if len(data) > MaxBytes {
		return File{}, platform.Explain(nil, "%s has %d bytes; more than %d are not read", Name, len(data), MaxBytes).
			Try("move what makes it long into a script")
	}
	root, err := parse(data)
	if err != nil {
		return File{}, err
	}
	r := &reader{}
	file := r.file(root)
	if len(r.problems) > 0 {
		return File{}, platform.Explain(nil, "%s", r.problems[0]).
			Try("correct %s, and deploy again", Name).WithEvidence(r.problems[1:]...)
	}
	file.Warnings = r.warnings
	return file, nil
}

// reader walks the nodes and collects what is wrong, so that a user sees all of it at once.
type reader struct {
	problems []string
	warnings []string
}

// apiKeys are members of CreateService's input, which some keep under this file's name.
var apiKeys = []string{"ServiceName", "SourceConfiguration", "InstanceConfiguration"}

func (r *reader) file(root *yaml.Node) File {
	top := r.mapping(root, "", "version, runtime, build and run")
	if top == nil {
		return File{}
	}
	for _, key := range apiKeys {
		if top.at(key) != nil {
			r.problem(root, "%s holds %s: this looks like the input of CreateService (aws apprunner create-service "+
				"--cli-input-yaml), not like a configuration file with version, runtime, build and run", Name, key)
			return File{}
		}
	}
	var file File
	r.version(top)
	file.Runtime, file.RuntimeAt = r.runtime(top)
	r.build(top, &file)
	r.run(top, &file)
	r.others(top)
	return file
}

func (r *reader) version(top *section) {
	node := top.take("version")
	if node == nil {
		r.problem(top.node, "version is missing: write \"version: 1.0\" as the first line of %s", Name)
		return
	}
	if text, ok := r.scalar(node, "version"); ok && text != "1.0" && text != "1" {
		r.problem(node, "version must be 1.0, not %s", short(text))
	}
}

func (r *reader) runtime(top *section) (string, Position) {
	node := top.take("runtime")
	if node == nil {
		where := top.node
		hint := ""
		if run := find(top.at("run"), "runtime"); run != nil {
			where, hint = run, "; it belongs at the top of the file, not under run"
		}
		r.problem(where, "runtime is missing%s: write for example \"runtime: python311\"", hint)
		return "", Position{}
	}
	text, ok := r.scalar(node, "runtime")
	if ok && text == "" {
		r.problem(node, "runtime has no value: write for example \"runtime: python311\"")
	}
	return text, position(node)
}

func (r *reader) build(top *section, file *File) {
	node := top.take("build")
	if node == nil {
		r.problem(top.node, "build.commands.build is missing: it lists the commands that build the app")
		return
	}
	build := r.mapping(node, "build", "commands and env")
	if build == nil {
		return
	}
	if commands := build.take("commands"); commands == nil {
		r.problem(build.key, "build.commands.build is missing: it lists the commands that build the app")
	} else {
		r.commands(commands, file)
	}
	file.BuildEnvironment = r.variables(build.take("env"), "build.env", "value")
	r.unknown(build, "build", "commands", "env")
}

func (r *reader) commands(node *yaml.Node, file *File) {
	if node.Kind == yaml.SequenceNode {
		r.problem(node, "build.commands is a list, but it must name its phases: put the list under build.commands.build")
		return
	}
	phases := r.mapping(node, "build.commands", "pre-build, build and post-build")
	if phases == nil {
		return
	}
	file.PreBuild = r.list(phases.take("pre-build"), "build.commands.pre-build")
	if build := phases.take("build"); build == nil {
		r.problem(phases.key, "build.commands.build is missing: it lists the commands that build the app")
	} else if file.Build = r.list(build, "build.commands.build"); len(file.Build) == 0 && build.Kind == yaml.SequenceNode {
		r.problem(build, "build.commands.build is empty: it lists the commands that build the app; "+
			"where there is nothing to build, write \"- true\"")
	}
	file.PostBuild = r.list(phases.take("post-build"), "build.commands.post-build")
	r.unknown(phases, "build.commands", "pre-build", "build", "post-build")
}

func (r *reader) run(top *section, file *File) {
	file.Port = DefaultPort
	node := top.take("run")
	if node == nil {
		r.problem(top.node, "run.command is missing: it is the command that starts the app")
		return
	}
	run := r.mapping(node, "run", "command, network, env and others")
	if run == nil {
		return
	}
	if version := run.take("runtime-version"); version != nil {
		file.RuntimeVersion, _ = r.scalar(version, "run.runtime-version")
		file.RuntimeVersionAt = position(version)
	}
	file.PreRun = r.list(run.take("pre-run"), "run.pre-run")
	file.Command = r.command(run)
	r.network(run, file)
	file.Environment = r.variables(run.take("env"), "run.env", "value")
	file.Secrets = r.variables(run.take("secrets"), "run.secrets", "value-from")
	if misplaced := run.take("runtime"); misplaced != nil && file.Runtime != "" {
		r.warn(misplaced, "run.runtime is ignored: the runtime at the top of the file counts")
	}
	r.unknown(run, "run", "runtime-version", "pre-run", "command", "network", "env", "secrets")
}

func (r *reader) command(run *section) string {
	node := run.take("command")
	if node == nil {
		r.problem(run.key, "run.command is missing: it is the command that starts the app")
		return ""
	}
	if node.Kind == yaml.SequenceNode {
		r.problem(node, "run.command is a list, but it must be one line of text")
		return ""
	}
	text, ok := r.scalar(node, "run.command")
	if !ok {
		return ""
	}
	text = strings.TrimSpace(text)
	if text == "" {
		r.problem(node, "run.command is empty: it is the command that starts the app")
	}
	if strings.ContainsAny(text, "\r\n") {
		r.problem(node, "run.command must be one line; join several commands with && or put them into a script")
	}
	return text
}

func (r *reader) network(run *section, file *File) {
	node := run.take("network")
	if isNull(node) {
		return
	}
	network := r.mapping(node, "run.network", "port and env")
	if network == nil {
		return
	}
	if port := network.take("port"); !isNull(port) {
		if text, ok := r.scalar(port, "run.network.port"); ok {
			number, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil || number < 1 || number > 65535 {
				r.problem(port, "run.network.port must be a number from 1 to 65535, not %s", short(text))
			}
			file.Port = number
		}
	}
	if name := network.take("env"); !isNull(name) {
		if name.Kind != yaml.ScalarNode {
			r.problem(name, "run.network.env must be the name of one variable that is to carry the port, such as APP_PORT, "+
				"not %s; variables of the app belong under run.env", kindOf(name))
		} else if text, ok := r.scalar(name, "run.network.env"); ok {
			file.PortVariable = strings.TrimSpace(text)
			r.checkName(name, "run.network.env", file.PortVariable)
		}
	}
	r.unknown(network, "run.network", "port", "env")
}
