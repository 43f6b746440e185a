package detect

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// port is where the apps are asked to listen, by the variable PORT.
const port = 8080

// text writes the apprunner.yaml of an app.
func text(made app, runtime command) string {
	var b strings.Builder
	line := func(indent int, text, why string) {
		space := strings.Repeat("  ", indent)
		if why != "" {
			b.WriteString(space + "# " + oneLine(why) + "\n")
		}
		b.WriteString(space + text + "\n")
	}
	line(0, "version: 1.0", "Made from the repository's files: "+made.kind+".")
	line(0, "runtime: "+runtime.text, runtime.why)
	line(0, "build:", "")
	line(1, "commands:", "")
	line(2, "build:", "")
	for _, command := range made.build {
		line(3, "- "+scalar(command.text), command.why)
	}
	if len(made.build) == 0 {
		line(3, "- 'true'", "nothing is to be built")
	}
	line(0, "run:", "")
	line(1, "command: "+scalar(made.start.text), made.start.why)
	line(1, "network:", "")
	line(2, "port: "+strconv.Itoa(port), "where requests are sent; the app finds the number in the variable PORT")
	line(2, "env: PORT", "")
	if len(made.env) > 0 {
		line(1, "env:", "")
	}
	for _, variable := range made.env {
		line(2, "- name: "+variable.name, variable.why)
		line(3, "value: "+scalar(variable.value), "")
	}
	return b.String()
}

// plainScalar matches text that needs no quotes in YAML, where it has neither of notPlain.
var (
	plainScalar = regexp.MustCompile(`^(?:[A-Za-z][^:]|/|\./).*[^: ]$`)
	notPlain    = regexp.MustCompile(`: | #`)
)

// notText are words that YAML reads as something else.
var notText = map[string]bool{"true": true, "false": true, "yes": true, "no": true, "on": true, "off": true, "null": true}

func scalar(text string) string {
	text = oneLine(text)
	if plainScalar.MatchString(text) && !notPlain.MatchString(text) && !notText[strings.ToLower(text)] {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// oneLine keeps out of the text what could end a line or is not to be printed: it comes from the repository.
func oneLine(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text))
}
