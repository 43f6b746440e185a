package progress

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// Steps shows the steps of an operation as they happen: on a terminal the running one with its time on the last line,
// elsewhere a line for each step when it ends, when it takes longer than a second and prints nothing, and every half
// minute in which it goes on in silence.
type Steps struct {
	out        io.Writer
	isTerminal bool
	// ended and begun count how many steps were printed so.
	ended, begun int
	// spoke is when the step that runs, or what is waited for, was last heard of where lines cannot be written over.
	spoke time.Time
	// hasLine says that the terminal's last line is ours and will be written over.
	hasLine bool
	frame   int
}

// NewSteps shows on out.
func NewSteps(out io.Writer) *Steps {
	return &Steps{out: out, isTerminal: Width(out) > 0 && os.Getenv("TERM") != "dumb"}
}

const (
	// slowStep is how long a step may run before it is announced where lines cannot be written over.
	slowStep = time.Second
	// silence is after how long it is said there again that a step runs.
	silence = 30 * time.Second
)

// Show prints what is new in operation.
func (s *Steps) Show(operation platform.Operation, now time.Time) {
	s.showEnded(operation, time.Time{})
	if s.ended < len(operation.Steps) && !operation.Status.IsTerminal() {
		s.running(operation.Steps[s.ended], now)
	}
}

// showEnded prints the steps that ended until a time; the zero time is no bound.
func (s *Steps) showEnded(operation platform.Operation, until time.Time) {
	s.ended = min(s.ended, len(operation.Steps)) // a step that runs again after a crash cuts off those after it
	for _, step := range operation.Steps[s.ended:] {
		if step.EndedAt == nil || !until.IsZero() && step.EndedAt.After(until) {
			break
		}
		s.clear()
		fmt.Fprintln(s.out, Cut(endedLine(step), Width(s.out)))
		s.ended++
		s.begun = max(s.begun, s.ended)
	}
}

func (s *Steps) running(step platform.StepRecord, now time.Time) {
	elapsed := now.Sub(step.StartedAt)
	detail := ""
	if step.Detail != "" {
		detail = "  " + Clean(step.Detail)
	}
	if s.isTerminal {
		s.overwrite(fmt.Sprintf("  %s %-16s %s%s", spinner[s.frame%len(spinner)], step.Name, Duration(elapsed), detail))
		s.frame++
		return
	}
	switch {
	case s.begun <= s.ended && elapsed >= slowStep:
		s.begun = s.ended + 1
		fmt.Fprintf(s.out, "  … %s%s\n", step.Name, detail)
	case s.begun > s.ended && now.Sub(s.spoke) >= silence:
		fmt.Fprintf(s.out, "  … %s goes on, for %s%s\n", step.Name, Duration(elapsed), detail)
	default:
		return
	}
	s.spoke = now
}

// Output prints a line that the running step has printed.
func (s *Steps) Output(line string, now time.Time) {
	s.Note("    │ %s", Clean(line))
	s.begun, s.spoke = s.ended+1, now
}

var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

func endedLine(step platform.StepRecord) string {
	mark := "✓"
	switch {
	case step.State == platform.StepStateFailed:
		mark = "✗"
	case step.Name == rollBack:
		mark = "↩"
	}
	line := fmt.Sprintf("  %s %-16s %8s", mark, step.Name, Duration(step.EndedAt.Sub(step.StartedAt)))
	if step.Detail != "" {
		line += "  " + Clean(step.Detail)
	}
	return line
}

// rollBack is the name of the step that goes back to how the service was.
const rollBack = "roll back"

// Waiting says what is being waited for, since when: on a terminal each time, elsewhere every half minute.
func (s *Steps) Waiting(what string, since, now time.Time) {
	if s.isTerminal {
		s.overwrite(fmt.Sprintf("  %s %s %s", spinner[s.frame%len(spinner)], what, Duration(now.Sub(since))))
		s.frame++
		return
	}
	if last := max(s.spoke.UnixNano(), since.UnixNano()); now.UnixNano()-last >= silence.Nanoseconds() {
		fmt.Fprintf(s.out, "  … %s, for %s\n", what, Duration(now.Sub(since)))
		s.spoke = now
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
