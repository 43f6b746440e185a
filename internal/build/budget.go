package build

import (
	"cmp"

	"golang.org/x/sys/unix"
)

const (
	// defaultCacheUntil is below the share of the disk at which apron refuses builds: the cache gives way first.
	defaultCacheUntil = 85
	// cacheShare is the part of the disk that the cache may have, where that is between the bounds.
	cacheShare     = 10
	leastCacheMost = 2 << 30
	mostCacheMost  = 50 << 30
	// cacheLeast stays also on a full disk, so that builds do not begin at nothing each time.
	cacheLeast = 512 << 20
)

// cacheBudget is what buildkitd may keep on the disk, in bytes: most where there is room, and less, down to least, to keep
// so much free.
type cacheBudget struct{ most, least, free int64 }

func (b *Builder) cacheBudget() cacheBudget {
	var stat unix.Statfs_t
	if err := unix.Statfs(b.config.Data, &stat); err != nil {
		return cacheBudget{most: cmp.Or(b.config.CacheBytes, leastCacheMost), least: cacheLeast}
	}
	return budgetFor(stat, b.config.CacheBytes, b.config.CacheUntil)
}

// budgetFor counts the disk as df(1) does, without what is reserved for root; buildkitd counts that as free.
func budgetFor(stat unix.Statfs_t, most int64, until int) cacheBudget {
	block := stat.Bsize
	reserved := int64(stat.Bfree-stat.Bavail) * block
	usable := int64(stat.Blocks)*block - reserved
	share := min(max(usable/cacheShare, leastCacheMost), mostCacheMost)
	return cacheBudget{most: cmp.Or(most, share), least: cacheLeast, free: usable/100*int64(100-until) + reserved}
}
