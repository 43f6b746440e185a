package containerd

import (
	"syscall"
	"testing"
)

func TestASignalIsHeardThatIsHandledOrWaitedFor(t *testing.T) {
	for status, want := range map[string]bool{
		"Name:\tphp\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000002\n":  false, // SIGINT alone
		"Name:\tnode\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001000\nSigCgt:\t0000000188004602\n": true,
		"Name:\ttini\nSigBlk:\t0000000000004000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n": true,
		"SigCgt:\tnone\n": true,
	} {
		if got := handles(status, syscall.SIGTERM); got != want {
			t.Errorf("%q: %t", status, got)
		}
	}
}
