package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/view"
	"github.com/apron-run/apron/internal/app"
	"github.com/apron-run/apron/internal/doctor"
)

func newDoctor(s *shell) *cobra.Command {
	command := &cobra.Command{
		Use: "doctor", Short: "Say whether this machine can run apron",
		Long: "doctor examines the machine and says in one sentence each what is well and what is not, with the remedy.\n" +
			"It changes nothing. The exit code is 1 when apron cannot run.",
		Example: "  apron doctor\n  apron doctor --output json",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := s.settings.resolve()
			if err != nil {
				return err
			}
			results := doctor.Examine(command.Context(), doctor.ThisMachine(doctorConfig(command.Context(), config)))
			if err := s.printResults(results); err != nil {
				return err
			}
			if doctor.HasFailed(results) {
				return errors.New("this machine cannot run apron as it is; the remedies are above")
			}
			return nil
		},
	}
	s.settings.bind(command.Flags())
	return command
}

func doctorConfig(ctx context.Context, config app.Config) doctor.Config {
	_, isRunning, _ := app.FindRunning(config.DataDir) // what cannot be told is not running, and its ports say the rest
	addresses := []doctor.Address{{Flag: "--api", Address: config.APIAddr}}
	if !app.AnswersServices(ctx, config) {
		addresses = append(addresses, doctor.Address{Flag: "--http", Address: config.HTTPAddr},
			doctor.Address{Flag: "--private-http", Address: config.PrivateHTTPAddr})
		if https := config.HTTPS(); https != "" {
			addresses = append(addresses, doctor.Address{Flag: "--https", Address: https})
		}
	}
	return doctor.Config{
		DataDir: config.DataDir, CacheDir: config.CacheDir, BinDir: config.BinDir, Addresses: addresses, IsRunning: isRunning,
	}
}

func (s *shell) printResults(results []doctor.Result) error {
	if s.isJSON() {
		return view.JSON(s.out, results)
	}
	rows := make([][]string, len(results))
	for i, result := range results {
		rows[i] = []string{string(result.State), result.Name, result.Message}
	}
	if err := view.Table(s.out, []string{"STATE", "CHECK", "FOUND"}, rows); err != nil {
		return err
	}
	for _, result := range results {
		if result.Remedy != "" {
			fmt.Fprintf(s.out, "\n%s %s: %s\n  %s\n", result.State, result.Name, result.Message, result.Remedy)
		}
	}
	return nil
}
