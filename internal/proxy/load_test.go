package proxy

import (
	"math"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

func TestTheFirstMomentsOfABurstDoNotCountForASecond(t *testing.T) {
	p := New(Config{})
	p.SetRoutes([]platform.Route{serving(2, 0, 1)})
	defer p.SetRoutes(nil)
	newSeeking().find(p)
	newSeeking().find(p)
	queued(t, p)
	service := p.services["service"]
	service.gauge.sampledAt = time.Hour // when it was noted, after a long rest
	for _, c := range []struct {
		after time.Duration
		want  float64
	}{
		{20 * time.Millisecond, .06}, // it had no request in most of the last second
		{70 * time.Millisecond, 3},   // since the report before
		{1070 * time.Millisecond, 3}, // as long as reports are apart
		{2071 * time.Millisecond, 3}, // a report that comes late
	} {
		at := time.Hour + c.after
		service.sample(at, time.Now())
		p.gauges.report(at, time.Now())
		if got := p.gauges.latest.Services[0]; math.Abs(got.Average-c.want) > .001 || got.Peak != 3 {
			t.Errorf("after %s: %+v", c.after, got)
		}
	}
}
