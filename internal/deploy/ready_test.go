package deploy

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// hangs is a probe of an app that never answers.
type hangs struct{}

func (hangs) Probe(ctx context.Context, _ string, _ platform.HealthCheck) error {
	<-ctx.Done()
	return fmt.Errorf("cannot be reached: %w", ctx.Err())
}

// A probe that was broken off has seen nothing; one that had no answer for all of its time has.
func TestAProbeThatIsBrokenOffIsNoSighting(t *testing.T) {
	e := &Executor{Prober: hangs{}}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, release := context.WithTimeout(t.Context(), time.Nanosecond)
	defer release()
	for _, c := range []struct {
		ctx  context.Context
		want int
	}{{canceled, 0}, {late, 1}} {
		seen := newSightings(time.Now())
		if err := e.probe(c.ctx, "10.0.0.1:80", platform.HealthCheck{HealthyThreshold: 1}, seen); err == nil {
			t.Error("it was healthy")
		}
		if lines := seen.lines(); len(lines) != c.want {
			t.Errorf("%v: seen %q, want %d", c.ctx.Err(), lines, c.want)
		}
	}
}
