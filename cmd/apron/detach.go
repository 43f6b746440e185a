package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/apron-run/apron/cmd/apron/internal/view"
	"github.com/apron-run/apron/internal/app"
	"github.com/apron-run/apron/internal/progress"
)

const (
	// readyTimeout is how long a detached apron may take until it answers: its daemons start with it.
	readyTimeout = 2 * time.Minute
	readyEvery   = 50 * time.Millisecond
	// lastLogBytes is how much of the log is shown when apron ends before it is ready.
	lastLogBytes = 2000
)

// detach starts this program in the background with the same configuration, and waits until it is ready. An apron that
// runs already is well, and goes on as this program if it is another one, as after an upgrade.
func (s *shell) detach(ctx context.Context, config app.Config) error {
	running, isRunning, err := app.FindRunning(config.DataDir)
	if err != nil {
		return fmt.Errorf("look for a running apron: %w", err)
	}
	logFile := filepath.Join(config.DataDir, "serve.log")
	if isRunning {
		isOld, err := isOutdated(running)
		if err != nil {
			return fmt.Errorf("look at the running apron's program: %w", err)
		}
		if !isOld || !runsInBackground(running, logFile) {
			return s.leaveRunning(ctx, config, running, isOld)
		}
		if running.TakesUpgrades {
			fmt.Fprintf(s.out, "apron runs another program than this one (process %d) and goes on as this one\n", running.PID)
			if err := s.upgrade(ctx, config, running, logFile); err != nil {
				return err
			}
			return s.tellRunning(config, running.PID, logFile)
		}
		fmt.Fprintf(s.out, "apron runs another program than this one (process %d), which can only be stopped: it is started again, and the instances go on\n", running.PID)
		if err := s.stopServing(ctx, config); err != nil {
			return err
		}
	}
	process, err := startInBackground(config, logFile)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- process.Wait() }()
	if err := s.awaitReady(ctx, config, process.Process.Pid, ended); err != nil {
		return err
	}
	return s.tellRunning(config, process.Process.Pid, logFile)
}

func (s *shell) tellRunning(config app.Config, pid int, logFile string) error {
	_, err := fmt.Fprintf(s.out, "apron runs (process %d): API at %s, services at %s, log in %s\n", pid, config.Endpoint(), withHTTPS(config.HTTPAddr, config.HTTPS()), logFile)
	return err
}

func isOutdated(running app.Running) (bool, error) {
	program, err := os.Executable()
	if err != nil {
		return false, err
	}
	isSame, err := running.IsRunBy(program)
	return !isSame, err
}

// runsInBackground says whether the apron was started by detach. Another belongs to a terminal or a service manager.
func runsInBackground(running app.Running, logFile string) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", running.PID))
	return err == nil && strings.Contains(string(line), "\x00--log-file\x00"+logFile+"\x00")
}

// leaveRunning waits until the apron that runs already is ready.
func (s *shell) leaveRunning(ctx context.Context, config app.Config, running app.Running, isOld bool) error {
	if err := s.awaitReady(ctx, config, running.PID, nil); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "apron runs already (process %d): API at %s, services at %s\n", running.PID, running.Endpoint, withHTTPS(running.HTTPAddr, running.HTTPSAddr))
	if isOld {
		if running.TakesUpgrades {
			fmt.Fprintf(s.err, "It runs another program than this one: `kill -HUP %d` has it go on as what its program file holds now.\n", running.PID)
		} else {
			fmt.Fprintln(s.err, "It runs another program than this one: start it again where it was started, in a terminal or by a service manager.")
		}
	}
	return nil
}

// startInBackground starts `apron serve` in a session of its own, so that it outlives the terminal.
func startInBackground(config app.Config, logFile string) (*exec.Cmd, error) {
	command, err := serveCommand(config, logFile)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(config.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	// What Go prints when it crashes comes here too; the program's own lines come by --log-file, which keeps it bounded.
	output, err := os.OpenFile(logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start apron: %w", err)
	}
	return command, nil
}

// serveCommand is `apron serve` of this program with a configuration.
func serveCommand(config app.Config, logFile string) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	arguments, environment := []string{"serve", "--log-file", logFile}, os.Environ()
	for _, each := range allSettings {
		switch value := *each.of(&config); {
		case value == "":
		case each.name == databaseSetting:
			environment = append(environment, variable(each.name)+"="+value)
		default:
			arguments = append(arguments, "--"+each.name+"="+value)
		}
	}
	command := exec.Command(program, arguments...)
	command.Env, command.Dir = environment, "/"
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return command, nil
}

// awaitReady waits until the process holds the data directory and its API answers. ended, which may be nil, tells that
// the process has ended.
func (s *shell) awaitReady(ctx context.Context, config app.Config, pid int, ended <-chan error) error {
	steps, begun := progress.NewSteps(s.err), time.Now()
	defer steps.Done()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		running, isRunning, err := app.FindRunning(config.DataDir)
		if err == nil && isRunning && running.PID == pid && isHealthy(ctx, running) {
			return nil
		}
		steps.Waiting("starting", begun, time.Now())
		select {
		case <-ended:
			return advise(lastLog(config), "apron ended before it was ready")
		case <-ctx.Done():
			if ended == nil {
				return advise(fmt.Sprintf("Services go on answering, and go on when it is started anew: kill -9 %d; apron serve --detach", pid),
					"apron runs already (process %d) and does not answer", pid)
			}
			return advise(lastLog(config), "apron was not ready within %s", view.Duration(readyTimeout))
		case <-time.After(readyEvery):
		}
	}
}

// isHealthy says whether the API answers, and from that very process: another apron may hold the address.
func isHealthy(ctx context.Context, running app.Running) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, running.Endpoint+app.HealthPath, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var health app.Health
	err = json.NewDecoder(io.LimitReader(response.Body, 4096)).Decode(&health)
	return err == nil && response.StatusCode == http.StatusOK && health.PID == running.PID
}

// lastLog returns the end of the background apron's log, and what else would help.
func lastLog(config app.Config) string {
	path := filepath.Join(config.DataDir, "serve.log")
	content, err := os.ReadFile(path)
	if err != nil {
		return "See `apron doctor`."
	}
	if len(content) > lastLogBytes {
		content = content[len(content)-lastLogBytes:]
		if _, rest, found := bytes.Cut(content, []byte("\n")); found {
			content = rest
		}
	}
	return fmt.Sprintf("The end of %s:\n%s\nSee also `apron doctor`.", path, strings.TrimSpace(view.CleanLines(string(content))))
}

// withHTTPS are the addresses at which services answer.
func withHTTPS(http, https string) string {
	if https == "" {
		return http
	}
	return http + " and by HTTPS at " + https
}
