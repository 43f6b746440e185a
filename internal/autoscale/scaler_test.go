package autoscale

import (
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestAServiceWithoutRoomGetsWhatItNeedsAtOnce(t *testing.T) {
	var scaler Scaler
	policy := Policy{MaxConcurrency: 10, MinSize: 1, MaxSize: 25}
	scaler.Observe(start, platform.Load{InFlight: 20, Waiting: 16, IsShort: true})
	got := scaler.Decide(start, policy, State{Size: 2, Ready: 2})
	if want := "36 requests at once, 10 per instance: 2 -> 4 instances"; got.Size != 4 || got.Reason != want {
		t.Errorf("%+v, want %s", got, want)
	}
}
