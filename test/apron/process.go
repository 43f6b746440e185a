package apron

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Process is a process of apron's own: not one of an application.
type Process struct {
	PID int
	// Name is the program's.
	Name string
	// Bytes is its proportional memory: what it shares with others is counted in parts.
	Bytes int
}

// Processes lists `apron serve` and everything that runs beside it for it: daemons, shims, writers of logs.
func (a *Apron) Processes() []Process {
	inContainers := a.ContainerProcesses()
	var found []Process
	for _, pid := range processes() {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || !a.names(strings.ReplaceAll(string(raw), "\x00", " ")) {
			continue
		}
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		// Only what comes from bin/: a shell or an editor that names the folder is none of apron's.
		program = strings.TrimSuffix(program, " (deleted)") // it was built anew meanwhile
		if err != nil || slices.Contains(inContainers, pid) || !a.isOurs(program) {
			continue
		}
		found = append(found, Process{pid, filepath.Base(program), proportionalBytes(pid)})
	}
	return found
}

// isOurs says whether a program is one of those beside apron's, or what a link there leads to.
func (a *Apron) isOurs(program string) bool {
	real, err := filepath.EvalSymlinks(filepath.Join(filepath.Dir(a.program), filepath.Base(program)))
	return err == nil && program == real
}

// proportionalBytes reads a process's PSS, or 0 when it has gone.
func proportionalBytes(pid int) int {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "Pss:" {
			kib, _ := strconv.Atoi(fields[1])
			return kib << 10
		}
	}
	return 0
}
