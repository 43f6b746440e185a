package app

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/deploy"
)

// buildLimits is what builds may have of the machine.
type buildLimits struct {
	// builds is how many run at a time, memory what each may use, in bytes.
	builds int
	memory int64
	// disk is how full the disk may be.
	disk deploy.DiskLimits
}

const (
	// leastBuildMemory is what a build gets on a small machine, as far as there is so much.
	leastBuildMemory = 1 << 30
	// cacheMargin is how far below the limit of builds, in percent of the disk, the build cache begins to give way.
	cacheMargin = 5
)

// buildLimits are those of the configuration, and where it says nothing those that fit the machine.
func (c Config) buildLimits() (limits buildLimits, err error) {
	if limits.builds, err = c.builds(); err != nil {
		return limits, err
	}
	if limits.memory, err = c.buildMemory(); err != nil {
		return limits, err
	}
	if limits.disk, err = c.diskLimits(); err != nil {
		return limits, err
	}
	if limits.memory == 0 {
		var info unix.Sysinfo_t
		if err := unix.Sysinfo(&info); err != nil {
			return limits, fmt.Errorf("ask how much memory there is: %w", err)
		}
		limits.memory = buildMemoryOf(int64(info.Totalram)*int64(info.Unit), limits.builds)
	}
	return limits, nil
}

// buildMemoryOf is a build's share of half of the machine; on a small machine more, but never all of it.
func buildMemoryOf(total int64, builds int) int64 {
	return max(total/2/int64(builds), min(leastBuildMemory, total*3/4/int64(builds)))
}
