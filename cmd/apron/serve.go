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
	var isDetached, isCheck bool
	var logFile string
	command := &cobra.Command{
		Use: "serve", Short: "Run apron on this machine",
		Long: "serve runs the API, the proxy and the instances until it is told to stop (SIGTERM). Instances go on running\n" +
			"without it, and the next serve takes them over; `apron down` stops them too.\n\n" +
			"At SIGHUP it goes on as the program that its file holds now, without refusing a connection. --detach does that\n" +
			"to an apron in the background that runs another program than this one.",
		Example: "  apron serve\n  apron serve --detach\n" +
			"  apron serve --detach --data /srv/second --api 127.0.0.1:8800 --http :8180 --https :8543 \\\n" +
			"    --private-http 127.0.0.1:8181",
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := s.settings.resolve()
			if err != nil {
				return err
			}
			if err := config.CheckRuntimes(); err != nil {
				return &usageError{err, "docs/operations.md has the form of a file with runtimes."}
			}
			if err := config.CheckCertificates(); err != nil {
				return &usageError{err, "docs/https.md has the form of a folder with certificates."}
			}
			if isCheck {
				return app.CheckHTTPS(command.Context(), config)
			}
			if isDetached {
				return s.detach(command.Context(), config)
			}
			self := app.Program{Args: os.Args, Env: os.Environ()}
			os.Unsetenv(variable(databaseSetting)) // its password is not for the daemons
			var log io.Writer = s.err
			if logFile != "" {
				log = telemetry.NewProgramLog(logFile)
			}
			slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
			return serve(command.Context(), config, self)
		},
	}
	s.settings.bind(command.Flags())
	command.Flags().BoolVar(&isDetached, "detach", false, "run in the background; its log is serve.log in the data folder")
	command.Flags().BoolVar(&isCheck, app.CheckFlag, false, "say whether this program can take over from one that serves, with these settings")
	_ = command.Flags().MarkHidden(app.CheckFlag)
	command.Flags().StringVar(&logFile, "log-file", "", "write the log to this file, rotated at 10 MB, instead of standard error")
	return command
}

// serve claims the data directory and runs until ctx ends, or until this process is to go on as another program than self.
func serve(ctx context.Context, config app.Config, self app.Program) (err error) {
	if os.Geteuid() != 0 {
		return advise("Run it as root, for example with sudo.", "containers need root")
	}
	hangups, stop := watchHangups() // whoever sees the claim may send one
	defer stop()
	claim, err := app.TakeClaim(config)
	if errors.Is(err, app.ErrRunning) {
		return advise("Stop it with `apron down`, or choose another folder with --data.", "%s: %w", config.DataDir, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, claim.Release()) }()
	// A fault is told and not acted upon here: what runs already should come back even if the disk has become full.
	examination := doctorConfig(ctx, config)
	examination.IsRunning = claim.IsInherited() // and the addresses with it
	for _, result := range doctor.Examine(ctx, doctor.ThisMachine(examination)) {
		if result.State != doctor.StateOK {
			slog.Warn("machine", "check", result.Name, "state", result.State, "found", result.Message, "remedy", result.Remedy)
		}
	}
	if err := claim.Listen(config); err != nil {
		return err
	}
	defer upgradeAt(ctx, hangups, config, claim, self)()
	slog.Info("apron begins", "version", version, "data", config.DataDir, "api", config.APIAddr, "http", config.HTTPAddr)
	err = app.Run(ctx, config, claim)
	if claim.IsUpgrading() && ctx.Err() == nil {
		if err != nil {
			slog.Error("end before the next program", "error", err)
		}
		return claim.Exec(self, config)
	}
	if err != nil && ctx.Err() == nil {
		slog.Error("apron failed", "error", err)
		return fmt.Errorf("serve: %w", err)
	}
	slog.Info("apron ended; instances go on running")
	return nil
}
