package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apron-run/apron/test/apron"
)

// An apron in the background runs on with the program that it was started from. Starting it again after an upgrade is
// what brings the new one.
func TestAnUpgradedProgramTakesOverFromTheOneInTheBackground(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	a.Stop(t) // another begins in the background, and Close ends whichever runs
	original, err := apron.Program()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "apron")
	content, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	install := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(program+".new", content, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(program+".new", program); err != nil {
			t.Fatal(err)
		}
	}
	begin := func() string {
		t.Helper()
		outcome := a.CommandOf(t, program, "serve", "--detach")
		if outcome.Code != 0 {
			t.Fatalf("serve --detach ends with %d:\n%s%s", outcome.Code, outcome.Out, outcome.Err)
		}
		return outcome.Out
	}
	running := func() int {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(a.Data, "run", "apron.pid"))
		if err != nil {
			t.Fatal(err)
		}
		var running struct{ PID int }
		if err := json.Unmarshal(content, &running); err != nil {
			t.Fatal(err)
		}
		return running.PID
	}
	install(content)
	begin()
	first := running()
	install(content)
	if told := begin(); !strings.Contains(told, "runs already") || running() != first {
		t.Errorf("the same program again: process %d after %d, and it tells %q", running(), first, told)
	}
	install(append(content, 0))
	if told := begin(); !strings.Contains(told, "is started again") || running() == first {
		t.Errorf("another program: process %d after %d, and it tells %q", running(), first, told)
	}
}
