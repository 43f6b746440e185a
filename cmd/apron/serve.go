package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/apron-run/apron/internal/app"
	"github.com/apron-run/apron/internal/doctor"
	"github.com/apron-run/apron/internal/telemetry"
)

func newServe(s *shell) *cobra.Command {
	var isDetached bool
	var logFile string
	command := &cobra.Command{
		Use: "serve", Short: "Run apron on this machine",
		Long: "serve runs the API, the proxy and the instances until it is told to stop (SIGTERM). Instances go on running\n" +
			"without it, and the next serve takes them over; `apron down` stops them too.",
		Example: "  apron serve\n  apron serve --detach\n" +
			"  apron serve --detach --data /srv/second --api 127.0.0.1:8800 --http :8180 --https :8543 \\\n" +
			"    --private-http 127.0.0.1:8181",
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := s.settings.resolve()
			if err != nil {
				return err
			}
			if isDetached {
				return s.detach(command.Context(), config)
			}
			os.Unsetenv(variable(databaseSetting)) // its password is not for the daemons
			var log io.Writer = s.err
			if logFile != "" {
				log = telemetry.NewProgramLog(logFile)
			}
			slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
			return serve(command.Context(), config)
		},
	}
	s.settings.bind(command.Flags())
	command.Flags().BoolVar(&isDetached, "detach", false, "run in the background; its log is serve.log in the data folder")
	command.Flags().StringVar(&logFile, "log-file", "", "write the log to this file, rotated at 10 MB, instead of standard error")
	return command
}

// serve claims the data directory and runs until ctx ends.
func serve(ctx context.Context, config app.Config) (err error) {
	if os.Geteuid() != 0 {
		return advise("Run it as root, for example with sudo.", "containers need root")
	}
	release, err := app.Claim(config)
	if errors.Is(err, app.ErrRunning) {
		return advise("Stop it with `apron down`, or choose another folder with --data.", "%s: %w", config.DataDir, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	// A fault is told and not acted upon here: what runs already should come back even if the disk has become full.
	examination := doctorConfig(ctx, config)
	examination.IsRunning = false
	for _, result := range doctor.Examine(ctx, doctor.ThisMachine(examination)) {
		if result.State != doctor.StateOK {
			slog.Warn("machine", "check", result.Name, "state", result.State, "found", result.Message, "remedy", result.Remedy)
		}
	}
	slog.Info("apron begins", "version", version, "data", config.DataDir, "api", config.APIAddr, "http", config.HTTPAddr)
	if err := app.Run(ctx, config); err != nil && ctx.Err() == nil {
		slog.Error("apron failed", "error", err)
		return fmt.Errorf("serve: %w", err)
	}
	slog.Info("apron ended; instances go on running")
	return nil
}
