package proxy_test

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/apron-run/apron/internal/proxy"
)

func TestALoopHearsNoMoreOfAListenerThatAnotherProxyHas(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(route(backend(t, says("app"))))
	ask(t, dial(t, p.address), "/")
	raw, err := p.listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var other int // as the other proxy's
	raw.Control(func(fd uintptr) { other, err = syscall.Dup(int(fd)) })
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(other)
	var info syscall.Stat_t
	if err := syscall.Fstat(other, &info); err != nil {
		t.Fatal(err)
	}
	watched := fmt.Sprintf(" ino:%x ", info.Ino)
	if countWatches(t, watched) == 0 {
		t.Fatal("the listener is not watched: the test shows nothing")
	}
	p.Leave()
	if n := countWatches(t, watched); n > 0 {
		t.Errorf("the listener is still watched %d times", n)
	}
}

// countWatches counts in all event loops of this process, Go's own among them.
func countWatches(t *testing.T, watched string) (count int) {
	t.Helper()
	all := os.DirFS("/proc/self/fdinfo")
	names, err := fs.Glob(all, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if text, err := fs.ReadFile(all, name); err == nil { // others are closed meanwhile
			count += strings.Count(string(text), watched)
		}
	}
	return count
}
