package deploy

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/platform"
)

// ending is how an app ended, as what follows "The application", and what to try.
type ending struct{ how, remedy string }

// ExitCause says in one sentence how an app ended.
func ExitCause(exit *platform.Exit, memoryMiB int) string {
	return "The application " + endOf(exit, memoryMiB).how + "."
}

const (
	readOutput = "Mend what its last output complains about, and deploy again."
	giveMemory = "Give it more with `apron deploy --memory`, or InstanceConfiguration.Memory; or let it use less."
)

// endOf tells an exit. Shells and runtimes tell a signal as 128 + its number, and so does the backend.
func endOf(exit *platform.Exit, memoryMiB int) ending {
	switch {
	case exit == nil:
		return ending{"was removed while it was starting", "Deploy again."}
	case exit.IsOutOfMemory:
		return ending{fmt.Sprintf("was killed because it used more than its %d MB of memory", memoryMiB), giveMemory}
	case exit.IsOverStorage:
		return ending{"was stopped because it wrote more than 3 GB to its file system", "Let it write less, or to a store outside of the instance."}
	case exit.IsLost:
		return ending{"was lost: its process, or the shim that watches over it, was ended from outside, as by a restart of the machine", "Deploy again."}
	}
	if how, remedy := meaningOf(exit.Code); how != "" {
		return ending{fmt.Sprintf("%s (exit code %d)", how, exit.Code), remedy}
	}
	return ending{fmt.Sprintf("ended with exit code %d", exit.Code), readOutput}
}

// meaningOf says what the exit codes mean that have a meaning by convention.
func meaningOf(code int) (how, remedy string) {
	switch code {
	case 0:
		return "ended by itself without a fault", "Let the start command run the server itself, in the foreground: what it starts in the background ends with it."
	case 126:
		return "could not be started: the start command may not be executed", "Give it the executable bit (chmod +x), and check its first line, such as #!/bin/sh."
	case 127:
		return "could not be started: the start command was not found in the image", "Check the start command: CMD of the image, `apron deploy --start`, or StartCommand."
	}
	signal := syscall.Signal(code - 128)
	name := unix.SignalName(signal)
	switch {
	case name == "":
		return "", ""
	case signal == syscall.SIGKILL:
		return "was killed by SIGKILL", "Find out who sent it: the app's own supervisor, somebody on the machine, or the machine for want of memory (`dmesg` tells)."
	case signal == syscall.SIGTERM, signal == syscall.SIGINT, signal == syscall.SIGHUP:
		return "was ended by " + name, "Find out who sent it: the app's own supervisor, or somebody on the machine."
	case signal == syscall.SIGSEGV:
		return "crashed with a segmentation fault (SIGSEGV)", "Look at native libraries: they must be built for this image, and it for linux/amd64."
	case signal == syscall.SIGILL:
		return "crashed with an illegal instruction (SIGILL)", "Build it, and its native libraries, for this machine's processor."
	}
	return "crashed with " + name, readOutput
}
