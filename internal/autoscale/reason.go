package autoscale

import (
	"fmt"
	"time"
)

func pressingReason(d *demand, policy Policy, from, to int) string {
	what := counted(atOnce(d.load), "request") + " at once"
	if simple := policy.instances(float64(atOnce(d.load))); to < min(simple, max(policy.MaxSize, 1)) {
		what += fmt.Sprintf(", which take %.1f s each", d.service())
	}
	if policy.MaxConcurrency > 0 {
		what += fmt.Sprintf(", %d per instance", policy.MaxConcurrency)
	}
	return what + ": " + change(from, to)
}

func usualReason(d *demand, policy Policy, startTime time.Duration, from, to int) string {
	return fmt.Sprintf("%.0f requests at once, %d per instance, and a start takes %.1f s: %s", d.level, policy.MaxConcurrency, startTime.Seconds(), change(from, to))
}

func usageReason(policy Policy, state State, to int) string {
	return fmt.Sprintf("%.0f %% of the %s used, %d %% wanted: %s", state.UsagePercent, policy.On, policy.TargetPercent, change(state.Size, to))
}

func limitReason(which string, limit, from int) string {
	return fmt.Sprintf("the %s allowed: %s", which, change(from, limit))
}

func limited(wanted, most int) string {
	if wanted > most {
		return ", the most allowed"
	}
	return ""
}

func zeroReason(policy Policy, from int) string {
	return fmt.Sprintf("no request for %s: %s", spoken(policy.ToZeroAfter), change(from, 0))
}

func quietReason(needed, from, to int) string {
	return fmt.Sprintf("no more than %d needed for %s: %s", needed, spoken(quietWindow), change(from, to))
}

func change(from, to int) string { return fmt.Sprintf("%d -> %s", from, counted(to, "instance")) }

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// spoken is a duration in its largest unit that is whole.
func spoken(d time.Duration) string {
	switch {
	case d > 0 && d%time.Hour == 0:
		return counted(int(d/time.Hour), "hour")
	case d > 0 && d%time.Minute == 0:
		return counted(int(d/time.Minute), "minute")
	}
	return counted(int(d/time.Second), "second")
}
