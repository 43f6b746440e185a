package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
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
				line := bytes.Repeat([]byte("all work and no play\n"), 1<<14)
				for range 2000 { // an end, should nobody stop it
					_, _ = os.Stdout.Write(line)
					time.Sleep(time.Millisecond)
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

// A process that is there and does not answer is as good as none.
func TestADaemonThatHangsIsStartedAgain(t *testing.T) {
	d := newDaemon(t)
	d.AskEvery = time.Millisecond
	d.Ready = answers(filepath.Join(d.Dir, "s"))
	hung := ensure(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = d.Run(ctx) })
	defer running.Wait()
	defer cancel()
	if err := unix.Kill(hung.Pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if id, ok := d.running(); ok && id != hung && d.Ready(ctx) == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it was not started again")
		}
	}
}

// answers asks for the end of a connection, which a process that hangs does not give.
func answers(socket string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err != nil {
			return err
		}
		defer conn.Close()
		deadline, _ := ctx.Deadline()
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			return err
		}
		return nil
	}
}

func TestTheLogOfADaemonThatShoutsIsBounded(t *testing.T) {
	d := newDaemon(t)
	d.Env = append(d.Env, "TEST_DAEMON_SHOUTS=yes")
	id := ensure(t, d)
	signal := func(signal unix.Signal) {
		t.Helper()
		if err := unix.Kill(id.Pid, signal); err != nil {
			t.Fatal(err)
		}
	}
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
		signal(unix.SIGSTOP) // for a moment, so that what is left can be counted
		if err := d.boundLog(); err != nil {
			t.Fatal(err)
		}
		if kept := size(d.logPath() + ".1"); kept != maxLogBytes {
			t.Errorf("%d bytes of before are kept, want %d", kept, maxLogBytes)
		}
		if left := size(d.logPath()); left != 0 {
			t.Errorf("%d bytes are left", left)
		}
		signal(unix.SIGCONT)
	}
	for deadline := time.Now().Add(20 * time.Second); size(d.logPath()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not go on")
		}
	}
	file, err := os.Open(d.logPath())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if first := make([]byte, 1); !isRead(file, first) || first[0] == 0 {
		t.Error("it does not go on at the new beginning")
	}
}

func isRead(file *os.File, into []byte) bool {
	n, err := file.Read(into)
	return err == nil && n == len(into)
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

// Whoever asks waits for an answer, as a client of gRPC does.
func TestADaemonThatIsKilledWhileItStartsIsStartedAgain(t *testing.T) {
	d := newDaemon(t)
	ask, kills := d.Ready, 2
	d.Ready = func(ctx context.Context) error {
		if kills--; kills < 0 {
			return ask(ctx)
		}
		if id, ok := d.running(); !ok || unix.Kill(id.Pid, unix.SIGKILL) != nil {
			t.Error("there is no daemon to kill")
		}
		<-ctx.Done()
		return ctx.Err()
	}
	began := time.Now()
	ensure(t, d)
	if took := time.Since(began); took > d.StartTimeout {
		t.Errorf("it took %s", took)
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

// A daemon that the program before in this process had started is waited for once it has ended, whoever looks after it now.
func TestADaemonThatHasEndedDoesNotStay(t *testing.T) {
	for name, test := range map[string]struct {
		hasEnded bool // before it is looked after
		look     func(t *testing.T, d *Daemon) error
	}{
		"looked for":                {true, hasEnded},
		"looked for while it runs":  {false, hasEnded},
		"stopped":                   {false, func(t *testing.T, d *Daemon) error { return d.Stop(t.Context()) }},
		"stopped when it has ended": {true, func(t *testing.T, d *Daemon) error { return d.Stop(t.Context()) }},
		"started again":             {true, func(t *testing.T, d *Daemon) error { return d.Ensure(t.Context()) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, seconds := newDaemon(t), "0.2"
			if name == "stopped" {
				seconds = "1000"
			}
			child, err := os.StartProcess("/bin/sleep", []string{"sleep", seconds}, &os.ProcAttr{})
			if err != nil {
				t.Fatal(err)
			}
			id, err := identify(child.Pid)
			if err == nil {
				err = d.writePidFile(id)
			}
			if err != nil {
				t.Fatal(err)
			}
			has := func(what string, isSo func(isEnded bool, err error) bool) {
				t.Helper()
				for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
					if _, isEnded, err := describe(child.Pid); isSo(isEnded, err) {
						return
					}
					if time.Now().After(deadline) {
						t.Fatal("the child has not " + what)
					}
				}
			}
			if test.hasEnded {
				has("ended", func(isEnded bool, _ error) bool { return isEnded })
			}
			if err := test.look(t, d); err != nil {
				t.Error(err)
			}
			has("gone", func(_ bool, err error) bool { return err != nil })
		})
	}
}

func hasEnded(t *testing.T, d *Daemon) error {
	if !d.HasEnded(t.Context()) {
		return errors.New("it is said to run")
	}
	return nil
}
