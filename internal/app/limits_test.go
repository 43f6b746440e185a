package app

import (
	"testing"

	"github.com/apron-run/apron/internal/deploy"
)

func TestABuildHasItsShareOfTheMachinesMemory(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		total  int64
		builds int
		want   int64
	}{{24 * gib, 2, 6 * gib}, {64 * gib, 4, 8 * gib}, {8 * gib, 1, 4 * gib}, {2 * gib, 2, 3 * gib / 4}, {gib, 1, 3 * gib / 4}, {4 * gib, 4, 3 * gib / 4}} {
		if got := buildMemoryOf(c.total, c.builds); got != c.want {
			t.Errorf("%d builds on a machine with %d bytes: %d each, want %d", c.builds, c.total, got, c.want)
		}
	}
	config := Default()
	limits, err := config.buildLimits()
	if err != nil || limits.builds != 2 || limits.memory <= 0 || limits.disk.Build != 90 {
		t.Errorf("by default: %+v, %v", limits, err)
	}
	config.Builds, config.BuildMemory, config.DiskLimits = "3", "512M", "deploy=80"
	if limits, err := config.buildLimits(); err != nil || limits != (buildLimits{3, 512 << 20, deploy.DiskLimits{Build: 90, Deploy: 80}}) {
		t.Errorf("as configured: %+v, %v", limits, err)
	}
}
