package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/view"
	"github.com/apron-run/apron/internal/app"
	"github.com/apron-run/apron/internal/progress"
)

func newDown(s *shell) *cobra.Command {
	command := &cobra.Command{
		Use: "down", Short: "Stop apron, its services and its daemons; the data stay",
		Long: "down stops a running `apron serve`, every instance, and containerd and buildkitd. What was deployed is\n" +
			"remembered, and the next `apron serve` starts it again.",
		Example: "  apron down\n  apron down --data /srv/second",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := s.settings.resolve()
			if err != nil {
				return err
			}
			if err := s.stopServing(command.Context(), config); err != nil {
				return err
			}
			if _, err := os.Stat(config.DataDir); os.IsNotExist(err) {
				_, err := fmt.Fprintf(s.out, "There is no apron in %s.\n", config.DataDir)
				return err
			}
			claim, err := app.TakeClaim(config) // nobody may start an apron while its daemons are being stopped
			if err != nil {
				return err
			}
			err = s.waitFor("instances and daemons to end", func() error { return app.Down(command.Context(), config) })
			if err = errors.Join(err, claim.Release()); err != nil {
				return fmt.Errorf("stop what apron had started: %w", err)
			}
			_, err = fmt.Fprintf(s.out, "apron is down. Its data are in %s.\n", config.DataDir)
			return err
		},
	}
	s.settings.bind(command.Flags())
	return command
}

// waitFor does work, and shows how long it has been at it.
func (s *shell) waitFor(what string, work func() error) error {
	steps, begun, done := progress.NewSteps(s.err), time.Now(), make(chan error, 1)
	defer steps.Done()
	go func() { done <- work() }()
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(readyEvery):
			steps.Waiting("waiting for "+what, begun, time.Now())
		}
	}
}

// stopTimeout is how long a serving apron may take to end: requests that run may take 120 s.
const stopTimeout = 3 * time.Minute

// stopServing asks a serving apron to end and waits until it has. It is the process itself that holds the claim, so that
// no other can be hit.
func (s *shell) stopServing(ctx context.Context, config app.Config) error {
	running, isRunning, err := app.FindRunning(config.DataDir)
	if err != nil {
		return fmt.Errorf("look for a running apron: %w", err)
	}
	if !isRunning {
		return nil
	}
	if err := syscall.Kill(running.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop process %d: %w", running.PID, err)
	}
	steps, begun := progress.NewSteps(s.err), time.Now()
	defer steps.Done()
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	for {
		now, isRunning, err := app.FindRunning(config.DataDir)
		if err == nil && (!isRunning || now.PID != running.PID) {
			return nil
		}
		steps.Waiting("requests that still run", begun, time.Now())
		select {
		case <-ctx.Done():
			return advise(fmt.Sprintf("Look at its log; `kill -9 %d` ends it at once, and `apron down` then stops the rest.", running.PID),
				"apron (process %d) did not end within %s", running.PID, view.Duration(stopTimeout))
		case <-time.After(readyEvery):
		}
	}
}
