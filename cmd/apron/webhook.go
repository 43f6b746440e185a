package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

func newWebhook(s *shell) *cobra.Command {
	var host string
	var rotates, isTest bool
	command := &cobra.Command{
		Use: "webhook NAME", Short: "Show how a Git host or registry tells of a push",
		Long: "webhook prints the URL and the secret that a Git host or a registry needs, and what to do there. Then a push deploys\n" +
			"the service at once, instead of when apron looks the next time. The service needs AutoDeploymentsEnabled.\n\n" +
			"The URL is that of --api, which other machines reach only if it listens for them, or by a proxy in front of it that\n" +
			"passes on /webhooks/: then `apron serve --webhook-url https://HOST` says what the URL begins with.",
		Example: "  apron webhook my-app\n  apron webhook my-app --host gitlab\n  apron webhook my-app --rotate\n  apron webhook my-app --test",
		Args:    args(cobra.ExactArgs(1), "the name or ARN of a service"),
		RunE: func(command *cobra.Command, given []string) error {
			if _, isKnown := webhookHosts[host]; host != "" && !isKnown {
				return &usageError{fmt.Errorf("--host %q: want one of %s", host, strings.Join(hostNames(), ", ")), ""}
			}
			ctx := command.Context()
			connected, arn, err := s.connectTo(ctx, given[0])
			if err != nil {
				return err
			}
			webhook, err := connected.Webhook(ctx, arn, rotates)
			if err != nil {
				return err
			}
			if isTest {
				return s.testWebhook(ctx, connected, webhook)
			}
			if s.isJSON() {
				return view.JSON(s.out, webhook)
			}
			described, err := connected.Service(ctx, arn)
			if err != nil {
				return err
			}
			printWebhook(s.out, webhook, described, host)
			return nil
		},
	}
	command.Flags().StringVar(&host, "host", "", "what to do there: "+strings.Join(hostNames(), ", ")+" (default by the service's source)")
	command.Flags().BoolVar(&rotates, "rotate", false, "make a new secret; the one before is good for nothing any more")
	command.Flags().BoolVar(&isTest, "test", false, "call the webhook, and print what it answers")
	return command
}

func (s *shell) testWebhook(ctx context.Context, connected *client.Client, webhook client.Webhook) error {
	answer, err := connected.CallWebhook(ctx, webhook)
	if err != nil {
		return advise("Other hosts cannot call it either: see `apron webhook --help`.", "call the webhook: %w", err)
	}
	_, err = fmt.Fprintln(s.out, view.Clean(answer))
	return err
}

func printWebhook(out io.Writer, webhook client.Webhook, service types.Service, host string) {
	place, guess := sourcePlace(service.SourceConfiguration)
	isGuess := host == ""
	if isGuess {
		host = guess
	}
	fmt.Fprintf(out, "URL     %s\nSecret  %s\n\n%s:\n", webhook.URL, webhook.Secret, webhookHosts[host].title)
	fill := strings.NewReplacer("{url}", webhook.URL, "{secret}", webhook.Secret, "{both}", webhook.URLWithSecret, "{place}", place)
	for i, step := range webhookHosts[host].steps {
		fmt.Fprintf(out, "  %d. %s\n", i+1, fill.Replace(step))
	}
	if isGuess {
		fmt.Fprintf(out, "\nFor another host: apron webhook %s --host %s\n", aws.ToString(service.ServiceName), strings.Join(hostNames(), "|"))
	}
	if !aws.ToBool(service.SourceConfiguration.AutoDeploymentsEnabled) {
		fmt.Fprintln(out, "\nAutoDeploymentsEnabled of the service is false: calls deploy nothing until an update turns it on.")
	}
}
