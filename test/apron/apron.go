// Package apron runs a real apron for a test: the program from bin/, on addresses and a data directory of its own, with
// real containers below it. When the test ends, everything that it started is stopped, and the package looks whether
// anything stayed behind on the machine.
//
// It starts nothing but `apron serve`, and speaks to it as users do: by the AWS CLI, the AWS SDK, HTTP and the verbs of
// the command line. It needs root and what `make build` builds.
package apron

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Apron is one `apron serve` with its data directory.
type Apron struct {
	// Data is the data directory, API, HTTP, HTTPS and Private are the addresses, Region is part of every ARN.
	Data, API, HTTP, HTTPS, Private, Region string

	program string
	flags   []string
	log     string
	guard   *guard

	mu      sync.Mutex // guards process and ended
	process *exec.Cmd
	ended   chan struct{}
}

const (
	// readyTimeout is how long apron may take until it answers: its daemons start with it.
	readyTimeout = 90 * time.Second
	// stopTimeout is how long SIGTERM may take: there may be requests to drain.
	stopTimeout = 60 * time.Second
	// downTimeout is how long `apron down` may take.
	downTimeout = 10 * time.Minute // a thousand instances take minutes
)

// Start runs an apron on a clean data directory until the test ends. flags are added to the command line.
func Start(t testing.TB, flags ...string) *Apron {
	t.Helper()
	a, err := Open(flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of apron's log (%s):\n%s", a.state(), a.news(100))
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// Open is Start without a test. Close must be called, also after an error of another part.
func Open(flags ...string) (*Apron, error) {
	program, err := Program()
	if err != nil {
		return nil, err
	}
	// Paths of Unix sockets are limited to 107 bytes, so the data directory's must be short.
	data, err := os.MkdirTemp("/tmp", "ap")
	if err != nil {
		return nil, err
	}
	addresses, err := freeAddresses(4)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(data))
	}
	a := &Apron{
		Data: data, API: addresses[0], HTTP: addresses[1], HTTPS: addresses[2], Private: addresses[3], Region: "us-east-1",
		program: program, log: data + ".log",
	}
	a.flags = append([]string{"--data=" + data, "--api=" + a.API, "--http=" + a.HTTP, "--https=" + a.HTTPS,
		"--private-http=" + a.Private, "--cache=" + cacheDir, "--bin=" + filepath.Dir(program),
		"--poll=0"}, flags...) // what a test changes is deployed when the test says so
	if a.guard, err = startGuard(program, a.settings(), data); err != nil {
		return nil, errors.Join(err, os.RemoveAll(data))
	}
	if err := a.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, a.news(100)), a.Close())
	}
	return a, nil
}

// cacheDir is where assembled base images are kept on a machine, so that not every run assembles them anew.
const cacheDir = "/var/cache/apron"

// settings are the flags that every verb about this machine takes.
func (a *Apron) settings() []string { return a.flags }

// Endpoint is the API's URL.
func (a *Apron) Endpoint() string { return "http://" + a.API }

// Restart starts `apron serve` again on the same data directory, after Kill9 or Stop.
func (a *Apron) Restart(t testing.TB) {
	t.Helper()
	if err := a.TryRestart(); err != nil {
		t.Fatal(err)
	}
}

// TryRestart is Restart that returns its error.
func (a *Apron) TryRestart() error {
	if err := a.start(); err != nil {
		return fmt.Errorf("%w\n%s", err, a.news(100))
	}
	return nil
}

