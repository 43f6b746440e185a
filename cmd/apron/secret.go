package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

// maxSecretValue is what the API takes of a secret.
const maxSecretValue = 64 << 10

func newSecret(s *shell) *cobra.Command {
	command := &cobra.Command{
		Use: "secret", Short: "Values that apps need and nobody may read",
		Long: "A secret is a value under a name, sealed where apron keeps it. A variable of an app gets it by a reference, in\n" +
			"apprunner.yaml's run.secrets or the API's RuntimeEnvironmentSecrets: the name, or an ARN of Secrets Manager or of\n" +
			"Parameter Store with that name, whatever its region and account. Apps get the value when they are deployed.",
		Example: "  apron secret put db/password\n  apron secret list\n  apron secret delete db/password\n\n" +
			"  # and in apprunner.yaml\n  run:\n    secrets:\n      - name: DB_PASSWORD\n        value-from: db/password",
		RunE: func(command *cobra.Command, given []string) error {
			if len(given) == 0 {
				return command.Help()
			}
			return &usageError{fmt.Errorf("there is no command %q", "secret "+given[0]), "See `apron secret --help`."}
		},
	}
	command.AddCommand(newSecretPut(s), newSecretList(s), newSecretDelete(s))
	return command
}

func newSecretPut(s *shell) *cobra.Command {
	var file string
	command := &cobra.Command{
		Use: "put NAME", Short: "Store a value under a name, or another one",
		Long: "put reads the value from standard input, or from --file; on a terminal it asks for it and does not show it. The line\n" +
			"break at the value's end is left out. It is no argument, because other users of the machine see those.\n\n" +
			"The value may be a JSON object: an ARN of Secrets Manager may name one of its keys (…:secret:NAME:KEY::).\n" +
			"A service that runs keeps the value it has until it is deployed again.",
		Example: "  apron secret put db/password\n  openssl rand -hex 32 | apron secret put session-key\n  apron secret put tls --file key.pem",
		Args:    args(cobra.ExactArgs(1), "the secret's name"),
		RunE: func(command *cobra.Command, given []string) error {
			connected, err := s.connect()
			if err != nil {
				return err
			}
			value, err := s.secretValue(command, given[0], file)
			if err != nil {
				return err
			}
			stored, err := connected.PutSecret(command.Context(), given[0], value)
			if err != nil {
				return err
			}
			if s.isJSON() {
				return view.JSON(s.out, stored)
			}
			_, err = fmt.Fprintf(s.out, "%s is stored. Services get it when they are deployed: value-from: %s\n", stored.Name, stored.Name)
			return err
		},
	}
	command.Flags().StringVar(&file, "file", "", "read the value from this file")
	return command
}

func (s *shell) secretValue(command *cobra.Command, name, path string) (string, error) {
	if path == "" {
		value, err := s.readHidden(command.Context(), "Value of "+name, readSecretValue)
		if err != nil && command.Context().Err() == nil {
			err = &usageError{fmt.Errorf("read the value from standard input: %w", err), "Pipe it in, name a --file, or type it at the terminal."}
		}
		return value, err
	}
	file, err := os.Open(path)
	if err != nil {
		return "", &usageError{fmt.Errorf("--file: %w", err), ""}
	}
	defer file.Close()
	value, err := readSecretValue(file)
	if err != nil {
		return "", &usageError{fmt.Errorf("--file %s: %w", path, err), ""}
	}
	return value, nil
}

func readSecretValue(from io.Reader) (string, error) {
	content, err := io.ReadAll(io.LimitReader(from, maxSecretValue+3))
	value := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	switch {
	case err != nil:
		return "", err
	case len(value) > maxSecretValue:
		return "", fmt.Errorf("it has more than %d bytes", maxSecretValue)
	case value == "":
		return "", errors.New("it is empty")
	}
	return value, nil
}

func newSecretList(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the names of the secrets",
		Example: "  apron secret list\n  apron secret list --output json",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE: func(command *cobra.Command, _ []string) error {
			connected, err := s.connect()
			if err != nil {
				return err
			}
			secrets, err := connected.Secrets(command.Context())
			if err != nil {
				return err
			}
			if s.isJSON() {
				return view.JSON(s.out, append([]client.Secret{}, secrets...))
			}
			if len(secrets) == 0 {
				_, err := fmt.Fprintln(s.out, "There is no secret yet. Store one with `apron secret put NAME`.")
				return err
			}
			var rows [][]string
			for _, each := range secrets {
				rows = append(rows, []string{each.Name, view.Ago(each.Changed(), time.Now())})
			}
			return view.Table(s.out, []string{"NAME", "STORED"}, rows)
		},
	}
}

func newSecretDelete(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Forget a secret",
		Long:    "delete forgets the value. What runs goes on with it; the next deployment of a service that refers to it fails.",
		Example: "  apron secret delete db/password",
		Args:    args(cobra.ExactArgs(1), "the secret's name"),
		RunE: func(command *cobra.Command, given []string) error {
			connected, err := s.connect()
			if err != nil {
				return err
			}
			deleted, err := connected.DeleteSecret(command.Context(), given[0])
			var api smithy.APIError
			if errors.As(err, &api) && strings.HasPrefix(api.ErrorCode(), "ResourceNotFound") {
				return advise("`apron secret list` lists those that are there.", "%s", api.ErrorMessage())
			}
			if err != nil {
				return err
			}
			if s.isJSON() {
				return view.JSON(s.out, deleted)
			}
			_, err = fmt.Fprintf(s.out, "%s is deleted.\n", deleted.Name)
			return err
		},
	}
}
