package platform

import (
	"errors"
	"fmt"
	"strings"
)

// ExplainedError is a failure that a person can act on. Packages that do the work of a Step return it where they know
// what went wrong and what to do about it; the operation that runs the Step keeps it as its Failure.
type ExplainedError struct {
	// Cause is one plain sentence, without secrets: what failed, and with what.
	Cause string
	// Remedy is what to try, with the flag, command or member of the API that does it.
	Remedy string
	// Observed is what apron itself saw on the way, oldest first.
	Observed []string
	// Event is what App Runner's own event log says of such a failure; empty where it has no words for it.
	Event string
	// Evidence is the last lines of the output that led to it, oldest first.
	Evidence []string
	// Err is the underlying error, for the log; may be nil.
	Err error
}

// EventStopped is the Event of an app that ended or never started.
const EventStopped = "Your application stopped or failed to start. See logs for more information."

// Explain makes an ExplainedError that wraps err. err may be nil.
func Explain(err error, format string, args ...any) *ExplainedError {
	return &ExplainedError{Cause: fmt.Sprintf(format, args...), Err: err}
}

// Try returns e with what to try.
func (e *ExplainedError) Try(format string, args ...any) *ExplainedError {
	e.Remedy = fmt.Sprintf(format, args...)
	return e
}

// WithEvidence returns e with the lines added.
func (e *ExplainedError) WithEvidence(lines ...string) *ExplainedError {
	e.Evidence = append(e.Evidence, lines...)
	return e
}

// Error tells the cause and what to try.
func (e *ExplainedError) Error() string {
	switch {
	case e.Remedy == "":
		return e.Cause
	case strings.HasSuffix(e.Cause, "."):
		return e.Cause + " " + e.Remedy
	}
	return e.Cause + ": " + e.Remedy
}

func (e *ExplainedError) Unwrap() error { return e.Err }

// ErrUnavailable says that a daemon which does the work of a Step has ended or hangs. It is started again, so that another
// try may succeed.
var ErrUnavailable = errors.New("does not answer")

// AsExplained returns the outermost ExplainedError in err, or nil.
func AsExplained(err error) *ExplainedError {
	var explained *ExplainedError
	if errors.As(err, &explained) {
		return explained
	}
	return nil
}
