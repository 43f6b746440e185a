package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// identity tells a process from a later one that was given the same pid.
type identity struct {
	Pid int
	// StartTicks is the process's start in clock ticks since boot (proc(5), /proc/PID/stat, field 22).
	StartTicks uint64
	// Boot is the id of the boot that the ticks count from.
	Boot string
}

// identify describes a live process.
func identify(pid int) (identity, error) {
	id, isEnded, err := describe(pid)
	if err == nil && isEnded {
		err = fs.ErrNotExist
	}
	return id, err
}

// describe is identify that also knows processes which have ended, and for which nobody has waited yet.
func describe(pid int) (id identity, isEnded bool, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return identity{}, false, err
	}
	// The command's name, in parentheses, may hold spaces: count fields after the last one.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return identity{}, false, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return identity{}, false, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identity{}, false, err
	}
	state := fields[0][0]
	return identity{Pid: pid, StartTicks: ticks, Boot: string(bytes.TrimSpace(boot))}, state == 'Z' || state == 'X', nil
}

func (i identity) isAlive() bool {
	now, err := identify(i.Pid)
	return err == nil && now == i
}

func (d *Daemon) pidPath() string { return filepath.Join(d.Dir, d.Name+".pid") }

// running returns the daemon's process, and whether it is alive.
func (d *Daemon) running() (identity, bool) {
	content, err := os.ReadFile(d.pidPath())
	if err != nil {
		return identity{}, false
	}
	var id identity
	if err := json.Unmarshal(content, &id); err != nil || id.Pid <= 0 {
		return identity{}, false
	}
	return id, id.isAlive()
}

func (d *Daemon) writePidFile(id identity) error {
	content, err := json.Marshal(id)
	if err != nil {
		return err
	}
	partial := d.pidPath() + ".partial"
	if err := os.WriteFile(partial, content, 0o600); err != nil {
		return err
	}
	return os.Rename(partial, d.pidPath())
}

func (d *Daemon) removePidFile() error {
	if err := os.Remove(d.pidPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
