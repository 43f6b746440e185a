package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/apron-run/apron/test/load/steady"
)

// process is a child, with the children of its own.
type process struct {
	command *exec.Cmd
	log     string
	ended   chan struct{}
}

// start runs a program with its output in a file. It is asked to end when this process ends, however that comes.
func start(dir, name string, environment []string, program string, arguments ...string) (*process, error) {
	p := &process{command: exec.Command(program, arguments...), log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.command.Dir, p.command.Stdout, p.command.Stderr = dir, log, log
	p.command.Env = append(os.Environ(), environment...)
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started := make(chan error, 1)
	go func() {
		// For the kernel it is the thread that is the parent: it must not end before the child, as others do with their goroutines.
		runtime.LockOSThread()
		err := p.command.Start()
		if started <- err; err == nil {
			defer close(p.ended)
			_ = p.command.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// stop asks the process to end, and kills it when it does not.
func (p *process) stop() {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = p.command.Process.Signal(signal)
		select {
		case <-p.ended:
			return
		case <-time.After(5 * time.Second):
		}
	}
}

// tail is the end of what the process has printed.
func (p *process) tail() string {
	content, _ := os.ReadFile(p.log)
	return string(content[max(0, len(content)-2000):])
}

// pids are the process and its children.
func (p *process) pids() []int {
	pid := p.command.Process.Pid
	pids := []int{pid}
	content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, word := range strings.Fields(string(content)) {
		if child, err := strconv.Atoi(word); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// tick is the unit of CPU times in /proc.
const tick = 10 * time.Millisecond

// cpu is the time that the process and its children have had, in user and in system mode.
func (p *process) cpu() (total time.Duration, err error) {
	for _, pid := range p.pids() {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		// The name of the program, in parentheses, may hold anything. After it come the fields from the third on.
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		user, err := strconv.Atoi(fields[11])
		system, err2 := strconv.Atoi(fields[12])
		if err := errors.Join(err, err2); err != nil {
			return 0, err
		}
		total += time.Duration(user+system) * tick
	}
	return total, nil
}

// memory sums a field of /proc/PID/status, VmRSS or VmHWM, in bytes.
func (p *process) memory(field string) (total int, err error) {
	for _, pid := range p.pids() {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(content)) {
			if words := strings.Fields(line); len(words) == 3 && words[0] == field+":" {
				kib, err := strconv.Atoi(words[1])
				if err != nil {
					return 0, err
				}
				total += kib << 10
			}
		}
	}
	return total, nil
}

// forgetPeak makes VmHWM begin anew.
func (p *process) forgetPeak() error {
	var failed error
	for _, pid := range p.pids() {
		failed = errors.Join(failed, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0))
	}
	return failed
}

// problems tells what went wrong with a load, in one line; empty when nothing did.
func problems(result *steady.Result) string {
	var told []string
	for each, n := range result.Problems {
		told = append(told, fmt.Sprintf("%d x %s", n, each))
	}
	return strings.Join(told, "; ")
}
