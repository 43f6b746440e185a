package main

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

// action is a verb that starts one operation on a service and follows it.
type action struct {
	use, short, long, example string
	// start returns the operation's id, or "" when there was nothing to do.
	start func(ctx context.Context, connected *client.Client, arn string) (string, error)
	// what names the work in a failure; done is said at the end, done already when there was nothing to do.
	what, done, already string
}

func newPause(s *shell) *cobra.Command {
	return s.newAction(action{
		use: "pause NAME", short: "Stop a service's instances; its URL answers 503 until it is resumed",
		example: "  apron pause my-app",
		start: func(ctx context.Context, connected *client.Client, arn string) (string, error) {
			output, err := connected.API.PauseService(ctx, &apprunner.PauseServiceInput{ServiceArn: &arn})
			if err != nil {
				return "", err
			}
			return aws.ToString(output.OperationId), nil
		},
		what: "pausing", done: "is paused", already: "is paused already",
	})
}

func newResume(s *shell) *cobra.Command {
	return s.newAction(action{
		use: "resume NAME", short: "Start a paused service again",
		long:    "resume starts the version that ran before the pause; what was pushed meanwhile comes with the next `apron deploy`.",
		example: "  apron resume my-app",
		start: func(ctx context.Context, connected *client.Client, arn string) (string, error) {
			output, err := connected.API.ResumeService(ctx, &apprunner.ResumeServiceInput{ServiceArn: &arn})
			if err != nil {
				return "", err
			}
			return aws.ToString(output.OperationId), nil
		},
		what: "resuming", done: "runs", already: "runs already",
	})
}

func (s *shell) newAction(a action) *cobra.Command {
	var doNotWait bool
	command := &cobra.Command{
		Use: a.use, Short: a.short, Long: a.long, Example: a.example,
		Args: args(cobra.ExactArgs(1), "the name or ARN of a service"),
		RunE: func(command *cobra.Command, given []string) error {
			return s.act(command.Context(), a, given[0], doNotWait)
		},
	}
	command.Flags().BoolVar(&doNotWait, "no-wait", false, "return when the operation has begun")
	return command
}

func (s *shell) act(ctx context.Context, a action, name string, doNotWait bool) error {
	connected, arn, err := s.connectTo(ctx, name)
	if err != nil {
		return err
	}
	id, err := a.start(ctx, connected, arn)
	if err != nil {
		return err
	}
	said := a.done
	var operation client.Operation
	switch {
	case id == "":
		said = a.already
	case doNotWait:
		said = "is in operation " + id
	default:
		if operation, err = s.follow(ctx, connected, arn, id, false); err != nil {
			return err
		}
		if err := s.judge(operation, name, a.what+" "+name); err != nil {
			return err
		}
	}
	if s.isJSON() {
		return view.JSON(s.out, map[string]string{"ServiceArn": arn, "OperationId": id})
	}
	_, err = fmt.Fprintln(s.out, name, said+".")
	return err
}
