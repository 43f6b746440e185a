package apron

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// guard is a process that waits until the test has ended. A test that is killed, or that panics at its time limit, runs
// no cleanup; the guard then stops the apron in its place, so that nothing goes on running.
type guard struct {
	process *exec.Cmd
	alive   io.Closer
}

// guardScript waits for the end of its input, which comes with the end of the test's process, however it ends. The log
// stays, for somebody to look at.
const guardScript = `data=$1; shift; cat >/dev/null; "$@" >/dev/null 2>&1; rm -rf "$data"`

func startGuard(program string, settings []string, data string) (*guard, error) {
	arguments := append([]string{"-c", guardScript, "guard", data, program, "down"}, settings...)
	process := exec.Command("/bin/sh", arguments...)
	process.Dir = "/"
	process.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	alive, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("start the guard: %w", err)
	}
	return &guard{process, alive}, nil
}

// dismiss ends the guard when there is nothing left to guard.
func (g *guard) dismiss() {
	syscall.Kill(-g.process.Process.Pid, syscall.SIGKILL) // the shell and its cat, a session of their own
	g.process.Wait()
	g.alive.Close()
}
