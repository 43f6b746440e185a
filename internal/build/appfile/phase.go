package appfile

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// phases reads what is built and how, up to the last command before the app starts.
func (r *reader) phases(build, commands, run *section, file *File) {
	file.BuildEnvironment = r.variables(r.take(build, "env"), "build.env", nil)
	file.PreBuild = r.phase(r.take(commands, "pre-build"), "build.commands.pre-build")
	node := r.take(commands, "build")
	file.BuildAt = position(orElse(node, commands.key))
	before := len(r.problems)
	file.Build = r.phase(node, "build.commands.build")
	isBroken := len(r.problems) > before
	file.PostBuild = r.phase(r.take(commands, "post-build"), "build.commands.post-build")
	file.PreRun = r.phase(r.take(run, "pre-run"), "run.pre-run")
	switch isEmptyOnPurpose := node != nil && node.Kind == yaml.SequenceNode && len(node.Content) == 0; {
	case len(file.Build) > 0 || isBroken:
	case len(file.PreBuild) > 0:
		r.warn(commands.key, "build.commands.build is missing: only pre-build runs; App Runner wants build too")
	case isEmptyOnPurpose:
		r.warn(node, "build.commands.build is empty: nothing is built; App Runner wants a command there")
	default:
		r.problem(commands.key, "build.commands.build is missing: it lists the commands that build the app; where there is nothing "+
			"to build, write \"- true\"")
	}
}

// phase reads the commands of a phase: a list of commands, or one. A missing phase has none.
func (r *reader) phase(node *yaml.Node, path string) []string {
	if inner := commandsOf(node); inner != nil {
		r.warn(inner.key, "%s is read as %s", joinPath(path, inner.key.Value), path)
		node = inner.value
	}
	switch {
	case isNull(node):
		return nil
	case node.Kind == yaml.ScalarNode:
		text, ok := r.scalar(node, path)
		if !ok || strings.TrimSpace(text) == "" {
			return nil
		}
		r.warn(node, "%s is text and is read as one command%s", path, ofLines(text))
		r.lookAtCommands(path, []command{{node, text}})
		return []string{text}
	case node.Kind != yaml.SequenceNode:
		r.problem(node, "%s must be a list of commands, one \"- command\" a line, not %s", path, kindOf(node))
		return nil
	}
	var commands []command
	for i, item := range r.items(node, path) {
		if text, ok := r.item(resolve(item), fmt.Sprintf("command %d of %s", i+1, path)); ok {
			commands = append(commands, command{resolve(item), text})
		}
	}
	r.lookAtCommands(path, commands)
	texts := make([]string, len(commands))
	for i, each := range commands {
		texts[i] = each.text
	}
	return texts
}

func ofLines(text string) string {
	if lines := strings.Count(strings.TrimSpace(text), "\n") + 1; lines > 1 {
		return fmt.Sprintf(" of %d lines", lines)
	}
	return ""
}

// item reads one command of a phase. False is none.
func (r *reader) item(item *yaml.Node, what string) (string, bool) {
	if item.Kind == yaml.MappingNode {
		if run := commandOf(item); run != nil {
			r.warn(item, "%s is a mapping, and its %s is read as the command", what, run.key.Value)
			item = run.value
		} else {
			r.problem(item, "%s is read as a mapping because of \": \" in it; put the command into quotes", what)
			return "", false
		}
	}
	text, ok := r.scalar(item, what)
	if ok && strings.TrimSpace(text) == "" {
		r.warn(item, "%s is empty and is left out", what)
		return "", false
	}
	return text, ok
}

// commandOf returns the command of an item that is a step with a name, in the manner of workflows; nil for others.
func commandOf(item *yaml.Node) *entry {
	var found *entry
	for i := 0; i+1 < len(item.Content); i += 2 {
		key, value := item.Content[i], resolve(item.Content[i+1])
		switch key.Value {
		case "run", "command", "cmd":
			if found != nil || value.Kind != yaml.ScalarNode {
				return nil
			}
			found = &entry{key: key, value: value}
		case "name":
		default:
			return nil
		}
	}
	return found
}

// commandsOf returns what a phase holds that is a mapping with its commands, in the manner of buildspecs; nil for others.
func commandsOf(node *yaml.Node) *entry {
	if node == nil || node.Kind != yaml.MappingNode || len(node.Content) != 2 {
		return nil
	}
	switch plain(node.Content[0].Value) {
	case "commands", "command", "run":
		return &entry{key: node.Content[0], value: resolve(node.Content[1])}
	}
	return nil
}

// command is one command with its place.
type command struct {
	node *yaml.Node
	text string
}

var (
	changesFolder = regexp.MustCompile(`^\s*(cd|pushd)\s+[^&|;\n]+$`)
	activates     = regexp.MustCompile(`(?:^|[;&|]\s*|\s)(?:source|\.)\s+(\S*/)?activate\b`)
	foreignTools  = regexp.MustCompile(`^\s*(?:sudo\s+(?:-\S+\s+)*)?(yum|dnf|microdnf|amazon-linux-extras|apk|brew)\s`)
	needsDocker   = regexp.MustCompile(`^\s*(?:sudo\s+(?:-\S+\s+)*)?(docker|docker-compose|podman)\s+(?:compose\s+|buildx\s+|image\s+)?(build|run|up|push|pull|login|tag)\b`)
	usesSudo      = regexp.MustCompile(`(?:^|[;&|(]\s*)sudo\s`)
	usesApt       = regexp.MustCompile(`(?:^|[;&|(]\s*)(?:sudo\s+(?:-\S+\s+)*)?apt(?:-get)?\s+(?:-\S+\s+)*install\b`)
	redirects     = regexp.MustCompile(`\bpip3?\s+install\s[^"'#]*[A-Za-z0-9\]][<>]=?\d`)
)

// lookAtCommands says what a phase's commands mean here where that may surprise, and refuses those that cannot work.
func (r *reader) lookAtCommands(path string, commands []command) {
	for i, each := range commands {
		isLast := i == len(commands)-1
		if found := foreignTools.FindStringSubmatch(each.text); found != nil && !strings.Contains(each.text, "||") {
			r.problem(each.node, "%s calls %s, which installs packages of another system: the images here are Debian's; "+
				"write \"apt-get update && apt-get install -y PACKAGE\" with Debian's name of the package", path, found[1])
		}
		if found := needsDocker.FindStringSubmatch(each.text); found != nil && !strings.Contains(each.text, "||") {
			r.problem(each.node, "%s calls %s, and there is none inside of a build. To build with a Dockerfile, tag the service "+
				"apron:build=dockerfile, or `apron deploy --dockerfile Dockerfile`", path, found[1])
		}
		if usesSudo.MatchString(each.text) {
			r.warn(each.node, "%s calls sudo, which does nothing here: commands run as root", path)
		}
		if usesApt.MatchString(each.text) && path != "run.pre-run" {
			r.warn(each.node, "what apt-get installs in %s is there for the build alone; what the app needs when it runs, install in "+
				"run.pre-run", path)
		}
		if changesFolder.MatchString(each.text) && !isLast {
			r.warn(each.node, "the folder changes for all later commands of %s, and for those alone", path)
		}
		if activates.MatchString(each.text) {
			r.warn(each.node, "what is activated here lasts until the end of %s, not into other phases nor into the app", path)
		}
		if redirects.MatchString(each.text) {
			r.warn(each.node, "the shell reads < and > in a command of %s as names of files; put the version's condition into quotes", path)
		}
	}
}
