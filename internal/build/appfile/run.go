package appfile

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

func (r *reader) run(run, network *section, file *File) {
	if version := r.take(run, "runtime-version"); !isNull(version) {
		text, _ := r.scalar(r.theOne(version, "run.runtime-version"), "run.runtime-version")
		file.RuntimeVersion, file.RuntimeVersionAt = strings.TrimSpace(text), position(version)
	}
	file.Command = r.startCommand(run)
	file.Port = DefaultPort
	if port := r.theOne(r.take(network, "port"), "run.network.port"); !isNull(port) {
		file.Port = r.port(port)
	}
	file.Environment = r.variables(r.take(run, "env"), "run.env", &file.Secrets)
	r.portVariable(r.take(network, "env"), file)
	file.Secrets = append(r.secrets(r.take(run, "secrets")), file.Secrets...)
	r.settle(file)
}

// startCommand reads run.command: one line, or what can be made one.
func (r *reader) startCommand(run *section) string {
	node := r.take(run, "command")
	r.commandNode = node
	if node == nil {
		r.problem(run.key, "run.command is missing: it is the command that starts the app")
		return ""
	}
	if node.Kind == yaml.SequenceNode && len(node.Content) > 0 {
		return r.commandWords(node)
	}
	text, ok := r.scalar(node, "run.command")
	if !ok {
		return ""
	}
	text = strings.TrimSpace(text)
	if text == "" {
		r.problem(node, "run.command is empty: it is the command that starts the app")
	}
	text = continuation.ReplaceAllString(text, " ")
	if strings.ContainsAny(text, "\r\n") {
		r.warn(node, "run.command has several lines and is read as a script, which stops at the first that fails")
		text = "set -e\n" + text
	}
	return text
}

// continuation matches the end of a line that goes on in the next one.
var continuation = regexp.MustCompile(`[ \t]*\\\r?\n[ \t]*`)

// commandWords reads a start command that is a list: the program and its arguments. A list of several commands is none.
func (r *reader) commandWords(node *yaml.Node) string {
	items := r.items(node, "run.command")
	if len(items) == 0 {
		return ""
	}
	words := make([]string, len(items))
	for i, item := range items {
		text, ok := r.scalar(item, entryName(i, "run.command"))
		if !ok {
			return ""
		}
		words[i] = text
	}
	switch {
	case len(words) == 1:
		r.warn(node, "run.command is a list, and its only entry is read as the command")
		return strings.TrimSpace(words[0])
	case strings.ContainsAny(strings.TrimSpace(words[0]), " \t\n"):
		r.problem(node, "run.command is a list of commands, and one starts the app: put the others under run.pre-run, or join them with &&")
		return ""
	}
	r.warn(node, "run.command is a list and is read as a program with its arguments")
	for i, word := range words {
		words[i] = quote(word)
	}
	return strings.Join(words, " ")
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote writes a word so that a shell reads it as it is.
func quote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

var portPattern = regexp.MustCompile(`^[1-9][0-9]{0,4}$`)

func (r *reader) port(node *yaml.Node) int {
	text, ok := r.scalar(node, "run.network.port")
	if !ok {
		return 0
	}
	text = strings.TrimSpace(text)
	number, _ := strconv.Atoi(text)
	if !portPattern.MatchString(text) || number > 65535 {
		r.problem(node, "run.network.port must be a number from 1 to 65535, not %s; the app is told it as $PORT", short(text))
		return 0
	}
	return number
}

// portVariable reads run.network.env: the name of a second variable with the port. Variables with values that some write
// there belong to the app.
func (r *reader) portVariable(node *yaml.Node, file *File) {
	if isNull(node) {
		return
	}
	if node.Kind != yaml.ScalarNode {
		r.warn(node, "run.network.env is %s and is read as run.env; documented is the name of one variable that carries the port", kindOf(node))
		file.Environment = append(file.Environment, r.variables(node, "run.network.env", &file.Secrets)...)
		return
	}
	text, ok := r.scalar(node, "run.network.env")
	text = strings.TrimSpace(text)
	if !ok {
		return
	}
	if portPattern.MatchString(text) {
		r.problem(node, "run.network.env must be the name of a variable that is to carry the port, such as APP_PORT, not %s; the port "+
			"itself is run.network.port", short(text))
		return
	}
	if r.checkName(node, "run.network.env", text) {
		file.PortVariable = text
	}
}

// settle says what counts where a variable is given in several ways.
func (r *reader) settle(file *File) {
	r.isPrivate = true
	defer func() { r.isPrivate = false }()
	secret := map[string]bool{}
	for _, each := range file.Secrets {
		secret[each.Name] = true
	}
	var kept []Variable
	for _, each := range file.Environment {
		switch {
		case secret[each.Name]:
			r.warn(r.named[each.Name], "%s is among run.env and run.secrets; the secret counts", short(each.Name))
			continue
		case (each.Name == "PORT" || each.Name == file.PortVariable) && strings.TrimSpace(each.Value) != strconv.Itoa(file.Port):
			r.warn(r.named[each.Name], "%s of run.env is not run.network.port, which counts: the app is told %d", short(each.Name), file.Port)
		}
		kept = append(kept, each)
	}
	file.Environment = kept
}

var (
	needsShell = regexp.MustCompile(`[$&|;<>(){}*?~` + "`" + `\n]|^[A-Za-z_][A-Za-z0-9_]*=`)
	callsShell = regexp.MustCompile(`^(?:/bin/)?(?:ba)?sh -l?c\s`)
	// listens matches where a start command says its port, in the ways of the usual servers.
	listens = regexp.MustCompile(`(?:--(?:server\.|http-)?port[= ]|-Dserver\.port=|\bPORT=|--listen[= ](?:tcp://)?\S*:|runserver |http\.server |` +
		`(?:0\.0\.0\.0|127\.0\.0\.1|localhost|\[::\]|\*|//\+):|(?:-b|--bind)[= ]\S*:|\s-[pl] )(\d{2,5})\b`)
	listensInside = regexp.MustCompile(`(?:--host[= ]|--bind[= ]|-b |--server\.address[= ]|-h )(?:127\.0\.0\.1|localhost)\b`)
)

// lookAtStart says what the start command means here where that may surprise.
func (r *reader) lookAtStart(file File) {
	node := r.commandNode
	if node == nil || file.Command == "" {
		return
	}
	switch {
	case callsShell.MatchString(file.Command):
		r.warn(node, "run.command calls a shell of its own and is run as it is written")
	case needsShell.MatchString(file.Command) && !strings.Contains(file.Command, "\n"):
		r.warn(node, "run.command needs a shell and is run by /bin/sh -c, with the variables of the app")
	}
	if found := listens.FindStringSubmatch(file.Command); found != nil && found[1] != strconv.Itoa(file.Port) {
		r.warn(node, "run.command names port %s, and run.network.port is %d, which is where the app is asked: let them be one, "+
			"such as with $PORT in the command", found[1], file.Port)
	}
	if listensInside.MatchString(file.Command) {
		r.warn(node, "run.command lets the app listen on the loopback interface alone, where no request reaches it: let it listen on 0.0.0.0")
	}
}
