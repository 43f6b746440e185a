package deploy

import (
	"fmt"
	"slices"
	"time"
)

// sightings is what apron saw of an instance on its way to readiness. What was seen many times in a row is one line, and
// of many lines the first and the last stay.
type sightings struct {
	since time.Time
	runs  []sighting
	// left is how many runs after the first ones were left out.
	left int
}

type sighting struct {
	first, last time.Duration
	times       int
	what        string
}

const (
	firstSightings = 5
	lastSightings  = 10
)

// newSightings counts time from the start of the instance, or from now where that is not known.
func newSightings(started time.Time) *sightings {
	if started.IsZero() {
		started = time.Now()
	}
	return &sightings{since: started}
}

func (s *sightings) add(at time.Time, what string) {
	after := at.Sub(s.since)
	if n := len(s.runs); n > 0 && s.runs[n-1].what == what {
		s.runs[n-1].last = after
		s.runs[n-1].times++
		return
	}
	s.runs = append(s.runs, sighting{first: after, last: after, times: 1, what: what})
	if len(s.runs) > firstSightings+lastSightings {
		s.runs = slices.Delete(s.runs, firstSightings, firstSightings+1)
		s.left++
	}
}

// lines tells what was seen, such as "+0.1 s to +2.1 s, 41 times: nothing listens on 10.0.0.2:8080".
func (s *sightings) lines() []string {
	var lines []string
	for i, run := range s.runs {
		if i == firstSightings && s.left > 0 {
			lines = append(lines, fmt.Sprintf("… and %d more changes", s.left))
		}
		when := stamp(run.first)
		if run.times > 1 {
			when = fmt.Sprintf("%s to %s, %d times", when, stamp(run.last), run.times)
		}
		lines = append(lines, when+": "+run.what)
	}
	return lines
}

func stamp(after time.Duration) string { return fmt.Sprintf("+%.1f s", max(0, after).Seconds()) }
