package apron

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Outcome is how a verb of the command line ended.
type Outcome struct {
	Code     int
	Out, Err string
}

// commandTimeout bounds one verb: the longest builds an application from nothing.
const commandTimeout = 10 * time.Minute

// Command runs a verb of the apron program against this apron.
func (a *Apron) Command(t testing.TB, arguments ...string) Outcome {
	t.Helper()
	return a.CommandReading(t, "", arguments...)
}

// CommandOf runs a verb about this machine of another apron program, with the flags of this apron.
func (a *Apron) CommandOf(t testing.TB, program string, arguments ...string) Outcome {
	t.Helper()
	return a.run(t, program, "", append(arguments, a.settings()...))
}

// CommandReading is Command with a standard input.
func (a *Apron) CommandReading(t testing.TB, input string, arguments ...string) Outcome {
	t.Helper()
	return a.run(t, a.program, input, arguments)
}

func (a *Apron) run(t testing.TB, program, input string, arguments []string) Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = append(os.Environ(), "APRON_DATA="+a.Data)
	command.Stdin = strings.NewReader(input)
	var out, complaint bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaint
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("apron %s: %v", strings.Join(arguments, " "), err)
	}
	return Outcome{command.ProcessState.ExitCode(), out.String(), complaint.String()}
}

// MustCommand is Command for a verb that must succeed; it returns what is printed.
func (a *Apron) MustCommand(t testing.TB, arguments ...string) string {
	t.Helper()
	outcome := a.Command(t, arguments...)
	if outcome.Code != 0 {
		t.Fatalf("apron %s ended with %d:\n%s%s", strings.Join(arguments, " "), outcome.Code, outcome.Out, outcome.Err)
	}
	return outcome.Out
}

// CommandJSON is MustCommand with --output json; what is printed is decoded into output.
func (a *Apron) CommandJSON(t testing.TB, output any, arguments ...string) {
	t.Helper()
	printed := a.MustCommand(t, append(arguments, "--output", "json")...)
	if err := json.Unmarshal([]byte(printed), output); err != nil {
		t.Fatalf("apron %s printed %q: %v", strings.Join(arguments, " "), printed, err)
	}
}
