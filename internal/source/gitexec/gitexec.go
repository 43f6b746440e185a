// Package gitexec runs the git binary apart from the machine's own configuration: no system or user settings, no
// hooks, no prompts, English messages, a process group of its own that dies with the context.
package gitexec

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// settings hold for every command, before those of the caller.
var settings = []string{
	"core.hooksPath=/dev/null",
	"core.fsmonitor=false",
	"core.askPass=",
	"gc.autoDetach=false",
	"maintenance.auto=false",
	"protocol.ext.allow=never",
	"advice.detachedHead=false",
	// Repositories of other users of this machine may be read: git's check of the owner protects against hooks and
	// settings, which do not run here.
	"safe.directory=*",
	// What bounds the memory of packing and unpacking, whatever the size of the files.
	"core.bigFileThreshold=16m",
	"core.deltaBaseCacheLimit=32m",
	"core.packedGitWindowSize=32m",
	"core.packedGitLimit=256m",
	"pack.windowMemory=64m",
	"pack.threads=2",
	"index.threads=1",
}

// passed are the variables that git and its helpers take over from our own environment.
var passed = []string{
	"PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
}

// Options are what a command needs beyond its arguments.
type Options struct {
	// GlobalConfig is the file read instead of the user's ~/.gitconfig; empty reads none.
	GlobalConfig string
	// Home is the home folder helpers see; empty means none that exists.
	Home string
	// Settings are further key=value pairs, for git and for the git processes it starts on the same side.
	Settings []string
	// Environment are further NAME=value pairs.
	Environment []string
	// MaxMemoryBytes bounds the memory of each git process; 0 means no bound. Some of what git reads, such as the list
	// of a server's refs, it keeps whole.
	MaxMemoryBytes int64
	// MaxFileBytes bounds each file that git writes; 0 means no bound.
	MaxFileBytes int64
	// Grace is how long git may clean up after the context ended before it is killed. 0 kills at once.
	Grace time.Duration
}

// Command returns git with args, to be started by the caller. When ctx ends, the whole process group is ended. Paths
// and URLs among args must come after "--" or "--end-of-options" where git allows it.
func Command(ctx context.Context, options Options, args ...string) *exec.Cmd {
	var all []string
	for _, setting := range slices.Concat(settings, options.Settings) {
		all = append(all, "-c", setting)
	}
	program, all := limited(options, append(all, args...))
	cmd := exec.CommandContext(ctx, program, all...)
	cmd.Env = environment(options)
	cmd.Dir = "/" // where no repository is found by looking around
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	signal := syscall.SIGKILL
	cmd.WaitDelay = 5 * time.Second
	if options.Grace > 0 {
		signal = syscall.SIGTERM
		cmd.WaitDelay = options.Grace
	}
	cmd.Cancel = func() error {
		if err := syscall.Kill(-cmd.Process.Pid, signal); errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		} else if err != nil {
			return err
		}
		return nil
	}
	return cmd
}

// limited puts prlimit (util-linux, on every Debian and Ubuntu) before git where there is something to limit: a limit
// set after git's start would miss the processes it has started by then.
func limited(options Options, args []string) (program string, all []string) {
	var limits []string
	if options.MaxMemoryBytes > 0 {
		limits = append(limits, "--data="+strconv.FormatInt(options.MaxMemoryBytes, 10))
	}
	if options.MaxFileBytes > 0 {
		limits = append(limits, "--fsize="+strconv.FormatInt(options.MaxFileBytes, 10))
	}
	if len(limits) == 0 {
		return "git", args
	}
	return "prlimit", slices.Concat(limits, []string{"git"}, args)
}

func environment(options Options) []string {
	global, home := options.GlobalConfig, options.Home
	if global == "" {
		global = "/dev/null"
	}
	if home == "" {
		home = "/nonexistent"
	}
	environment := []string{
		"LC_ALL=C", "HOME=" + home, "XDG_CONFIG_HOME=" + home,
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=" + global, "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_LFS_SKIP_SMUDGE=1", "GIT_NO_LAZY_FETCH=1", "GIT_OPTIONAL_LOCKS=0",
	}
	for _, name := range passed {
		if value, ok := os.LookupEnv(name); ok {
			environment = append(environment, name+"="+value)
		}
	}
	return append(environment, options.Environment...)
}

// Tail keeps the last lines of what is written to it, for the evidence of a failure. Progress that overwrites itself
// (lines ended by a carriage return) is left out. It is not safe for concurrent use; exec writes from one goroutine.
type Tail struct {
	// Touched, when set, is called at every write: a sign of life.
	Touched func()

	lines      []string
	partial    []byte
	isReturned bool // the last byte was a carriage return
}

// tailLines and tailBytes bound what a Tail keeps.
const (
	tailLines = 20
	tailBytes = 1000
)

func (t *Tail) Write(p []byte) (int, error) {
	if t.Touched != nil {
		t.Touched()
	}
	for _, b := range p {
		if t.isReturned && b != '\n' { // ssh ends its lines with both
			t.partial = t.partial[:0]
		}
		t.isReturned = b == '\r'
		switch {
		case b == '\n':
			t.end()
		case b != '\r' && len(t.partial) < tailBytes:
			t.partial = append(t.partial, b)
		}
	}
	return len(p), nil
}

func (t *Tail) end() {
	line := strings.TrimSpace(strings.ToValidUTF8(string(t.partial), "?"))
	t.partial = t.partial[:0]
	if line == "" {
		return
	}
	t.lines = append(t.lines, line)
	if len(t.lines) > tailLines {
		t.lines = slices.Delete(t.lines, 0, len(t.lines)-tailLines)
	}
}

// Lines returns what was kept, oldest first.
func (t *Tail) Lines() []string {
	if !t.isReturned {
		t.end()
	}
	return slices.Clone(t.lines)
}
