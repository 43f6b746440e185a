package platform

import (
	"errors"
	"fmt"
)

// ExplainedError is a failure that a person can act on. Packages that do the work of a Step return it where they know
// what went wrong and what to do about it; the operation that runs the Step keeps it as its Failure.
type ExplainedError struct {
	// Cause is one plain sentence, without secrets: what failed, with what, and what to do where that is known.
	Cause string
	// Evidence is the last lines of the output that led to it, oldest first.
	Evidence []string
	// Err is the underlying error, for the log; may be nil.
	Err error
}

// Explain makes an ExplainedError that wraps err. err may be nil.
func Explain(err error, format string, args ...any) *ExplainedError {
	return &ExplainedError{Cause: fmt.Sprintf(format, args...), Err: err}
}

// WithEvidence returns e with the lines added.
func (e *ExplainedError) WithEvidence(lines ...string) *ExplainedError {
	e.Evidence = append(e.Evidence, lines...)
	return e
}

func (e *ExplainedError) Error() string { return e.Cause }

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
