package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

// hostTag names a connection's host where that is not the provider's own.
const hostTag = "apron:host"

func newConnection(s *shell) *cobra.Command {
	command := &cobra.Command{
		Use: "connection", Aliases: []string{"connections"}, Short: "Connect to the hosts of private repositories",
		Long: "A connection holds what apron asks a Git host with: a token, an SSH key, or the key of a GitHub app. A service names\n" +
			"it by its ARN (ConnectionArn), and its deployments then read private repositories of that host, and of no other.",
		Example: "  apron connection create forge\n" +
			"  apron connection authorize forge --repository https://github.com/ada/private-app\n" +
			"  apron connection list",
		Args: args(cobra.NoArgs, "one of create, authorize, list and delete"),
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(newConnectionCreate(s), newConnectionAuthorize(s), newConnectionList(s), newConnectionDelete(s))
	return command
}

var providers = map[string]types.ProviderType{"github": types.ProviderTypeGithub, "bitbucket": types.ProviderTypeBitbucket}

func newConnectionCreate(s *shell) *cobra.Command {
	var provider, host string
	command := &cobra.Command{
		Use: "create NAME", Short: "Make a connection, which then waits for its credentials",
		Long: "create makes a connection to github.com, to bitbucket.org, or to any other Git host (--host). Credentials come next,\n" +
			"by `apron connection authorize`.",
		Example: "  apron connection create forge\n" +
			"  apron connection create bucket --provider bitbucket\n" +
			"  apron connection create ours --host git.example.com:8443",
		Args: args(cobra.ExactArgs(1), "a name of 4 to 32 letters, digits, - and _"),
		RunE: func(command *cobra.Command, given []string) error {
			kind, isKnown := providers[strings.ToLower(provider)]
			if !isKnown {
				return &usageError{fmt.Errorf("--provider %q: want github or bitbucket", provider), "For any other host give --host HOST."}
			}
			return s.createConnection(command.Context(), given[0], kind, host)
		},
	}
	command.Flags().StringVar(&provider, "provider", "github", "github or bitbucket; with --host, whose kind the host is")
	command.Flags().StringVar(&host, "host", "", "HOST or HOST:PORT of any other Git host; plain http needs the port")
	return command
}

func (s *shell) createConnection(ctx context.Context, name string, provider types.ProviderType, host string) error {
	connected, err := s.connect()
	if err != nil {
		return err
	}
	input := &apprunner.CreateConnectionInput{ConnectionName: &name, ProviderType: provider}
	if host != "" {
		input.Tags = []types.Tag{{Key: aws.String(hostTag), Value: &host}}
	}
	output, err := connected.API.CreateConnection(ctx, input)
	if err != nil {
		return err
	}
	if s.isJSON() {
		return view.JSON(s.out, output.Connection)
	}
	host = cmp.Or(host, hostOf(provider))
	_, err = fmt.Fprintf(s.out, "%s is made, to %s. Give it its credentials: apron connection authorize %s --repository https://%s/…\n", name, host, name, host)
	return err
}

// hostOf is the provider's own host.
func hostOf(provider types.ProviderType) string {
	if provider == types.ProviderTypeBitbucket {
		return "bitbucket.org"
	}
	return "github.com"
}

func newConnectionList(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the connections",
		Example: "  apron connection list\n  apron connection list --output json",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE: func(command *cobra.Command, _ []string) error {
			connected, err := s.connect()
			if err != nil {
				return err
			}
			connections, err := connected.Connections(command.Context(), "")
			if err != nil {
				return err
			}
			if s.isJSON() {
				return view.JSON(s.out, append([]types.ConnectionSummary{}, connections...))
			}
			return s.printConnections(command.Context(), connected, connections)
		},
	}
}

func (s *shell) printConnections(ctx context.Context, connected *client.Client, connections []types.ConnectionSummary) error {
	if len(connections) == 0 {
		_, err := fmt.Fprintln(s.out, "There is no connection yet. Make one with `apron connection create NAME`.")
		return err
	}
	var rows [][]string
	for _, each := range connections {
		tags, err := connected.Tags(ctx, aws.ToString(each.ConnectionArn))
		if err != nil {
			return err
		}
		rows = append(rows, []string{
			aws.ToString(each.ConnectionName), string(each.Status), cmp.Or(tags[hostTag], hostOf(each.ProviderType)),
			view.Ago(aws.ToTime(each.CreatedAt), time.Now()), aws.ToString(each.ConnectionArn),
		})
	}
	return view.Table(s.out, []string{"NAME", "STATUS", "HOST", "CREATED", "ARN"}, rows)
}

func newConnectionDelete(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a connection with its credentials",
		Long:    "delete forgets the connection and its credentials. A connection that a service uses stays.",
		Example: "  apron connection delete forge",
		Args:    args(cobra.ExactArgs(1), "the name or ARN of a connection"),
		RunE: func(command *cobra.Command, given []string) error {
			connected, err := s.connect()
			if err != nil {
				return err
			}
			arn, err := connected.ConnectionARN(command.Context(), given[0])
			if err != nil {
				return err
			}
			output, err := connected.API.DeleteConnection(command.Context(), &apprunner.DeleteConnectionInput{ConnectionArn: &arn})
			if err != nil {
				return aboutConnection(err)
			}
			if s.isJSON() {
				return view.JSON(s.out, output.Connection)
			}
			_, err = fmt.Fprintln(s.out, given[0], "is deleted.")
			return err
		},
	}
}
