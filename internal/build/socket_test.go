package build

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	gatewaypb "github.com/moby/buildkit/frontend/gateway/pb"

	"github.com/apron-run/apron/internal/platform"
)

// What BuildKit says when its containerd ends has no code to tell it by, and is nobody's fault: the build runs again.
func TestABuildWhoseContainerdEndedIsNotTheUsersFailure(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false) // as when the process is killed
	lost, ran := errors.New("failed to load cache key: connection refused"), &step{name: "[build] make"}
	explain := func(hasEnded func() bool, failed *step, err error) error {
		return (&progress{hasContainerdEnded: hasEnded, failed: failed}).explain(t.Context(), err, "building the image")
	}
	if err := explain(watchSocket(socket), nil, lost); !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("right after its start: %v", err)
	}
	longAgo := time.Now().Add(-time.Minute)
	if err := os.Chtimes(socket, longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	hasEnded := watchSocket(socket)
	if err := explain(hasEnded, nil, lost); errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("while containerd runs: %v", err)
	}
	_ = listener.Close()
	for _, failed := range []*step{nil, ran} {
		if err := explain(hasEnded, failed, lost); !errors.Is(err, platform.ErrUnavailable) {
			t.Errorf("after its end: %v", err)
		}
	}
	if err := explain(hasEnded, ran, &gatewaypb.ExitError{ExitCode: 3}); errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("a command that failed before: %v", err)
	}
}
