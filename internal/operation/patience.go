package operation

import (
	"context"
	"errors"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// awayTimeout is how long a step waits for what does its work: long enough for one that hangs to be noticed and started
	// again, and shorter than most steps may take.
	awayTimeout = 2 * time.Minute
	// awayEvery is how often the step is tried meanwhile.
	awayEvery = 250 * time.Millisecond
)

// runPatiently runs a step. When containerd or BuildKit ends while it is at work, it is started again, and so is the step:
// users' operations do not fail for that.
func (r *run) runPatiently(ctx context.Context, s step) (detail string, err error) {
	until := time.Now().Add(awayTimeout)
	for isTold := false; ; isTold = true {
		detail, err = s.run(ctx, r)
		if !errors.Is(err, platform.ErrUnavailable) || ctx.Err() != nil {
			return detail, err
		}
		if time.Now().After(until) {
			return "", platform.Explain(err, "What runs instances and builds did not answer for %s.", awayTimeout).
				Try("Start the operation again; the folder run of apron's data directory has its logs, containerd.log and buildkitd.log.")
		}
		if !isTold {
			r.logs.Event(r.service.ID, "What runs instances and builds does not answer; the step %q goes on when it is back.", s.name)
			r.log.Warn("a step waits for its daemon", "step", s.name, "error", err)
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(awayEvery):
		}
	}
}
