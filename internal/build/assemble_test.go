package build

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/apron-run/apron/internal/build/appfile"
)

func TestCommandsRunInOneShellUntilOneFails(t *testing.T) {
	for _, c := range []struct {
		name     string
		commands []string
		want     string
		status   int
	}{
		{"state lasts", []string{"cd /usr", "name=x", "echo $PWD $name"}, "+ cd /usr\n+ name=x\n+ echo $PWD $name\n/usr x\n", 0},
		{"the first that fails is the last", []string{"(exit 3)", "echo not"}, "+ (exit 3)\n", 3},
		{"a line that fails is the last of its command", []string{"false\ntrue"}, "+ false\ntrue\n", 1},
		{"a failure that is expected is none", []string{"false || true", "set +e", "false\ntrue"}, "+ false || true\n+ set +e\n+ false\ntrue\n", 0},
		{"sudo does nothing", []string{"sudo -E -u root X=1 sh -c 'echo $X'", "bash -c 'sudo echo inside'"},
			"+ sudo -E -u root X=1 sh -c 'echo $X'\n1\n+ bash -c 'sudo echo inside'\ninside\n", 0},
		{"sudo fails as its command does", []string{"sudo false", "echo not"}, "+ sudo false\n", 1},
		{"BuildKit's variables are gone", []string{"echo ${TRACEPARENT-none} ${OTEL_TRACES_EXPORTER-none}"},
			"+ echo ${TRACEPARENT-none} ${OTEL_TRACES_EXPORTER-none}\nnone console\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			phase := assembly{plan: Plan{Environment: []appfile.Variable{{Name: "OTEL_TRACES_EXPORTER", Value: "console"}}}}
			command := exec.CommandContext(t.Context(), "/bin/bash", append([]string{"-e", "-c", phase.script(PhaseBuild), "apron"}, c.commands...)...)
			command.Env = []string{"PATH=/usr/bin:/bin", "TRACEPARENT=00-0-0-01", "OTEL_TRACES_EXPORTER=console"}
			output, err := command.Output()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if status := command.ProcessState.ExitCode(); status != c.status || string(output) != c.want {
				t.Errorf("status %d, want %d; output %q, want %q", status, c.status, output, c.want)
			}
		})
	}
}
