package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/aws/smithy-go"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/push"
	"github.com/apron-run/apron/cmd/apron/internal/view"
	"github.com/apron-run/apron/internal/platform"
)

// usageError is a command line that makes no sense; the exit code is 2.
type usageError struct {
	err    error
	advice string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// adviceError is an error with what to do next.
type adviceError struct {
	err    error
	advice string
}

func (e *adviceError) Error() string { return e.err.Error() }
func (e *adviceError) Unwrap() error { return e.err }

// advise makes an error of a sentence and what to do next.
func advise(advice, format string, args ...any) error {
	return &adviceError{fmt.Errorf(format, args...), advice}
}

var errInterrupted = &adviceError{errors.New("interrupted"), "What apron had begun goes on: see `apron services`."}

// adviceIndent is how far advice is indented.
const adviceIndent = 2

// printError prints an error as a sentence, and below it what to do next.
func printError(out io.Writer, err error) {
	text, advice := explain(err)
	fmt.Fprintln(out, "apron:", text)
	if advice != "" {
		for line := range strings.Lines(advice) {
			fmt.Fprintln(out, strings.Repeat(" ", adviceIndent)+strings.TrimSuffix(line, "\n"))
		}
	}
}

// explain finds the words for a person. What the program itself says comes first; then what the API answered.
func explain(err error) (text, advice string) {
	var usage *usageError
	var advised *adviceError
	switch {
	case errors.As(err, &usage):
		return err.Error(), usage.advice
	case errors.As(err, &advised):
		return err.Error(), advised.advice
	case errors.Is(err, client.ErrNoService):
		return err.Error(), "`apron services` lists those that are there."
	case errors.Is(err, client.ErrNoConnection):
		return err.Error(), adviceConnections
	case errors.Is(err, push.ErrNoGit):
		return err.Error(), "Install it: apt-get install git."
	case errors.Is(err, push.ErrRefused):
		return push.ErrRefused.Error(), adviceKeys
	case errors.Is(err, push.ErrEmpty):
		return err.Error(), "Name the folder of your app: apron deploy DIR. Files that .gitignore names do not count."
	case errors.Is(err, push.ErrTooLarge):
		return err.Error(), "Name what the app does not need in .gitignore."
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		return explainAPI(api)
	}
	var network *net.OpError
	// A listener's failure is told by who wanted to listen, and one that is explained is not of the way to apron.
	if errors.As(err, &network) && network.Op != "listen" && platform.AsExplained(err) == nil {
		where := ""
		if network.Addr != nil {
			where = " at " + network.Addr.String()
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			return "no apron answers" + where, adviceStart
		}
		return fmt.Sprintf("apron cannot be reached%s: %v", where, network.Err), adviceStart
	}
	var request *url.Error
	if errors.As(err, &request) && request.Timeout() {
		at := request.URL
		if parsed, err := url.Parse(at); err == nil {
			at = parsed.Host
		}
		return fmt.Sprintf("apron at %s took too long to answer", at), adviceHangs
	}
	if errors.Is(err, fs.ErrPermission) {
		return err.Error(), "Run it as root, for example with sudo."
	}
	return err.Error(), ""
}

const (
	adviceConnections = "`apron connection list` lists those that are there."

	adviceStart = "Start one with `apron serve --detach`, or say which one: eval \"$(apron env --data DIR)\"."
	adviceHangs = "Services go on answering. `apron serve --detach` waits for it, and tells what to do if it does not come back."
	adviceKeys  = "Take this apron's own key pair: eval \"$(apron env)\", with --data DIR for another apron's."
)

func explainAPI(api smithy.APIError) (text, advice string) {
	text = view.Clean(api.ErrorMessage())
	if text == "" {
		text = api.ErrorCode()
	}
	switch strings.TrimSuffix(api.ErrorCode(), "Exception") {
	case "InvalidState":
		advice = "One operation runs at a time: see `apron operations NAME`, and try again when it has ended."
	case "ResourceNotFound":
		advice = "`apron services` lists those that are there."
	case "InvalidSignature", "UnrecognizedClient", "MissingAuthenticationToken", "IncompleteSignature", "AccessDenied":
		advice = adviceKeys
	case "UnknownOperation":
		advice = "The apron that answers is older than this program; start the new one."
	case "InternalServiceError":
		advice = "Look at the end of apron's own log: serve.log in its data directory."
	}
	return text, advice
}
