package daemon

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be the daemon: it listens on the Unix socket named by its environment.
func TestMain(m *testing.M) {
	if socket := os.Getenv("TEST_DAEMON_SOCKET"); socket != "" {
		_ = os.Remove(socket)
		listener, err := net.Listen("unix", socket)
		if err != nil {
			os.Exit(3)
		}
		if os.Getenv("TEST_DAEMON_SHOUTS") != "" {
			go func() {
				for line := bytes.Repeat([]byte("all work and no play\n"), 1<<16); ; {
					_, _ = os.Stdout.Write(line)
				}
			}()
		}
		for {
			conn, err := listener.Accept()
			if err != nil {
				os.Exit(4)
			}
			_ = conn.Close()
		}
	}
	os.Exit(m.Run())
}

func newDaemon(t *testing.T) *Daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "dm")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	d := &Daemon{
		Name: "echo", Path: "/proc/self/exe", Env: []string{"TEST_DAEMON_SOCKET=" + socket}, Dir: dir, StartTimeout: 5 * time.Second,
		Ready: func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
			if err != nil {
				return err
			}
			return conn.Close()
		},
	}
	t.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return d
}

func ensure(t *testing.T, d *Daemon) identity {
	t.Helper()
	if err := d.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, ok := d.running()
	if !ok {
		t.Fatal("the daemon is ensured and does not run")
	}
	return id
}

func TestARunningDaemonIsAdopted(t *testing.T) {
	d := newDaemon(t)
	first := ensure(t, d)
	if session, err := unix.Getsid(first.Pid); err != nil || session != first.Pid {
		t.Errorf("session %d, %v: the daemon would end with apron's", session, err)
	}
	again := *d
	if second := ensure(t, &again); second != first {
		t.Errorf("a second start made process %d beside %d", second.Pid, first.Pid)
	}
}

func TestTheLogOfADaemonThatShoutsIsBounded(t *testing.T) {
	d := newDaemon(t)
	d.Env = append(d.Env, "TEST_DAEMON_SHOUTS=yes")
	ensure(t, d)
	size := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	for range 3 {
		for deadline := time.Now().Add(20 * time.Second); size(d.logPath()) <= maxLogBytes; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it does not shout")
			}
		}
		before := size(d.logPath())
		if err := d.boundLog(); err != nil {
			t.Fatal(err)
		}
		// It shouts on meanwhile, after the new beginning.
		if after := size(d.logPath()); after >= before || size(d.logPath()+".1") != maxLogBytes {
			t.Errorf("%d bytes of %d are left, and %d before them", after, before, size(d.logPath()+".1"))
		}
	}
}

func TestADeadDaemonIsStartedAgain(t *testing.T) {
	d := newDaemon(t)
	first := ensure(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	if err := unix.Kill(first.Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if id, ok := d.running(); ok && id != first && d.Ready(t.Context()) == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the daemon did not come back")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, ok := d.running(); !ok {
		t.Error("the daemon ended with the loop that looks after it")
	}
}

func TestStopEndsTheDaemonAndMayBeRepeated(t *testing.T) {
	d := newDaemon(t)
	id := ensure(t, d)
	for range 2 {
		if err := d.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if id.isAlive() {
		t.Errorf("process %d is alive", id.Pid)
	}
}

func TestAnotherProcessWithTheSamePidIsNotTouched(t *testing.T) {
	d := newDaemon(t)
	bystander := exec.Command("sleep", "60")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bystander.Process.Kill(); _ = bystander.Wait() })
	id, err := identify(bystander.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	id.StartTicks--
	if err := d.writePidFile(id); err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + strconv.Itoa(id.Pid)); err != nil {
		t.Errorf("the bystander is gone: %v", err)
	}
}

func TestADaemonThatEndsAtOnceIsToldSoon(t *testing.T) {
	d := newDaemon(t)
	d.Path, d.Env = "/bin/false", nil
	d.Ready = func(context.Context) error { return errors.New("not there") }
	began := time.Now()
	if err := d.Ensure(t.Context()); err == nil {
		t.Error("a daemon that ended at once was ensured")
	}
	if took := time.Since(began); took > d.StartTimeout {
		t.Errorf("it took %s", took)
	}
}
