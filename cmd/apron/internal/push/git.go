package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// gitError is a Git command that failed, with what it said.
type gitError struct {
	command string
	output  string
	err     error
}

func (e *gitError) Error() string {
	lines := strings.Split(strings.TrimSpace(e.output), "\n")
	last := lines[max(0, len(lines)-5):]
	if text := strings.Join(last, "; "); text != "" {
		return fmt.Sprintf("git %s: %s", e.command, text)
	}
	return fmt.Sprintf("git %s: %v", e.command, e.err)
}

func (e *gitError) Unwrap() error { return e.err }

// own runs Git on the package's own repository with the folder as its work tree. No configuration but ours counts.
func (r repository) own(ctx context.Context, input []byte, arguments ...string) ([]byte, error) {
	return r.ownAs(ctx, nil, input, arguments...)
}

// ownAs is own with more variables.
func (r repository) ownAs(ctx context.Context, variables []string, input []byte, arguments ...string) ([]byte, error) {
	environment := append(cleanEnvironment(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull)
	if arguments[0] != "init" {
		environment = append(environment, "GIT_DIR="+r.dir, "GIT_WORK_TREE="+r.request.Dir)
	}
	return git(ctx, r.request.Dir, append(environment, variables...), input, append([]string{
		"-c", "core.bare=false", "-c", "core.autocrlf=false", "-c", "core.fileMode=true", "-c", "core.symlinks=true",
		"-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "core.safecrlf=false",
	}, arguments...)...)
}

// remote runs a Git command that talks to the server. The user's configuration counts, for proxies and certificates;
// the key pair is handed over in the environment, which only this user can read.
func (r repository) remote(ctx context.Context, arguments ...string) ([]byte, error) {
	settings := [][2]string{
		{"http.extraHeader", r.request.Authorization()},
		{"http.extraHeader", "Apron-Deploys: " + r.request.Service},
		{"credential.helper", ""},
		{"core.hooksPath", os.DevNull},
		{"gc.autoDetach", "false"},
		{"protocol.version", "2"},
		// One request with a length rather than chunks: small pushes are the rule, and every server takes it.
		{"http.postBuffer", "16777216"},
	}
	if IsLoopback(r.request.URL) {
		settings = append(settings, [2]string{"http.proxy", ""})
	}
	environment := append(cleanEnvironment(), "GIT_DIR="+r.dir, "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=",
		"GIT_CONFIG_COUNT="+strconv.Itoa(len(settings)))
	for i, setting := range settings {
		environment = append(environment, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, setting[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, setting[1]))
	}
	return git(ctx, r.request.Dir, environment, nil, arguments...)
}

// users asks the user's own repository, which is only read: no lock is taken, and no program that its configuration
// names is run.
func users(ctx context.Context, dir string, arguments ...string) ([]byte, error) {
	environment := append(cleanEnvironment(), "GIT_OPTIONAL_LOCKS=0")
	return git(ctx, dir, environment, nil, append([]string{"-c", "core.fsmonitor=false", "-c", "core.quotePath=false"}, arguments...)...)
}

// alone takes dir for a work tree of the repository at gitDir, with nothing tracked.
func alone(ctx context.Context, gitDir, dir string, arguments ...string) ([]byte, error) {
	environment := append(cleanEnvironment(), "GIT_DIR="+gitDir, "GIT_WORK_TREE="+dir,
		"GIT_INDEX_FILE="+filepath.Join(gitDir, "no-index"))
	return git(ctx, dir, environment, nil, append([]string{"-c", "core.bare=false", "-c", "core.fsmonitor=false"}, arguments...)...)
}

// author is who the user's Git says they are, as variables for a commit.
func author(ctx context.Context, dir string) []string {
	name, email := "apron", "apron@localhost"
	if found, err := users(ctx, dir, "config", "user.name"); err == nil && len(bytes.TrimSpace(found)) > 0 {
		name = strings.TrimSpace(string(found))
	}
	if found, err := users(ctx, dir, "config", "user.email"); err == nil && len(bytes.TrimSpace(found)) > 0 {
		email = strings.TrimSpace(string(found))
	}
	return []string{"GIT_AUTHOR_NAME=" + name, "GIT_COMMITTER_NAME=" + name, "GIT_AUTHOR_EMAIL=" + email, "GIT_COMMITTER_EMAIL=" + email}
}

// cleanEnvironment is the environment without what another Git, whose hook may have called us, left in it.
func cleanEnvironment() []string {
	var environment []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "GIT_") {
			environment = append(environment, variable)
		}
	}
	return append(environment, "LC_ALL=C")
}

func git(ctx context.Context, dir string, environment []string, input []byte, arguments ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "git", arguments...)
	command.Dir, command.Env = dir, environment
	command.Stdin = bytes.NewReader(input)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 5 * time.Second
	var output, problems bytes.Buffer
	command.Stdout, command.Stderr = &output, &problems
	err := command.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, ErrNoGit
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		// A push in porcelain form says on standard output why a branch was refused.
		return output.Bytes(), &gitError{verb(arguments), problems.String() + output.String(), err}
	}
	return output.Bytes(), nil
}

// verb is the Git command among arguments, after the settings.
func verb(arguments []string) string {
	for len(arguments) > 2 && arguments[0] == "-c" {
		arguments = arguments[2:]
	}
	return arguments[0]
}

// IsLoopback says whether a URL leads to this machine.
func IsLoopback(address string) bool {
	parsed, err := url.Parse(address)
	if err != nil {
		return false
	}
	host := parsed.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// lock waits for the exclusive lock of a file, which ends with the process.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(err, file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), file.Close())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
