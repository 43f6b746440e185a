package build

import (
	"net"
	"os"
	"time"
)

// askTimeout bounds the question whether a daemon of this machine still listens.
const askTimeout = time.Second

// reconnectTime is how long others may speak to the end of a daemon's predecessor still: gRPC dials again each few seconds.
const reconnectTime = 10 * time.Second

// watchSocket returns whether the daemon that listens at a Unix socket now has ended since, or its predecessor had just before:
// nothing listens there any more, or another one does, or one that has only begun to.
func watchSocket(path string) (hasEnded func() bool) {
	before, err := os.Stat(path)
	if err != nil || time.Since(before.ModTime()) < reconnectTime {
		return func() bool { return true }
	}
	return func() bool {
		now, err := os.Stat(path)
		if err != nil || !os.SameFile(before, now) || !now.ModTime().Equal(before.ModTime()) {
			return true
		}
		conn, err := net.DialTimeout("unix", path, askTimeout)
		if err != nil {
			return true
		}
		_ = conn.Close() // nothing was said
		return false
	}
}
