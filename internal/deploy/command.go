package deploy

import (
	"regexp"
	"slices"
	"strings"
)

// shellCharacters are those that make a start command need a shell.
const shellCharacters = "$&|;<>(){}[]*?~`'\"\\!#\n"

// CommandArgs turns a start command into arguments. A plain command is split at white space, so that it also runs in
// an image without a shell; one that uses quotes, variables, chains or assignments is given to /bin/sh. The shell makes way
// for the app where the command's form allows it: as the first process of its instance a shell would keep the signal to end
// from the app.
func CommandArgs(command string) []string {
	fields := strings.Fields(command)
	if len(fields) == 0 {
		return nil
	}
	if shell, script, isCall := shellCall(command); isCall {
		return []string{shell, "-c", withExec(script)}
	}
	if strings.ContainsAny(command, shellCharacters) || strings.Contains(fields[0], "=") {
		return []string{"/bin/sh", "-c", withExec(command)}
	}
	return fields
}

var (
	callPattern = regexp.MustCompile(`(?s)^\s*((?:/bin/|/usr/bin/)?(?:ba)?sh) +-c +(?:'([^']*)'|"((?:[^"\\$` + "`" + `]|\$[A-Za-z_]|\$\{[A-Za-z_]\w*\})*)")\s*$`)
	assignments = regexp.MustCompile(`^\s*(?:[A-Za-z_]\w*=(?:'[^']*'|"[^"]*"|[^\s'"])*\s+)*`)
	programWord = regexp.MustCompile(`^[\w./@%+:-]+(?:\s|$)`)
)

// shellCall takes a command apart that only calls a shell with a script, quoted so that the script means the same to the
// shell that would call it.
func shellCall(command string) (shell, script string, isCall bool) {
	found := callPattern.FindStringSubmatch(command)
	if found == nil {
		return "", "", false
	}
	return found[1], found[2] + found[3], true
}

// shellWords begin a command that is the shell's own, which cannot take the shell's place.
var shellWords = []string{
	".", ":", "alias", "break", "case", "cd", "command", "continue", "do", "done", "elif", "else", "esac", "eval", "exec", "exit", "export",
	"fi", "for", "function", "if", "local", "read", "return", "set", "shift", "source", "then", "time", "trap", "ulimit", "umask", "unset",
	"until", "wait", "while",
}

// withExec lets the last command of a chain take the place of the shell. A script that it does not understand it leaves as
// it is.
func withExec(script string) string {
	last, understood := lastCommand(script)
	if !understood {
		return script
	}
	last += len(assignments.FindString(script[last:]))
	word := strings.TrimSpace(programWord.FindString(script[last:]))
	if word == "" || slices.Contains(shellWords, word) {
		return script
	}
	return script[:last] + "exec " + script[last:]
}

// lastCommand returns where the last command of a chain of && or ; begins. It does not understand pipes, ||, background
// jobs, groups, comments and here-documents.
func lastCommand(script string) (last int, understood bool) {
	var open []byte // what ends each quote and substitution that is open
	for i := 0; i < len(script); i++ {
		letter, next := script[i], byte(0)
		if i+1 < len(script) {
			next = script[i+1]
		}
		inside := byte(0)
		if len(open) > 0 {
			inside = open[len(open)-1]
		}
		switch {
		case inside == '\'' && letter != '\'':
		case letter == '\\':
			i++
		case inside != 0 && letter == inside:
			open = open[:len(open)-1]
		case letter == '$' && (next == '(' || next == '{'):
			open = append(open, map[byte]byte{'(': ')', '{': '}'}[next])
			i++
		case letter == '"' || letter == '`' || letter == '\'' && inside != '"':
			open = append(open, letter)
		case inside != 0:
		case letter == '&' && next == '&':
			i++
			last = i + 1
		case letter == ';' || letter == '\n':
			last = i + 1
		case letter == '&' && i > 0 && script[i-1] == '>': // as in 2>&1
		case strings.IndexByte("&|(){}", letter) >= 0, letter == '<' && next == '<',
			letter == '#' && (i == 0 || strings.IndexByte(" \t\n;", script[i-1]) >= 0):
			return 0, false
		}
	}
	return last, len(open) == 0
}
