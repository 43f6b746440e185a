package view

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apron-run/apron/cmd/apron/internal/client"
)

// evidenceShown is how many of the last lines of output are shown with a failure.
const evidenceShown = 15

// Operation prints all of an operation: its steps, why it failed and what to do next.
func Operation(out io.Writer, operation client.Operation, name string, now time.Time) {
	took := ""
	if operation.EndedAt != nil {
		took = " in " + Duration(operation.EndedAt.Sub(operation.StartedAt.Time))
	}
	fmt.Fprintf(out, "%s of %s: %s%s, started %s\n", operation.Type, name, operation.Status, took, Ago(operation.StartedAt.Time, now))
	if operation.Trigger != "" {
		fmt.Fprintln(out, "Automatic:", Clean(operation.Trigger))
	}
	steps := NewSteps(out)
	steps.Show(operation, now)
	if !operation.IsOver() {
		fmt.Fprintf(out, "\nTo give it up: apron cancel %s\n", name)
		return
	}
	steps.Done()
	if operation.HasSucceeded() {
		return
	}
	width := Width(out)
	fmt.Fprintf(out, "\n%s\n", Wrap(Cause(operation), width, ""))
	for line := range strings.Lines(Why(operation, name, width-2)) {
		fmt.Fprint(out, "  ", line)
	}
	fmt.Fprintln(out)
}

// Cause is why an operation did not succeed, in one sentence.
func Cause(operation client.Operation) string {
	if operation.Failure == nil || operation.Failure.Cause == "" {
		return "apron does not know why."
	}
	return Clean(strings.TrimSuffix(operation.Failure.Cause, ".")) + "."
}

// Why tells what goes with the cause of a failed operation: what apron saw, the last lines of output, what to try, what
// became of the service, and where there is more. width is 0 where lines may be of any length.
func Why(operation client.Operation, name string, width int) string {
	var text strings.Builder
	if failure := operation.Failure; failure != nil {
		if len(failure.Observed) > 0 {
			fmt.Fprintln(&text, "What apron saw, from the instance's start on:")
			for _, line := range failure.Observed {
				fmt.Fprintln(&text, Wrap("  "+Clean(line), width, "    "))
			}
		}
		if evidence := failure.Evidence; len(evidence) > 0 {
			fmt.Fprintln(&text, "The last lines of output:")
			for _, line := range evidence[max(0, len(evidence)-evidenceShown):] {
				fmt.Fprintln(&text, "  │", Clean(line))
			}
		}
		if failure.Remedy != "" {
			fmt.Fprintln(&text, Wrap("To try: "+Clean(failure.Remedy), width, "  "))
		}
	}
	if rolledBack := rollbackOf(operation); rolledBack != "" {
		fmt.Fprintln(&text, Wrap(rolledBack, width, "  "))
	}
	if failure := operation.Failure; failure != nil && len(failure.Observed) > 0 {
		fmt.Fprintf(&text, "All that it printed: apron logs %s\n", name)
	}
	fmt.Fprintf(&text, "The whole log: apron logs %s --deployment %s", name, operation.ID)
	return text.String()
}

// rollbackOf says what a rollback did; "" where there was none.
func rollbackOf(operation client.Operation) string {
	detail := ""
	for _, step := range operation.Steps {
		if step.Name == rollBack && step.EndedAt != nil && step.Detail != "" {
			detail = ": " + Clean(step.Detail)
		}
	}
	switch {
	case operation.Status == "ROLLBACK_SUCCEEDED" && detail == "":
		return "Rolled back: the service is as it was before."
	case operation.Status == "ROLLBACK_SUCCEEDED":
		return "Rolled back" + detail + "."
	case operation.Status == "ROLLBACK_FAILED":
		return "Going back failed as well" + detail + "."
	}
	return ""
}

// Wrap breaks text between words so that no line is longer than width, where that can be; lines after the first begin
// with indent. A width of 0 or less leaves the text as it is.
func Wrap(text string, width int, indent string) string {
	if width <= 0 {
		return text
	}
	var lines []string
	line, rest := "", text
	for rest != "" {
		// Spaces at the beginning belong to the word.
		start := len(rest) - len(strings.TrimLeft(rest, " "))
		end := strings.IndexByte(rest[start:], ' ')
		if end < 0 {
			end = len(rest) - start
		}
		word := rest[:start+end]
		rest = rest[start+end:]
		if strings.TrimSpace(line) != "" && utf8.RuneCountInString(line)+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line, word = indent, strings.TrimLeft(word, " ")
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n")
}
