// Package daemon runs the programs that apron needs beside it: containerd, BuildKit and its own data plane.
//
// A daemon lives in a session of its own and outlives apron, whether apron is stopped, killed or replaced. The next
// apron finds it by its pid file and adopts it, if the process is still the one that was started and answers. Run
// watches over it and starts it again when it is gone.
package daemon

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Daemon is one child program.
type Daemon struct {
	// Name names the pid file and the log.
	Name string
	// Path is the program, Args its arguments without the program's name, Env its whole environment.
	Path string
	Args []string
	Env  []string
	// Dir holds NAME.pid and NAME.log.
	Dir string
	// Prepare, when not nil, runs before each start of the program, and not when a running one is adopted.
	Prepare func(ctx context.Context) error
	// Ready says whether the daemon answers; nil error is yes.
	Ready func(ctx context.Context) error
	// StartTimeout bounds how long the daemon may take until it is ready; 0 means 30 s.
	StartTimeout time.Duration
	// AskEvery is how often Run asks the daemon whether it is ready; 0 means 5 s.
	AskEvery time.Duration
	// StopTimeout is how long the daemon has between SIGTERM and SIGKILL; 0 means 10 s.
	StopTimeout time.Duration
	// Log may be nil.
	Log *slog.Logger
}

const (
	// askEvery is how often a starting daemon is asked whether it is ready, and how often a stopping one is looked for.
	askEvery = 20 * time.Millisecond
	// watchEvery is how often Run looks after the daemon.
	watchEvery = 500 * time.Millisecond
	// readyEvery is how often Run asks whether the daemon answers, and for how long. One that has not answered so many times in
	// a row hangs: on a busy machine it may be slow, and killing it ends what it is at.
	readyEvery   = 5 * time.Second
	readyTimeout = 10 * time.Second
	silentBefore = 3
	// startTimeout and stopTimeout hold where a Daemon says nothing; stopTimeout also bounds how long SIGKILL may take.
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
	// startAttempts is how often Ensure starts a daemon that dies before it is ready.
	startAttempts = 3
	// maxLogBytes bounds the log; the part before is kept as NAME.log.1.
	maxLogBytes = 10 << 20
)

// errDied says that the process ended before it was ready.
var errDied = errors.New("it ended at once")

// Ensure adopts the running daemon, or starts it and waits until it is ready. A process that runs but does not answer
// within the start timeout is stopped and started anew, and one that dies while it starts is started again: somebody may have
// killed it.
func (d *Daemon) Ensure(ctx context.Context) error {
	id, ok := d.running()
	reap(id)
	if ok {
		if err := d.await(ctx, id); err == nil {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.Stop(ctx); err != nil {
			return err
		}
	}
	for attempt := 1; ; attempt++ {
		if err := d.start(ctx); !errors.Is(err, errDied) || attempt == startAttempts {
			return err
		}
	}
}

// Run looks after the daemon until ctx ends, and leaves it running. It starts a daemon that died, with a growing wait
// where it dies again and again, and one that runs but does not answer any more. It bounds its log.
func (d *Daemon) Run(ctx context.Context) error {
	wait, silent := watchEvery, 0
	for asked := time.Now(); ; {
		if !d.look(ctx, wait) {
			return nil
		}
		if err := d.boundLog(); err != nil {
			d.logger().Error("bound the log of a daemon", "daemon", d.Name, "error", err)
		}
		id, ok := d.running()
		if ok && time.Since(asked) >= cmp.Or(d.AskEvery, readyEvery) {
			silent = d.countSilence(ctx, silent)
			asked = time.Now()
			ok = silent < silentBefore || !d.kill(ctx, id)
		}
		if ok {
			wait = watchEvery
			continue
		}
		silent = 0
		d.logger().Error("daemon died, starting it again", "daemon", d.Name)
		if err := d.start(ctx); err != nil && ctx.Err() == nil {
			wait = min(wait*2, 30*time.Second)
			d.logger().Error("start daemon", "daemon", d.Name, "error", err)
		}
	}
}

// look waits for as long as the daemon need not be looked at: until its process ends, where the kernel tells that, but not longer than
// until it is to be asked whether it answers. false says that ctx has ended.
func (d *Daemon) look(ctx context.Context, wait time.Duration) bool {
	ended, stop := ending(d.running())
	defer stop()
	if ended != nil {
		wait = max(wait, min(cmp.Or(d.AskEvery, readyEvery), readyEvery))
	}
	select {
	case <-ctx.Done():
		return false
	case <-ended:
	case <-time.After(wait):
	}
	return true
}

// countSilence asks whether the daemon answers, and returns how often in a row it has not.
func (d *Daemon) countSilence(ctx context.Context, before int) int {
	asking, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := d.Ready(asking)
	if err == nil || ctx.Err() != nil {
		return 0
	}
	d.logger().Warn("daemon does not answer", "daemon", d.Name, "times", before+1, "error", err)
	return before + 1
}

// kill ends a process that hangs, and says whether it has ended: it would not react to SIGTERM.
func (d *Daemon) kill(ctx context.Context, id identity) (hasEnded bool) {
	d.logger().Error("daemon hangs, killing it", "daemon", d.Name, "pid", id.Pid)
	if err := syscall.Kill(id.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		d.logger().Error("kill a daemon that hangs", "daemon", d.Name, "error", err)
		return false
	}
	forced, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return d.gone(forced, id)
}

// Stop ends the daemon: SIGTERM, and SIGKILL after a grace. No daemon is done already.
func (d *Daemon) Stop(ctx context.Context) error {
	id, ok := d.running()
	reap(id)
	if !ok {
		return d.removePidFile()
	}
	if err := syscall.Kill(id.Pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s: %w", d.Name, err)
	}
	graceful, cancel := context.WithTimeout(ctx, cmp.Or(d.StopTimeout, stopTimeout))
	defer cancel()
	if !d.gone(graceful, id) {
		if err := syscall.Kill(id.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill %s: %w", d.Name, err)
		}
		forced, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if !d.gone(forced, id) {
			return fmt.Errorf("%s (process %d) does not end", d.Name, id.Pid)
		}
	}
	return d.removePidFile()
}

// Adopt makes a process that runs already the daemon, whatever the pid file says. Safe twice.
func (d *Daemon) Adopt(pid int) error {
	id, err := identify(pid)
	if err != nil {
		return fmt.Errorf("adopt %s (process %d): %w", d.Name, pid, err)
	}
	reap(id)
	return d.writePidFile(id)
}

// Forget makes the process that runs, if one does, no daemon any more. It goes on.
func (d *Daemon) Forget() error { return d.removePidFile() }

// HasEnded waits until the daemon has ended by itself, or ctx ends, and says whether it has.
func (d *Daemon) HasEnded(ctx context.Context) bool {
	id, ok := d.running()
	reap(id)
	return !ok || d.gone(ctx, id)
}

// reap waits for the process in the background if it is a child of this one: the program that ran before in this process
// may have started it.
func reap(id identity) {
	if now, _, err := describe(id.Pid); err != nil || now != id {
		return
	}
	if process, err := os.FindProcess(id.Pid); err == nil {
		go func() { _, _ = process.Wait() }()
	}
}

// gone waits until the process has ended, and says whether it has.
func (d *Daemon) gone(ctx context.Context, id identity) bool {
	for id.isAlive() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(askEvery):
		}
	}
	return true
}

