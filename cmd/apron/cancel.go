package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

// cancelAny cancels the operation that runs on a service, if there is one, and waits for its end.
func (s *shell) cancelAny(ctx context.Context, connected *client.Client, arn string) error {
	operation, err := connected.CancelOperation(ctx, arn, "")
	var refused smithy.APIError
	if errors.As(err, &refused) && refused.ErrorCode() == "InvalidStateException" {
		return nil // nothing runs
	}
	if err != nil {
		return err
	}
	_, err = s.follow(ctx, connected, arn, operation.ID, false)
	return err
}

func newCancel(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "cancel NAME [OPERATION]", Short: "Give up the operation that runs on a service",
		Long: "cancel stops a build, a pull, a start or a health check at once, and leaves the service as it was before. Once\n" +
			"traffic has been switched there is no way back: then the operation finishes without waiting for old requests.",
		Example: "  apron cancel my-app",
		Args:    args(cobra.RangeArgs(1, 2), "the name or ARN of a service, and perhaps an operation's id"),
		RunE: func(command *cobra.Command, given []string) error {
			ctx := command.Context()
			connected, arn, err := s.connectTo(ctx, given[0])
			if err != nil {
				return err
			}
			id := ""
			if len(given) == 2 {
				operation, err := describe(ctx, connected, given[0], arn, given[1])
				if err != nil {
					return err
				}
				id = operation.ID
			}
			operation, err := connected.CancelOperation(ctx, arn, id)
			if err != nil {
				return err
			}
			if operation, err = s.follow(ctx, connected, arn, operation.ID, false); err != nil {
				return err
			}
			if s.isJSON() {
				return view.JSON(s.out, operation)
			}
			if operation.HasSucceeded() {
				_, err = fmt.Fprintf(s.out, "%s had switched its traffic already, and the operation has finished.\n", given[0])
				return err
			}
			_, err = fmt.Fprintf(s.out, "The operation on %s is cancelled.\n", given[0])
			return err
		},
	}
}
