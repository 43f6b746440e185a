package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/internal/progress"
)

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
	record, steps := operation.Record(), progress.NewSteps(out)
	steps.Show(record, now)
	if !operation.IsOver() {
		fmt.Fprintf(out, "\nTo give it up: apron cancel %s\n", name)
		return
	}
	steps.Done()
	if operation.HasSucceeded() {
		return
	}
	width := Width(out)
	fmt.Fprintf(out, "\n%s\n", progress.Wrap(progress.Cause(record), width, ""))
	for line := range strings.Lines(progress.Why(record, name, width-2)) {
		fmt.Fprint(out, "  ", line)
	}
	fmt.Fprintln(out)
}
