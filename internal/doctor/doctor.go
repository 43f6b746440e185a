// Package doctor looks whether this machine can run apron, and says in one sentence each what is wrong and what to do.
//
// Each check asks the system itself, by doing for a moment what apron will do: it mounts an overlay, starts a process in
// new namespaces, listens on the addresses. Nothing stays behind. The package changes nothing and decides nothing; `apron
// doctor` prints what it finds, and `make up` and `apron serve` do not go on after a failure.
package doctor

import (
	"context"
	"fmt"
)

// State is the outcome of a check.
type State string

const (
	// StateOK says that all is well.
	StateOK State = "ok"
	// StateWarn says that apron runs, but something will not work or will end soon.
	StateWarn State = "warn"
	// StateFail says that apron cannot run here as it is.
	StateFail State = "fail"
)

// Result is what one check found.
type Result struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Message is one sentence.
	Message string `json:"message"`
	// Remedy is what to do; empty when all is well.
	Remedy string `json:"remedy,omitempty"`
}

// check is one question to the machine.
type check struct {
	name string
	ask  func(context.Context, *Machine) Result
}

// checks are in the order in which a failure makes the later ones pointless.
var checks = []check{
	{"system", checkSystem},
	{"root", checkRoot},
	{"kernel", checkKernel},
	{"cgroups", checkCgroups},
	{"namespaces", checkNamespaces},
	{"seccomp", checkSeccomp},
	{"loop devices", checkLoop},
	{"programs", checkPrograms},
	{"daemons", checkDaemons},
	{"data directory", checkDataDir},
	{"overlayfs", checkOverlay},
	{"disk", checkDisk},
	{"memory", checkMemory},
	{"clock", checkClock},
	{"ports", checkPorts},
	{"networks", checkNetworks},
}

// Examine runs every check on the machine, in a fixed order.
func Examine(ctx context.Context, machine *Machine) []Result {
	results := make([]Result, 0, len(checks))
	for _, c := range checks {
		result := c.ask(ctx, machine)
		result.Name = c.name
		results = append(results, result)
	}
	return results
}

// HasFailed says whether one of the results is a failure.
func HasFailed(results []Result) bool {
	for _, result := range results {
		if result.State == StateFail {
			return true
		}
	}
	return false
}

func ok(format string, args ...any) Result {
	return Result{State: StateOK, Message: fmt.Sprintf(format, args...)}
}

func warn(remedy, format string, args ...any) Result {
	return Result{State: StateWarn, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

func fail(remedy, format string, args ...any) Result {
	return Result{State: StateFail, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}
