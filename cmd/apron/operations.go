package main

import (
	"context"
	"fmt"
	"slices"
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
				operation, err := describe(command.Context(), connected, given[0], arn, given[1])
				if err != nil {
					return err
				}
				return s.printOperation(operation)
			}
			operations, err := connected.Operations(command.Context(), arn, limit)
			if err != nil {
				return err
			}
			if err := s.printOperations(operations); err != nil || s.isJSON() {
				return err
			}
			if err := s.printPlace(command.Context(), connected, arn, first(operations)); err != nil {
				return err
			}
			return s.printNewestFailure(command.Context(), connected, given[0], arn, operations)
		},
	}
	command.Flags().IntVarP(&limit, "number", "n", 20, "how many of the newest; 0 for all")
	return command
}

// describe returns an operation of the service by the id that the user gave.
func describe(ctx context.Context, connected *client.Client, name, arn, id string) (client.Operation, error) {
	operation, err := connected.DescribeOperation(ctx, arn, id)
	if isRefused(err) { // the service is there, so it is the operation that is not
		return operation, advise("`apron operations "+name+"` lists those that are there.", "there is no operation %s of %s", id, name)
	}
	return operation, err
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

// printPlace says for what the newest operation waits, if it does.
func (s *shell) printPlace(ctx context.Context, connected *client.Client, arn string, newest *types.OperationSummary) error {
	if newest == nil || newest.Status != types.OperationStatusPending {
		return nil
	}
	operation, err := connected.DescribeOperation(ctx, arn, aws.ToString(newest.Id))
	if err != nil || operation.Place() == "" {
		return err
	}
	_, err = fmt.Fprintf(s.out, "\n%s: %s\n", operation.ID, view.Clean(operation.Place()))
	return err
}

// hasFailed says whether an operation ended, or is about to end, without what it was for.
func hasFailed(operation types.OperationSummary) bool {
	switch operation.Status {
	case types.OperationStatusFailed, types.OperationStatusRollbackInProgress, types.OperationStatusRollbackFailed,
		types.OperationStatusRollbackSucceeded:
		return true
	}
	return false
}

// causeOf is why an operation failed; "" when apron says nothing about it.
func causeOf(ctx context.Context, connected *client.Client, arn string, operation types.OperationSummary) (string, error) {
	described, err := connected.DescribeOperation(ctx, arn, aws.ToString(operation.Id))
	if err != nil || described.Failure == nil {
		return "", err
	}
	return view.Clean(described.Failure.Cause), nil
}

// printNewestFailure says why the newest of the operations that failed did, since that is what most people look for.
func (s *shell) printNewestFailure(ctx context.Context, connected *client.Client, name, arn string, operations []types.OperationSummary) error {
	failed := slices.IndexFunc(operations, hasFailed)
	if failed < 0 {
		return nil
	}
	cause, err := causeOf(ctx, connected, arn, operations[failed])
	if err != nil || cause == "" {
		return err
	}
	id := aws.ToString(operations[failed].Id)
	_, err = fmt.Fprintf(s.out, "\n%s: %s\n  Its steps: apron operations %s %s\n", id, cause, name, id)
	return err
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
	if operation.Trigger != "" {
		fmt.Fprintln(s.out, "Automatic:", view.Clean(operation.Trigger))
	}
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
