package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// docker is Debian's dockerd in a network namespace of its own, with its own folders: nothing of it is seen outside.
type docker struct {
	dir     string
	process *exec.Cmd
	calls   chan func() // run on a thread that is in the namespace
	number  int
}

func startDocker(b *testing.B) *docker {
	b.Helper()
	dir, err := os.MkdirTemp("", "dk")
	if err != nil {
		b.Fatal(err)
	}
	d := &docker{dir: dir, calls: make(chan func())}
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, and the namespace with it, ends with the goroutine
		for call := range d.calls {
			call()
		}
	}()
	d.inside(func() { err = d.start() })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { d.stop(b) })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if err := d.command(b.Context(), "version").Run(); err == nil {
			break
		} else if time.Now().After(deadline) {
			b.Fatalf("dockerd does not answer: %v; its log is %s", err, d.path("log"))
		}
	}
	d.must(b, "network", "create", "--subnet", "172.30.0.0/24", "bench")
	return d
}

func (d *docker) must(b *testing.B, arguments ...string) {
	b.Helper()
	if output, err := d.command(b.Context(), arguments...).CombinedOutput(); err != nil {
		b.Fatalf("docker %s: %v\n%s", arguments[0], err, output)
	}
}

func (d *docker) path(name string) string { return filepath.Join(d.dir, name) }

func (d *docker) inside(do func()) {
	done := make(chan struct{})
	d.calls <- func() { defer close(done); do() }
	<-done
}

func (d *docker) start() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	log, err := os.Create(d.path("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	d.process = exec.Command("dockerd", "--data-root", d.path("data"), "--exec-root", d.path("exec"), "--pidfile", d.path("pid"),
		"--host", "unix://"+d.path("sock"), "--storage-driver", "overlay2", "--userland-proxy=false")
	d.process.Stdout, d.process.Stderr = log, log
	d.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return d.process.Start()
}

func (d *docker) command(ctx context.Context, arguments ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "docker", append([]string{"--host", "unix://" + d.path("sock")}, arguments...)...)
}

// run measures `docker run` of an image until the application's first answer, which must end with want, with the limits that
// apron gives an instance.
func (d *docker) run(b *testing.B, image, want string) (took time.Duration) {
	b.Helper()
	d.number++
	container := fmt.Sprintf("bench%d", d.number)
	address := fmt.Sprintf("172.30.0.%d", 10+d.number) // chosen, so that nobody need ask for it
	var err error
	d.inside(func() {
		begun := time.Now()
		output, failed := d.command(b.Context(), "run", "--detach", "--name", container, "--memory", "2g", "--cpus", "1",
			"--env", "PORT=8080", "--network", "bench", "--ip", address, image).CombinedOutput()
		if failed != nil {
			err = fmt.Errorf("docker run: %w\n%s", failed, output)
			return
		}
		for time.Since(begun) < 30*time.Second {
			if err = ask(net.JoinHostPort(address, "8080"), want); err == nil {
				took = time.Since(begun)
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	d.must(b, "rm", "--force", container)
	return took
}

// ask sends one request from this very thread, which http.Client would not.
func ask(address, want string) error {
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return err
	}
	conn, err := net.DialTCP("tcp4", nil, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	status, _, _ := strings.Cut(string(answer), "\r\n")
	if err == nil && (!strings.HasSuffix(status, " 200 OK") || !strings.HasSuffix(string(answer), want)) {
		err = errors.New("answered " + string(answer))
	}
	return err
}

// stop ends dockerd and removes all of it. Twice is safe.
func (d *docker) stop(b *testing.B) {
	if d.process == nil {
		return
	}
	_ = d.process.Process.Signal(syscall.SIGTERM)
	_ = d.process.Wait()
	d.process = nil
	close(d.calls)
	if err := os.RemoveAll(d.dir); err != nil {
		b.Error(err)
	}
}
