package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/test/apron"
)

// killed is what came of a kill.
type killed struct {
	kill
	// what names the process; empty when there was none to kill.
	what string
	at   time.Time
	// back is how long it took until apron answered again, counted from its start, or until the proxy did, counted from its end.
	back time.Duration
	err  error
}

// kill kills at its time. Deaths of instances go to dead, which has room for them all; it waits for none of them.
func (w *world) kill(ctx context.Context, begun time.Time, k kill, dead chan<- death) killed {
	sleepUntil(ctx, begun.Add(k.after))
	done := killed{kill: k, at: time.Now()}
	switch k.victim {
	case victimApron:
		w.killing.Lock()
		defer w.killing.Unlock()
		done.what = "apron"
		if done.err = w.apron.TryKill9(); done.err != nil {
			return done
		}
		sleepUntil(ctx, time.Now().Add(k.downFor))
		started := time.Now()
		done.err = w.apron.TryRestart()
		done.back = time.Since(started)
	case victimProxy:
		if w.killProxy() {
			done.what = "proxy"
			done.back, done.err = w.awaitProxy(ctx, done.at)
		}
	case victimContainerd, victimBuildkitd:
		if w.killDaemon(string(k.victim)) {
			done.what = string(k.victim)
		}
	case victimShim, victimInstance:
		done.what, done.err = w.killInstance(k, dead)
	}
	return done
}

// killDaemon kills one of apron's daemons, if it runs just now.
func (w *world) killDaemon(daemon string) bool {
	for _, each := range w.apron.Processes() {
		if each.Name == daemon {
			return unix.Kill(each.PID, unix.SIGKILL) == nil
		}
	}
	return false
}

// killProxy kills the data plane, if it runs just now. It is the same program as `apron serve`, and a pid file may be of one that is gone.
func (w *world) killProxy() bool {
	content, err := os.ReadFile(filepath.Join(w.apron.Data, "run/proxy.pid"))
	if err != nil {
		return false
	}
	var file struct{ Pid int }
	if json.Unmarshal(content, &file) != nil {
		return false
	}
	runs := slices.ContainsFunc(w.apron.Processes(), func(each apron.Process) bool { return each.PID == file.Pid })
	return runs && unix.Kill(file.Pid, unix.SIGKILL) == nil
}

// proxyTimeout is how long the services' ports may be dead after the data plane was killed: apron may be dead too, and must be started first.
const proxyTimeout = 15 * time.Second

// awaitProxy waits until another data plane answers anything, and returns how long that took.
func (w *world) awaitProxy(ctx context.Context, killed time.Time) (back time.Duration, err error) {
	for {
		if _, err = w.apron.TryGet(ctx, w.apron.HTTP, "/"); err == nil {
			return time.Since(killed), nil
		}
		if time.Since(killed) > proxyTimeout {
			return 0, fmt.Errorf("after %s no other answers: %w", proxyTimeout, err)
		}
		sleepUntil(ctx, time.Now().Add(settleEvery))
	}
}

// killInstance kills an instance of the slot, or its shim, if there is one.
func (w *world) killInstance(k kill, dead chan<- death) (what string, err error) {
	var ids []string
	shims := w.machine.shims()
	for id := range shims {
		if slot, isKnown := w.watcher.slotOf(id); isKnown && slot == k.slot {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return "", nil
	}
	slices.Sort(ids)
	id := ids[k.pick%len(ids)]
	app, err := w.machine.mainProcess(shims[id])
	if err != nil {
		return "", nil // it is just starting or ending
	}
	handle, err := unix.PidfdOpen(app, 0)
	if err != nil {
		return "", nil
	}
	victim := app
	if k.victim == victimShim {
		victim = shims[id]
	}
	at := time.Now()
	if err := unix.Kill(victim, unix.SIGKILL); err != nil {
		return "", errors.Join(err, unix.Close(handle))
	}
	go func() {
		defer unix.Close(handle)
		dead <- death{k.slot, k.victim, at, awaitEnd(handle)}
	}()
	return fmt.Sprintf("%s of %s", k.victim, w.slots[k.slot].name), nil
}

// awaitEnd waits for the end of a process and returns the time; zero when it does not end.
func awaitEnd(handle int) time.Time {
	deadline := time.Now().Add(deathTimeout)
	for time.Now().Before(deadline) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		if n > 0 {
			return time.Now()
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return time.Time{}
}

// deathTimeout is how long an instance may go on without its shim.
const deathTimeout = 60 * time.Second

// shims are the running shims of apron's instances, by the instances' ids.
func (m *machine) shims() map[string]int {
	found := map[string]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(content, []byte(m.socket)) {
			continue
		}
		args := bytes.Split(content, []byte{0})
		i := slices.IndexFunc(args, func(arg []byte) bool { return string(arg) == "-id" })
		if filepath.Base(string(args[0])) != "containerd-shim-runc-v2" || i < 0 || i+1 >= len(args) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			found[string(args[i+1])] = pid
		}
	}
	return found
}

// mainProcess is the app below a shim: its child in a process namespace of its own.
func (m *machine) mainProcess(shim int) (int, error) {
	own, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return 0, err
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", shim))
	if err != nil {
		return 0, err
	}
	for _, thread := range threads {
		content, err := os.ReadFile(thread)
		if err != nil {
			continue
		}
		for child := range bytes.FieldsSeq(content) {
			space, err := os.Readlink("/proc/" + string(child) + "/ns/pid")
			if err == nil && space != own {
				return strconv.Atoi(string(child))
			}
		}
	}
	return 0, fmt.Errorf("no app runs below the shim %d", shim)
}
