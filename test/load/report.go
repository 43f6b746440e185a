package load

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// record is what came of one request.
type record struct {
	kind           string
	sent, answered time.Time
	version        string
	// isPaused says that the answer was 503 with Retry-After.
	isPaused bool
	// trouble is empty for a good answer.
	trouble string
}

// timeline is what was allowed when.
type timeline struct {
	// versions are in the order in which they were set in motion.
	versions []allowance
	pauses   []span
}

// allowance is when a version may answer: what is answered after from and was sent before until.
type allowance struct {
	version string
	// from is zero for the version at the beginning, until is zero while no later one has settled.
	from, until time.Time
}

// span is a time; until is zero while it lasts.
type span struct{ from, until time.Time }

// Report is what came of a load.
type Report struct {
	// Sent counts all requests, Paused those that were answered with 503 during a pause.
	Sent, Paused int
	PerSecond    float64
	// Lost had no answer or an error, Wrong had an answer that was not allowed at the time.
	Lost, Wrong []string
	// Median and Slowest are the times to the end of an answer.
	Median, Slowest time.Duration
	// SlowestWas tells which request took the longest.
	SlowestWas string
}

// Faults is everything that should not have been.
func (r Report) Faults() []string { return append(slices.Clone(r.Lost), r.Wrong...) }

func (r Report) String() string {
	text := fmt.Sprintf("%d requests, %.0f a second, %d while paused, %d lost, %d wrong, median %s, slowest %s (%s)",
		r.Sent, r.PerSecond, r.Paused, len(r.Lost), len(r.Wrong), r.Median.Round(time.Microsecond), r.Slowest.Round(time.Millisecond), r.SlowestWas)
	const most = 20
	faults := r.Faults()
	if more := len(faults) - most; more > 0 {
		faults = append(faults[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(append([]string{text}, faults...), "\n  ")
}

// report judges each record by the timeline. It is pure.
func report(records []record, timeline timeline, sending time.Duration) Report {
	result := Report{Sent: len(records), PerSecond: float64(len(records)) / sending.Seconds()}
	if len(records) == 0 {
		return result
	}
	var took []time.Duration
	for _, each := range records {
		took = append(took, each.answered.Sub(each.sent))
		if last := took[len(took)-1]; last > result.Slowest {
			result.Slowest, result.SlowestWas = last, fmt.Sprintf("%s sent %s", each.kind, each.sent.Format("15:04:05.000"))
		}
		told := fmt.Sprintf("%s sent %s, after %s: ", each.kind, each.sent.Format("15:04:05.000"), each.answered.Sub(each.sent).Round(time.Millisecond))
		switch {
		case each.trouble != "":
			result.Lost = append(result.Lost, told+each.trouble)
		case each.isPaused && timeline.wasPaused(each):
			result.Paused++
		case each.isPaused:
			result.Lost = append(result.Lost, told+"status 503 outside a pause")
		case !timeline.allows(each):
			result.Wrong = append(result.Wrong, fmt.Sprintf("%sversion %q, which was not to answer then", told, each.version))
		}
	}
	result.Wrong = append(result.Wrong, timeline.wentBack(records)...)
	slices.Sort(took)
	result.Median = took[len(took)/2]
	return result
}

func (t timeline) allows(r record) bool {
	return slices.ContainsFunc(t.versions, func(a allowance) bool {
		return a.version == r.version && r.answered.After(a.from) && (a.until.IsZero() || r.sent.Before(a.until))
	})
}

func (t timeline) wasPaused(r record) bool {
	return slices.ContainsFunc(t.pauses, func(p span) bool {
		return r.answered.After(p.from) && (p.until.IsZero() || r.sent.Before(p.until))
	})
}

// wentBack finds requests that were sent after a newer version had answered, and that an older one answered.
func (t timeline) wentBack(records []record) []string {
	order := map[string]int{}
	for i, each := range t.versions {
		order[each.version] = i
	}
	byAnswer, bySent := slices.Clone(records), slices.Clone(records)
	slices.SortFunc(byAnswer, func(a, b record) int { return a.answered.Compare(b.answered) })
	slices.SortFunc(bySent, func(a, b record) int { return a.sent.Compare(b.sent) })
	var faults []string
	newest, seen := -1, 0
	for _, each := range bySent {
		for ; seen < len(byAnswer) && byAnswer[seen].answered.Before(each.sent); seen++ {
			if place, known := order[byAnswer[seen].version]; known {
				newest = max(newest, place)
			}
		}
		if place, known := order[each.version]; known && place < newest {
			faults = append(faults, fmt.Sprintf("%s sent %s: version %q, after version %q had answered",
				each.kind, each.sent.Format("15:04:05.000"), each.version, t.versions[newest].version))
		}
	}
	return faults
}