func (a *Apron) start() error {
	log, err := os.OpenFile(a.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	process := exec.Command(a.program, append([]string{"serve"}, a.flags...)...)
	process.Stdout, process.Stderr, process.Dir = log, log, "/"
	// A group of its own: Ctrl-C on a test ends the test, and the guard ends apron in order.
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := process.Start(); err != nil {
		return fmt.Errorf("start apron: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		process.Wait()
	}()
	a.mu.Lock()
	a.process, a.ended = process, ended
	a.mu.Unlock()
	return a.awaitReady(ended)
}

func (a *Apron) awaitReady(ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	for {
		if a.isHealthy(ctx) {
			return nil
		}
		select {
		case <-ended:
			return errors.New("apron ended before it was ready")
		case <-ctx.Done():
			return fmt.Errorf("apron was not ready within %s", readyTimeout)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (a *Apron) isHealthy(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Endpoint()+"/healthz", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// PID is the process id of `apron serve`.
func (a *Apron) PID() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.process.Process.Pid
}

// state says whether `apron serve` runs, and how it ended if it does not.
func (a *Apron) state() string {
	a.mu.Lock()
	process, ended := a.process, a.ended
	a.mu.Unlock()
	select {
	case <-ended:
		return "ended: " + process.ProcessState.String()
	default:
		return "running"
	}
}

// Kill9 ends `apron serve` without a warning. What it had started goes on.
func (a *Apron) Kill9(t testing.TB) {
	t.Helper()
	if err := a.TryKill9(); err != nil {
		t.Fatal(err)
	}
}

// AwaitEnd waits until `apron serve` has ended by itself.
func (a *Apron) AwaitEnd(t testing.TB, within time.Duration) {
	t.Helper()
	if err := a.end(0, within); err != nil {
		t.Fatal(err)
	}
}

// TryKill9 is Kill9 that returns its error.
func (a *Apron) TryKill9() error { return a.end(syscall.SIGKILL, 10*time.Second) }

// Stop asks `apron serve` to end and waits until it has. What it had started goes on.
func (a *Apron) Stop(t testing.TB) {
	t.Helper()
	if err := a.end(syscall.SIGTERM, stopTimeout); err != nil {
		t.Fatal(err)
	}
}

func (a *Apron) end(signal syscall.Signal, within time.Duration) error {
	a.mu.Lock()
	process, ended := a.process, a.ended
	a.mu.Unlock()
	if process == nil {
		return nil
	}
	if err := process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send apron %v: %w", signal, err)
	}
	select {
	case <-ended:
		return nil
	case <-time.After(within):
		return fmt.Errorf("apron did not end within %s of %v", within, signal)
	}
}

// Down runs `apron down`: serve, instances and daemons end, the data stay.
func (a *Apron) Down(t testing.TB) {
	t.Helper()
	if err := a.down(); err != nil {
		t.Fatal(err)
	}
}

func (a *Apron) down() error {
	ctx, cancel := context.WithTimeout(context.Background(), downTimeout)
	defer cancel()
	output, err := exec.CommandContext(ctx, a.program, append([]string{"down"}, a.settings()...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("apron down: %w\n%s", err, output)
	}
	return nil
}

// Close ends everything, looks for what stayed behind, and removes the data directory.
func (a *Apron) Close() error {
	had := a.belongings()
	err := a.down()
	if err == nil {
		err = a.end(0, time.Second) // down waits for serve
	}
	if err != nil {
		err = errors.Join(err, a.end(syscall.SIGKILL, 10*time.Second))
	}
	if left := a.leftovers(had); len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("apron down left behind:\n  %s", strings.Join(left, "\n  ")))
	}
	a.guard.dismiss()
	return errors.Join(err, a.races(), os.RemoveAll(a.Data), os.RemoveAll(a.log))
}

// races is an error when a part of apron that was built to tell its data races has told one.
func (a *Apron) races() error {
	logs, err := filepath.Glob(filepath.Join(a.Data, "run", "*.log"))
	if err != nil {
		return err
	}
	var told []error
	for _, path := range append(logs, a.log) {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if _, race, found := strings.Cut(string(content), "WARNING: DATA RACE"); found {
			told = append(told, fmt.Errorf("%s tells a data race:%.4000s", filepath.Base(path), race))
		}
	}
	return errors.Join(told...)
}

// LogTail returns the last lines of what `apron serve` has printed.
func (a *Apron) LogTail(lines int) string {
	return a.tail(lines, func(string) bool { return false })
}

// news is LogTail without the requests that went well: a test that asks all the time leaves little else.
func (a *Apron) news(lines int) string {
	return a.tail(lines, func(line string) bool {
		return strings.Contains(line, " msg=request ") && strings.Contains(line, " status=200")
	})
}

func (a *Apron) tail(lines int, isLeftOut func(line string) bool) string {
	content, err := os.ReadFile(a.log)
	if err != nil {
		return err.Error()
	}
	all := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(content)), "\n"), isLeftOut)
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// The ports that freeAddresses chooses from are below those that Linux gives to outgoing connections (32768 and more): one of these
// could be taken before apron listens, or while it is restarted.
const (
	firstPort = 10_000
	lastPort  = 32_000
)

// freeAddresses returns addresses on loopback that nothing listens on.
func freeAddresses(n int) ([]string, error) {
	var addresses []string
	for tries := 0; len(addresses) < n; tries++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort)))
		if errors.Is(err, syscall.EADDRINUSE) && tries < 100 {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer listener.Close() // all at once, so that they differ
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}

// Program is the apron that is tested: in the folder APRON_BIN, else in bin/ of the repository.
func Program() (string, error) {
	dir := os.Getenv("APRON_BIN")
	if dir == "" {
		root, err := repository()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, "bin")
	}
	program := filepath.Join(dir, "apron")
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("%w: run make build", err)
	}
	return program, nil
}

// repository is the folder of the module that the test is part of.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == "/" {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}
