package recipe

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAToolsOutputIsPassedOnAsItIsSeen(t *testing.T) {
	var log strings.Builder
	output := &tailWriter{next: &log, keep: 2}
	for _, part := range []string{"one\nReading 5%\rRead", "ing 100%\r\n", "\n", strings.Repeat("x", maxTailLine), "end\nunfinished"} {
		if n, err := output.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if diff := cmp.Diff("one\nReading 100%\n\n"+strings.Repeat("x", maxTailLine)+"\nend\n", log.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := output.lines(); len(got) != 2 || got[1] != "end" {
		t.Errorf("the last lines are %q", got)
	}
}
