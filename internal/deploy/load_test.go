package deploy

import (
	"testing"
	"time"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
)

func TestWhatInstancesUseIsAPartOfWhatTheyHave(t *testing.T) {
	size := platform.InstanceConfiguration{CPUUnits: 512, MemoryMiB: 1024}
	before := usage{noon, map[platform.InstanceID]time.Duration{"a": time.Second, "b": 4 * time.Second}}
	uses := map[platform.InstanceID]compute.Usage{
		"a":   {CPU: 2 * time.Second, MemoryBytes: 512 << 20},
		"b":   {CPU: 4 * time.Second, MemoryBytes: 1024 << 20}, // frozen
		"new": {CPU: time.Second, MemoryBytes: 0},
	}
	// One second in ten, of half a processor each, in two instances that were there before.
	if got := cpuPercent(before, noon.Add(10*time.Second), uses, size); got != 10 {
		t.Errorf("they use %g %% of their processors, want 10", got)
	}
	if got := memoryPercent(uses, size); got != 50 {
		t.Errorf("they use %g %% of their memory, want 50", got)
	}
	if cpuPercent(usage{}, noon, uses, size) >= 0 || memoryPercent(nil, size) >= 0 {
		t.Error("what is not known is taken for something")
	}
}
