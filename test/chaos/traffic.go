package chaos

import (
	"fmt"
	"strings"
	"time"

	"github.com/apron-run/apron/test/load"
)

// requestRate is how many requests a second each service gets.
const requestRate = 20

// death is the end of an instance that the package has killed, itself or its shim.
type death struct {
	slot          int
	victim        victim
	killed, ended time.Time
}

// span is a time; until is zero while it lasts.
type span struct{ from, until time.Time }

// sight is how late an end of a process may be seen: a request that was answered so long before may have died with it.
const sight = 250 * time.Millisecond

// brokenVersion begins the versions that must never answer.
const brokenVersion = "broken"

// traffic is what came of the requests to one service.
type traffic struct {
	sent, inFlight, withoutInstance, paused, cut int
	lost                                         []string
}

func (t *traffic) add(more traffic) {
	t.sent += more.sent
	t.inFlight += more.inFlight
	t.withoutInstance += more.withoutInstance
	t.paused += more.paused
	t.cut += more.cut
	t.lost = append(t.lost, more.lost...)
}

func (t traffic) String() string {
	return fmt.Sprintf("%d requests, %d broke on killed instances, %d refused without an instance, %d refused while paused, %d without a proxy, %d lost",
		t.sent, t.inFlight, t.withoutInstance, t.paused, t.cut, len(t.lost))
}

// judge says what came of requests to a service that had at least size instances, some of which died, and that was
// paused at times, and behind a proxy that was not there at others. It is pure; the package's doc has the rules.
func judge(requests []load.Request, size int, deaths []death, pauses, cuts []span) traffic {
	result := traffic{sent: len(requests)}
	gap := gapOf(requests, size, deaths)
	for _, each := range requests {
		told := fmt.Sprintf("%s from %s to %s: ", each.Kind, each.Sent.Format("15:04:05.000"), each.Answered.Format("15:04:05.000"))
		switch {
		case each.Trouble == "" && !each.IsRefused:
			if strings.HasPrefix(each.Version, brokenVersion) {
				result.lost = append(result.lost, told+"answered by the version "+each.Version)
			}
		case each.IsRefused && isWithin(each, pauses):
			result.paused++
		case each.IsRefused && isWithin(each, gap):
			result.withoutInstance++
		case each.IsRefused:
			result.lost = append(result.lost, told+"refused with 503")
		case wasInFlight(each, deaths):
			result.inFlight++
		case isWithin(each, cuts):
			result.cut++
		default:
			result.lost = append(result.lost, told+each.Trouble)
		}
	}
	return result
}

// gapOf is when no instance was left: from the first of the deaths to the first good answer after the last.
func gapOf(requests []load.Request, size int, deaths []death) []span {
	if len(deaths) == 0 || len(deaths) < size {
		return nil
	}
	first, last := deaths[0].killed, deaths[0].ended
	for _, each := range deaths {
		if each.killed.Before(first) {
			first = each.killed
		}
		if each.ended.After(last) {
			last = each.ended
		}
	}
	gap := span{from: first}
	for _, each := range requests {
		isGood := each.Trouble == "" && !each.IsRefused && each.Sent.After(last)
		if isGood && (gap.until.IsZero() || each.Answered.Before(gap.until)) {
			gap.until = each.Answered
		}
	}
	return []span{gap}
}

func isWithin(r load.Request, spans []span) bool {
	for _, each := range spans {
		if r.Answered.After(each.from) && (each.until.IsZero() || r.Sent.Before(each.until)) {
			return true
		}
	}
	return false
}

func wasInFlight(r load.Request, deaths []death) bool {
	for _, each := range deaths {
		earliest := each.ended.Add(-sight)
		if earliest.Before(each.killed) {
			earliest = each.killed
		}
		if !r.Sent.After(each.ended) && !r.Answered.Before(earliest) {
			return true
		}
	}
	return false
}
