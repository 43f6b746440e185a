package view

import (
	"testing"
	"time"
)

func TestReplacementsOfTheLastHourAreToldWithTheLastReason(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	const first = "[AppRunner] Instance 1 ended. The application ended with exit code 7. A new one takes its place."
	const second = "[AppRunner] Instance 2 failed its health check 5 times in a row (nothing listens). A new one takes its place."
	for _, c := range []struct {
		events []Event
		want   string
	}{
		{nil, ""},
		{[]Event{{now, "[AppRunner] Deployment completed successfully."}}, ""},
		{[]Event{{now.Add(-61 * time.Minute), first}}, ""},
		{
			[]Event{{now.Add(-5 * time.Minute), first}, {now, "[AppRunner] Instance 2 is healthy and receives traffic."}},
			"1 instance in the last hour, the last one 5 m ago: Instance 1 ended. The application ended with exit code 7.",
		},
		{
			[]Event{{now.Add(-5 * time.Minute), first}, {now.Add(-10 * time.Second), second}},
			"2 instances in the last hour, the last one 10 s ago: Instance 2 failed its health check 5 times in a row (nothing listens).",
		},
	} {
		if got := Replaced(c.events, now); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}
