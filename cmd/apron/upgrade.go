package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/apron-run/apron/cmd/apron/internal/view"
	"github.com/apron-run/apron/internal/app"
	"github.com/apron-run/apron/internal/progress"
)

// upgradeTimeout is how long an apron in the background may take until it is another program: requests to the API that run
// are finished first.
const upgradeTimeout = readyTimeout + time.Minute

// watchHangups collects SIGHUP, until stop is called.
func watchHangups() (hangups chan os.Signal, stop func()) {
	hangups = make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	return hangups, func() { signal.Stop(hangups) }
}

// upgradeAt makes the serving process go on as another program at a hangup: that of app.RequestUpgrade, or self's file as
// it is then. A program that does not run is refused. stop ends the watch.
func upgradeAt(ctx context.Context, hangups <-chan os.Signal, config app.Config, claim *app.Claim, self app.Program) (stop func()) {
	had := hasTerminal()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
			}
			if had && !hasTerminal() {
				os.Exit(128 + int(syscall.SIGHUP)) // the terminal was closed, which ends any program in it at once
			}
			err := beginUpgrade(ctx, config, claim, self)
			if err == nil {
				signal.Ignore(syscall.SIGHUP) // by the next program too, until it watches
				return
			}
			slog.Error("upgrade; apron goes on as it was", "error", err)
		}
	}()
	return func() { cancel(); <-ended }
}

func beginUpgrade(ctx context.Context, config app.Config, claim *app.Claim, self app.Program) error {
	program, err := programOf(self)
	if err == nil {
		program, err = app.RequestedProgram(config, program)
	}
	if err == nil {
		err = program.Check(ctx)
	}
	if err != nil {
		return err
	}
	slog.Info("apron goes on as another program", "program", program.Path)
	return claim.Upgrade(program)
}

// programOf finds the file that a program was started by. It is not that of os.Executable: where the name is a link, it may
// lead to a newer program now.
func programOf(self app.Program) (app.Program, error) {
	path := self.Args[0]
	if !strings.Contains(path, "/") {
		found, err := exec.LookPath(path)
		if err != nil {
			return self, err
		}
		path = found
	}
	absolute, err := filepath.Abs(path)
	self.Path = absolute
	return self, err
}

// hasTerminal says whether a terminal controls this process.
func hasTerminal() bool {
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	terminal.Close()
	return true
}

// upgrade has the apron in the background go on as this program with this configuration, and waits until it does.
func (s *shell) upgrade(ctx context.Context, config app.Config, running app.Running, logFile string) error {
	command, err := serveCommand(config, logFile)
	if err != nil {
		return err
	}
	program := app.Program{Path: command.Path, Args: command.Args, Env: command.Environ()}
	if err := app.RequestUpgrade(config, running, program); err != nil {
		return err
	}
	steps, begun := progress.NewSteps(s.err), time.Now()
	defer steps.Done()
	ctx, cancel := context.WithTimeout(ctx, upgradeTimeout)
	defer cancel()
	for {
		now, isRunning, err := app.FindRunning(config.DataDir)
		if err == nil && !isRunning {
			return advise(lastLog(config), "apron ended before it was ready")
		}
		if err == nil && isHealthy(ctx, now) {
			if isOld, err := isOutdated(now); err == nil && !isOld {
				return nil
			}
		}
		steps.Waiting("replacing", begun, time.Now())
		select {
		case <-ctx.Done():
			return advise(lastLog(config), "apron was not replaced within %s", view.Duration(upgradeTimeout))
		case <-time.After(readyEvery):
		}
	}
}
