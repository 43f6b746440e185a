package view

import (
	"fmt"
	"strings"
	"time"
)

// Event is a line of a service's event log.
type Event struct {
	At   time.Time
	Text string
}

const (
	// replacedWithin is how far back replacements are counted.
	replacedWithin = time.Hour
	// replaced ends every event in which apron tells why it takes another instance for one (internal/deploy).
	replaced = " A new one takes its place."
)

// Replaced says how many instances were replaced lately because they ended or were unhealthy, and why the last one was;
// empty when none was. events are oldest first.
func Replaced(events []Event, now time.Time) string {
	count, last := 0, Event{}
	for _, event := range events {
		if strings.HasSuffix(event.Text, replaced) && now.Sub(event.At) < replacedWithin {
			count, last = count+1, event
		}
	}
	if count == 0 {
		return ""
	}
	noun := "instances"
	if count == 1 {
		noun = "instance"
	}
	cause := strings.TrimPrefix(strings.TrimSuffix(last.Text, replaced), "[AppRunner] ")
	return fmt.Sprintf("%d %s in the last hour, the last one %s: %s", count, noun, Ago(last.At, now), cause)
}
