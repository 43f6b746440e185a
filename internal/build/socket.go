package build

import (
	"net"
	"os"
	"time"
)

// askTimeout bounds the question whether a daemon of this machine still listens.
const askTimeout = time.Second

// watchSocket returns whether the daemon that listens at a Unix socket now has ended since: nothing listens there any more,
// or another one does.
func watchSocket(path string) (hasEnded func() bool) {
	before, err := os.Stat(path)
	if err != nil {
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
