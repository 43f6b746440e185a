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
	width      func() int
	// ended and begun count how many steps were printed so.
	ended, begun int
	isRolling    bool
	// hasLine says that the terminal's last line is ours and will be written over.
	hasLine bool
	frame   int
}

// NewSteps shows on out.
func NewSteps(out io.Writer) *Steps {
	steps := &Steps{out: out, width: func() int { return 80 }}
	if file, isFile := out.(*os.File); isFile && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb" {
		steps.isTerminal = true
		steps.width = func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil || width < 20 {
				return 80
			}
			return width
		}
	}
	return steps
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
		fmt.Fprintln(s.out, endedLine(step))
		s.ended++
		s.begun = max(s.begun, s.ended)
	}
	if operation.Status == "ROLLBACK_IN_PROGRESS" && !s.isRolling {
		s.isRolling = true
		s.clear()
		fmt.Fprintln(s.out, "  ↩ going back to the previous version")
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
	if step.State == "FAILED" {
		mark = "✗"
	}
	line := fmt.Sprintf("  %s %-16s %8s", mark, step.Name, Duration(step.EndedAt.Sub(step.StartedAt.Time)))
	if step.Detail != "" {
		line += "  " + Clean(step.Detail)
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
	if runes := []rune(line); len(runes) > s.width()-1 {
		line = string(runes[:s.width()-1])
	}
	fmt.Fprintf(s.out, "\r\x1b[2K%s", line)
	s.hasLine = true
}

func (s *Steps) clear() {
	if s.hasLine {
		fmt.Fprint(s.out, "\r\x1b[2K")
		s.hasLine = false
	}
}
