package build

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheCacheHasItsShareOfTheDisk(t *testing.T) {
	const gib = 1 << 30
	disk := func(total, reserved uint64) unix.Statfs_t {
		return unix.Statfs_t{Bsize: 4096, Blocks: total * gib / 4096, Bfree: total * gib / 4096, Bavail: (total - reserved) * gib / 4096}
	}
	for name, c := range map[string]struct {
		disk unix.Statfs_t
		most int64
		want cacheBudget
	}{
		"a tenth":                       {disk(200, 0), 0, cacheBudget{20 * gib, cacheLeast, 30 * gib}},
		"what is root's does not count": {disk(210, 10), 0, cacheBudget{20 * gib, cacheLeast, 40 * gib}},
		"no less than a build needs":    {disk(10, 0), 0, cacheBudget{2 * gib, cacheLeast, 3 * gib / 2}},
		"no more than is of use":        {disk(4000, 0), 0, cacheBudget{50 * gib, cacheLeast, 600 * gib}},
		"what was asked for":            {disk(200, 0), 7 * gib, cacheBudget{7 * gib, cacheLeast, 30 * gib}},
	} {
		got := budgetFor(c.disk, c.most, 85)
		const rounding = 100
		if got.most != c.want.most || got.least != c.want.least || c.want.free-got.free < 0 || c.want.free-got.free > rounding {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
