package view

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/apron-run/apron/cmd/apron/internal/client"
)

// Steps shows the steps of an operation as they happen: on a terminal the running one with its time on the last line,
// elsewhere a line for each step when it ends, and when it begins if it takes longer than a second.
type Steps struct {
	out        io.Writer
	isTerminal bool
	// ended and begun count how many steps were printed so.
	ended, begun int
	// hasLine says that the terminal's last line is ours and will be written over.
	hasLine bool
	frame   int
}

// NewSteps shows on out.
func NewSteps(out io.Writer) *Steps {
	return &Steps{out: out, isTerminal: Width(out) > 0 && os.Getenv("TERM") != "dumb"}
}

// Width is how many columns the terminal has that out is, or 0 if it is none.
func Width(out io.Writer) int {
	file, isFile := out.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return 0
	}
	if width, _, err := term.GetSize(int(file.Fd())); err == nil && width >= 20 {
		return width
	}
	return 80
}

// slowStep is how long a step may run before it is announced where lines cannot be written over.
const slowStep = time.Second

// Show prints what is new in operation.
func (s *Steps) Show(operation client.Operation, now time.Time) {
	s.ended = min(s.ended, len(operation.Steps)) // a step that runs again after a crash cuts off those after it
	for _, step := range operation.Steps[s.ended:] {
		if step.EndedAt == nil {
			break
		}
		s.clear()
		fmt.Fprintln(s.out, Cut(endedLine(step), Width(s.out)))
		s.ended++
		s.begun = max(s.begun, s.ended)
	}
	if s.ended < len(operation.Steps) && !operation.IsOver() {
		s.running(operation.Steps[s.ended], now)
	}
}

func (s *Steps) running(step client.Step, now time.Time) {
	elapsed := now.Sub(step.StartedAt.Time)
	detail := ""
	if step.Detail != "" {
		detail = "  " + Clean(step.Detail)
	}
	if s.isTerminal {
		s.overwrite(fmt.Sprintf("  %s %-16s %s%s", spinner[s.frame%len(spinner)], step.Name, Duration(elapsed), detail))
		s.frame++
		return
	}
	if s.begun <= s.ended && elapsed >= slowStep {
		s.begun = s.ended + 1
		fmt.Fprintf(s.out, "  … %s%s\n", step.Name, detail)
	}
}

var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

func endedLine(step client.Step) string {
	mark := "✓"
	switch {
	case step.State == "FAILED":
		mark = "✗"
	case step.Name == rollBack:
		mark = "↩"
	}
	line := fmt.Sprintf("  %s %-16s %8s", mark, step.Name, Duration(step.EndedAt.Sub(step.StartedAt.Time)))
	if step.Detail != "" {
		line += "  " + Clean(step.Detail)
	}
	return line
}

// rollBack is the name of the step that goes back to how the service was.
const rollBack = "roll back"

// Cut leaves out the end of a line that is longer than width; a width of 0 is none.
func Cut(line string, width int) string {
	if runes := []rune(line); width > 0 && len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return line
}

// Waiting says on a terminal what is being waited for, since when.
func (s *Steps) Waiting(what string, since, now time.Time) {
	if s.isTerminal {
		s.overwrite(fmt.Sprintf("  %s %s %s", spinner[s.frame%len(spinner)], what, Duration(now.Sub(since))))
		s.frame++
	}
}

// Note prints a line between the steps.
func (s *Steps) Note(format string, args ...any) {
	s.clear()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// Done leaves the cursor at the beginning of an empty line.
func (s *Steps) Done() { s.clear() }

func (s *Steps) overwrite(line string) {
	fmt.Fprintf(s.out, "\r\x1b[2K%s", Cut(line, max(Width(s.out), 20)-1)) // the last column would wrap
	s.hasLine = true
}

func (s *Steps) clear() {
	if s.hasLine {
		fmt.Fprint(s.out, "\r\x1b[2K")
		s.hasLine = false
	}
}