// start starts the daemon in a session of its own, writes its pid file and waits until it is ready.
func (d *Daemon) start(ctx context.Context) error {
	if d.Prepare != nil {
		if err := d.Prepare(ctx); err != nil {
			return fmt.Errorf("prepare the start of %s: %w", d.Name, err)
		}
	}
	log, err := d.openLog()
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", d.Name, err)
	}
	defer log.Close()
	command := exec.Command(d.Path, d.Args...)
	command.Env, command.Stdout, command.Stderr, command.Dir = d.Env, log, log, "/"
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.Name, err)
	}
	go func() { _ = command.Wait() }() // reaps it, should it die before apron does
	id, err := identify(command.Process.Pid)
	switch {
	case err == nil:
		err = d.writePidFile(id)
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w; %s", errDied, d.lastLine())
	}
	if err == nil {
		err = d.await(ctx, id)
	}
	if ctx.Err() != nil {
		return ctx.Err() // apron is stopping; the next one adopts it
	}
	if err != nil {
		return errors.Join(fmt.Errorf("start %s (its log is %s): %w", d.Name, d.logPath(), err), command.Process.Kill())
	}
	return nil
}

// await waits until the daemon is ready, and fails as soon as it has died, also while it is being asked.
func (d *Daemon) await(ctx context.Context, id identity) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(d.StartTimeout, startTimeout))
	defer cancel()
	asking, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer stop()
	watch.Go(func() {
		if d.gone(asking, id) {
			stop()
		}
	})
	for {
		err := d.Ready(asking)
		if err == nil {
			return nil
		}
		if !id.isAlive() {
			return fmt.Errorf("%w; %s", errDied, d.lastLine())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", err)
		case <-time.After(askEvery):
		}
	}
}

func (d *Daemon) logger() *slog.Logger {
	if d.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Log
}

func (d *Daemon) logPath() string { return filepath.Join(d.Dir, d.Name+".log") }

func (d *Daemon) openLog() (*os.File, error) {
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := d.boundLog(); err != nil {
		return nil, err
	}
	return os.OpenFile(d.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// boundLog begins the log anew when it has grown too long. The daemon may be writing: it goes on at the new end, because it
// appends, and what it says in between is lost. On a full disk the part before is lost too.
func (d *Daemon) boundLog() error {
	info, err := os.Stat(d.logPath())
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() <= maxLogBytes {
		return nil
	}
	if err != nil {
		return err
	}
	copied := d.copyLog()
	return errors.Join(os.Truncate(d.logPath(), 0), copied)
}

// copyLog keeps the end of the log as NAME.log.1.
func (d *Daemon) copyLog() (err error) {
	from, err := os.Open(d.logPath())
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := from.Seek(-maxLogBytes, io.SeekEnd); err != nil {
		return err
	}
	to, err := os.OpenFile(d.logPath()+".1", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.LimitReader(from, maxLogBytes))
	return errors.Join(err, to.Close())
}

// lastLine says what the daemon said last: a program that ends at once mostly says why.
func (d *Daemon) lastLine() string {
	file, err := os.Open(d.logPath())
	if err != nil {
		return "it has no log"
	}
	defer file.Close()
	const most = 2000
	if info, err := file.Stat(); err == nil && info.Size() > most {
		_, _ = file.Seek(-most, io.SeekEnd)
	}
	content, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil || len(bytes.TrimSpace(content)) == 0 {
		return "it said nothing"
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	return "its last line was: " + string(lines[len(lines)-1])
}
