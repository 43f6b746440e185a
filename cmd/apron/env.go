package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/view"
)

func newEnv(s *shell) *cobra.Command {
	command := &cobra.Command{
		Use: "env", Short: "Print the variables that point AWS tools to this apron",
		Long: "env prints shell exports of the endpoint, the region and the key pair. With them the AWS CLI, every AWS SDK,\n" +
			"Terraform and apron's own commands talk to this apron. An AWS CLI before 2.13 does not read AWS_ENDPOINT_URL:\n" +
			"give it --endpoint-url \"$AWS_ENDPOINT_URL\".",
		Example: "  eval \"$(apron env)\"\n  eval \"$(apron env --data /srv/second-apron)\"",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			config, err := s.settings.resolve()
			if err != nil {
				return err
			}
			found, err := find(config)
			if err != nil {
				return err
			}
			variables := [][2]string{
				{"AWS_ENDPOINT_URL", found.Endpoint}, {"AWS_REGION", found.Region}, {"AWS_DEFAULT_REGION", found.Region},
				{"AWS_ACCESS_KEY_ID", found.KeyID}, {"AWS_SECRET_ACCESS_KEY", found.Secret},
			}
			if s.isJSON() {
				values := map[string]string{}
				for _, each := range variables {
					values[each[0]] = each[1]
				}
				return view.JSON(s.out, values)
			}
			for _, each := range variables {
				fmt.Fprintf(s.out, "export %s=%s\n", each[0], quote(each[1]))
			}
			_, err = fmt.Fprintln(s.out, "unset AWS_SESSION_TOKEN")
			return err
		},
	}
	s.settings.bindData(command.Flags())
	return command
}

// quote makes one word of text for a POSIX shell, whatever is in it.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
