package main

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

func newOperations(s *shell) *cobra.Command {
	var limit int
	command := &cobra.Command{
		Use: "operations NAME [OPERATION]", Short: "List a service's operations, or show one with its steps",
		Example: "  apron operations my-app\n  apron operations my-app 3f2a…\n  apron operations my-app --output json",
		Args:    args(cobra.RangeArgs(1, 2), "the name or ARN of a service, and perhaps an operation's id"),
		RunE: func(command *cobra.Command, given []string) error {
			connected, arn, err := s.connectTo(command.Context(), given[0])
			if err != nil {
				return err
			}
			if len(given) == 2 {
				operation, err := connected.DescribeOperation(command.Context(), arn, given[1])
				if err != nil {
					return err
				}
				return s.printOperation(operation)
			}
			operations, err := connected.Operations(command.Context(), arn, limit)
			if err != nil {
				return err
			}
			return s.printOperations(operations)
		},
	}
	command.Flags().IntVarP(&limit, "number", "n", 20, "how many of the newest; 0 for all")
	return command
}

func (s *shell) printOperations(operations []types.OperationSummary) error {
	if s.isJSON() {
		return view.JSON(s.out, append([]types.OperationSummary{}, operations...))
	}
	var rows [][]string
	for _, operation := range operations {
		took := ""
		if operation.EndedAt != nil && operation.StartedAt != nil {
			took = view.Duration(operation.EndedAt.Sub(*operation.StartedAt))
		}
		rows = append(rows, []string{
			aws.ToString(operation.Id), string(operation.Type), string(operation.Status),
			view.Ago(aws.ToTime(operation.StartedAt), time.Now()), took,
		})
	}
	return view.Table(s.out, []string{"ID", "TYPE", "STATUS", "STARTED", "TOOK"}, rows)
}

func (s *shell) printOperation(operation client.Operation) error {
	if s.isJSON() {
		return view.JSON(s.out, operation)
	}
	took := ""
	if operation.EndedAt != nil {
		took = " in " + view.Duration(operation.EndedAt.Sub(operation.StartedAt.Time))
	}
	fmt.Fprintf(s.out, "%s %s%s, started %s\n", operation.Type, operation.Status, took, view.Ago(operation.StartedAt.Time, time.Now()))
	steps := view.NewSteps(s.out)
	steps.Show(operation, time.Now())
	if operation.IsOver() {
		steps.Done()
	} else {
		fmt.Fprintln(s.out)
	}
	failure := operation.Failure
	if failure == nil {
		return nil
	}
	fmt.Fprintln(s.out, view.Clean(failure.Cause))
	for _, line := range failure.Evidence {
		fmt.Fprintln(s.out, "  │", view.Clean(line))
	}
	return nil
}
