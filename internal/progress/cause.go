package progress

import (
	"fmt"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// evidenceShown is how many of the last lines of output are shown with a failure.
const evidenceShown = 15

// Cause is why an operation did not succeed, in one sentence.
func Cause(operation platform.Operation) string {
	if operation.Failure == nil || operation.Failure.Cause == "" {
		return "apron does not know why."
	}
	return Clean(strings.TrimSuffix(operation.Failure.Cause, ".")) + "."
}

// Why tells what goes with the cause of a failed operation: what apron saw, the last lines of output, what to try, what
// became of the service, and where there is more. width is 0 where lines may be of any length.
func Why(operation platform.Operation, name string, width int) string {
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
func rollbackOf(operation platform.Operation) string {
	detail := ""
	for _, step := range operation.Steps {
		if step.Name == rollBack && step.EndedAt != nil && step.Detail != "" {
			detail = ": " + Clean(step.Detail)
		}
	}
	switch {
	case operation.Status == platform.OperationStatusRollbackSucceeded && detail == "":
		return "Rolled back: the service is as it was before."
	case operation.Status == platform.OperationStatusRollbackSucceeded:
		return "Rolled back" + detail + "."
	case operation.Status == platform.OperationStatusRollbackFailed:
		return "Going back failed as well" + detail + "."
	}
	return ""
}
