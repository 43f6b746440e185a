package view

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/cmd/apron/internal/client"
)

func TestAnOperationThatWasRolledBackIsToldWhole(t *testing.T) {
	at := func(seconds int) client.Time { return client.Time{Time: time.Unix(1_700_000_000+int64(seconds), 0)} }
	end := func(seconds int) *client.Time { end := at(seconds); return &end }
	operation := client.Operation{
		ID: "3f2a", Type: "START_DEPLOYMENT", Status: "ROLLBACK_SUCCEEDED", StartedAt: at(0), EndedAt: end(12),
		Steps: []client.Step{
			{Name: "pull", State: "SUCCEEDED", StartedAt: at(0), EndedAt: end(2)},
			{Name: "health check", State: "FAILED", StartedAt: at(2), EndedAt: end(11)},
			{Name: "roll back", State: "SUCCEEDED", StartedAt: at(11), EndedAt: end(12), Detail: "1 instance removed; revision 3 goes on serving"},
		},
		Failure: &client.Failure{
			Step: "health check", Cause: "The application ended with exit code 3.", Remedy: "Mend it.",
			Observed: []string{"+0.1 s: nothing listens on 10.0.0.2:8080", "+9.0 s: it ended with exit code 3"}, Evidence: []string{"no DATABASE_URL"},
		},
	}
	want := `START_DEPLOYMENT of shop: ROLLBACK_SUCCEEDED in 12.0 s, started 20 s ago
  ✓ pull                2.0 s
  ✗ health check        9.0 s
  ↩ roll back           1.0 s  1 instance removed; revision 3 goes on serving

The application ended with exit code 3.
  What apron saw, from the instance's start on:
    +0.1 s: nothing listens on 10.0.0.2:8080
    +9.0 s: it ended with exit code 3
  The last lines of output:
    │ no DATABASE_URL
  To try: Mend it.
  Rolled back: 1 instance removed; revision 3 goes on serving.
  All that it printed: apron logs shop
  The whole log: apron logs shop --deployment 3f2a
`
	var got strings.Builder
	Operation(&got, operation, "shop", at(20).Time)
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}
