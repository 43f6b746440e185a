package containerd

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stepsEvery is how often the groups of build steps are looked at. A step that forks without end meets the bound of all
// builds together before its own is set.
const stepsEvery = 50 * time.Millisecond

// StepProcesses is how many processes and threads one step of a build may have at a time.
const StepProcesses = 4096

// BoundSteps gives each build step below an apron's group so many processes until ctx ends, and ends a step that comes to
// the bound: what forks without end never gives up. It tells each time, shortly before; a reader that is late hears of
// several as one. Several may run at a time.
func BoundSteps(ctx context.Context, parent string, processes int) <-chan struct{} {
	told := make(chan struct{}, 1)
	steps := stepGroups{dir: filepath.Join(cgroupRoot, "pids", parent, "buildkit"), processes: strconv.Itoa(processes), found: map[string]bool{}}
	if isUnifiedCgroup() {
		steps.dir = filepath.Join(cgroupRoot, parent, "buildkit")
	}
	go func() {
		ticker := time.NewTicker(stepsEvery)
		defer ticker.Stop()
		for {
			if steps.look() {
				select {
				case told <- struct{}{}:
				default:
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return told
}

// stepGroups are the control groups of the steps that run.
type stepGroups struct {
	dir, processes string
	// found says of each step whether it has come to its bound.
	found map[string]bool
}

// look bounds what is new, ends what had come to its bound at the look before, and says whether a step has come to it now.
// Between the two looks all who watch learn of it. A group that ends meanwhile is no group any more.
func (s *stepGroups) look() (hasExceeded bool) {
	entries, _ := os.ReadDir(s.dir) // not there before the first build
	there := map[string]bool{}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		name, group := entry.Name(), filepath.Join(s.dir, entry.Name())
		exceeded, isKnown := s.found[name]
		if !isKnown {
			isKnown = os.WriteFile(filepath.Join(group, "pids.max"), []byte(s.processes), 0) == nil
		}
		switch {
		case exceeded:
			endStep(group)
		case isKnown && hasMetBound(group):
			exceeded, hasExceeded = true, true
		}
		if isKnown {
			there[name] = exceeded
		}
	}
	s.found = there
	return hasExceeded
}

// hasMetBound says whether the kernel has refused a process to the group.
func hasMetBound(group string) bool {
	content, _ := os.ReadFile(filepath.Join(group, "pids.events"))
	count, isThere := strings.CutPrefix(strings.TrimSpace(string(content)), "max ")
	return isThere && count != "0"
}

// endStep kills the processes of a group. The step's first process takes the others along, with its namespace.
func endStep(group string) {
	_ = os.WriteFile(filepath.Join(group, "pids.max"), []byte("0"), 0) // nothing new while they are killed
	content, _ := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	for _, field := range strings.Fields(string(content)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
