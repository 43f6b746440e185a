package deploy

import (
	"fmt"
	"time"
)

const (
	// scaleEventsAtOnce are told as they come; after them one in each scaleEventEvery, so that a restless load does not push
	// everything else out of the event log.
	scaleEventsAtOnce = 10
	scaleEventEvery   = 30 * time.Second
)

// scaleEvents bounds how often changes of one service's size are told.
type scaleEvents struct {
	// full is when as many as possible may be told at once again.
	full time.Time
	// left counts the changes since the last line that were not told.
	left int
}

// line tells a change, with how many before it were not; "" when this one is not told either.
func (e *scaleEvents) line(now time.Time, before, after int, reason string) string {
	if e.full.Sub(now) > (scaleEventsAtOnce-1)*scaleEventEvery {
		e.left++
		return ""
	}
	if e.full.Before(now) {
		e.full = now
	}
	e.full = e.full.Add(scaleEventEvery)
	left := e.left
	e.left = 0
	verb := "Scaled in"
	switch {
	case after == 0:
		verb = "Scaled to zero"
	case after > before:
		verb = "Scaled out"
	}
	line := verb + ": " + reason + "."
	if left > 0 {
		line += fmt.Sprintf(" %d changes before this one were not told.", left)
	}
	return line
}
