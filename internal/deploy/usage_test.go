package deploy

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// What the instances use that are left after a step of scale-in is what they use, and not what the one used too that has left.
func TestASizeThatFollowsTheProcessorsStaysWhenOneHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := supervised(t, map[string]string{platform.TagScaleOn: "cpu", platform.TagScaleTarget: "50"})
		m.mu.Lock()
		m.revision.Configuration.Instance = platform.InstanceConfiguration{CPUUnits: 1024, MemoryMiB: 1024}
		m.mu.Unlock()
		time.Sleep(2 * time.Second)
		m.tell(1)
		m.burn(1.4, 300)
		if got := m.look(); len(got.routed) != 3 {
			t.Fatalf("%d instances answer, want 3", len(got.routed))
		}
		before := m.look().starts
		m.burn(.75, 600) // two with 37.5 % each are enough, and three with 25 % one too many
		if got := m.look(); len(got.routed) != 2 || got.starts != before {
			t.Errorf("%d instances answer, and %d were started", len(got.routed), got.starts-before)
		}
	})
}
