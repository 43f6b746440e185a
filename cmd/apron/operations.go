package main

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
	"github.com/apron-run/apron/internal/progress"
)

func newOperations(s *shell) *cobra.Command {
	var limit int
	command := &cobra.Command{
		Use: "operations NAME [OPERATION]", Short: "List a service's operations, and why they failed",
		Example: "  apron operations my-app\n  apron operations my-app -n 0 --output json",
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
			return s.printOperations(command.Context(), connected, arn, operations)
		},
	}
	command.Flags().IntVarP(&limit, "number", "n", 20, "how many of the newest; 0 for all")
	return command
}

func newOperation(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "operation ID", Short: "Show one operation: its steps, why it failed and what to try",
		Long:    "operation shows all of one operation. The first digits of its id are enough.",
		Example: "  apron operation 3f2a81c04b77\n  apron operation 3f2a81c04b77 --output json",
		Args:    args(cobra.ExactArgs(1), "an operation's id"),
		RunE: func(command *cobra.Command, given []string) error {
			ctx := command.Context()
			connected, err := s.connect()
			if err != nil {
				return err
			}
			operation, err := findOperation(ctx, connected, given[0])
			if err != nil {
				return err
			}
			return s.printOperation(operation)
		},
	}
}

// shortID is the beginning of an operation's id, as it is shown on a terminal.
var shortID = regexp.MustCompile(`^[0-9a-f]{4,31}$`)

// shownID is how many digits of an id a terminal shows: enough to tell operations apart.
const shownID = 12

// findOperation returns an operation by its id, or by the beginning of it, of whatever service it is.
func findOperation(ctx context.Context, connected *client.Client, id string) (client.Operation, error) {
	const advice = "`apron operations NAME` lists those that are there."
	if !shortID.MatchString(id) {
		operation, err := connected.DescribeOperation(ctx, "", id)
		if isRefused(err) {
			return operation, advise(advice, "there is no operation %s", id)
		}
		return operation, err
	}
	services, err := connected.Services(ctx)
	if err != nil {
		return client.Operation{}, err
	}
	for _, service := range services {
		whole, err := complete(ctx, connected, aws.ToString(service.ServiceArn), id)
		if err != nil {
			return client.Operation{}, err
		}
		if whole != id {
			return connected.DescribeOperation(ctx, "", whole)
		}
	}
	return client.Operation{}, advise(advice, "there is no operation %s", id)
}

// complete returns the id of the service's newest operation that begins with short; short itself when none does.
func complete(ctx context.Context, connected *client.Client, arn, short string) (string, error) {
	if !shortID.MatchString(short) {
		return short, nil
	}
	operations, err := connected.Operations(ctx, arn, 0)
	if err != nil {
		return "", err
	}
	for _, operation := range operations {
		if id := aws.ToString(operation.Id); strings.HasPrefix(id, short) {
			return id, nil
		}
	}
	return short, nil
}

// describe returns an operation of the service by the id that the user gave, or by the beginning of it.
func describe(ctx context.Context, connected *client.Client, name, arn, given string) (client.Operation, error) {
	id, err := complete(ctx, connected, arn, given)
	if err != nil {
		return client.Operation{}, err
	}
	operation, err := connected.DescribeOperation(ctx, arn, id)
	if isRefused(err) { // the service is there, so it is the operation that is not
		return operation, advise("`apron operations "+name+"` lists those that are there.", "there is no operation %s of %s", id, name)
	}
	return operation, err
}

// notesShown is how many operations of a list have a note, each of which is a request.
const notesShown = 20

// hasNote says whether there may be more to tell of an operation: why it failed, what it waits for, or what triggered it.
func hasNote(operation types.OperationSummary) bool {
	return hasFailed(operation) || operation.Status == types.OperationStatusPending || operation.Type == types.OperationTypeStartDeployment
}

// printOperations prints a table in which an operation has a note below it: why it failed, what it waits for, or what triggered
// it.
func (s *shell) printOperations(ctx context.Context, connected *client.Client, arn string, operations []types.OperationSummary) error {
	if s.isJSON() {
		return view.JSON(s.out, append([]types.OperationSummary{}, operations...))
	}
	width, asked := view.Width(s.out), 0
	var rows [][]string
	var notes []string
	for _, operation := range operations {
		took, note, id := "", "", aws.ToString(operation.Id)
		if operation.EndedAt != nil && operation.StartedAt != nil {
			took = view.Duration(operation.EndedAt.Sub(*operation.StartedAt))
		}
		if hasNote(operation) && asked < notesShown {
			asked++
			described, err := connected.DescribeOperation(ctx, arn, id)
			if err != nil {
				return err
			}
			note = described.Place()
			switch {
			case described.Failure != nil:
				note = described.Failure.Cause
			case note == "" && described.Trigger != "":
				note = "automatic: " + described.Trigger
			}
		}
		if width > 0 {
			id = id[:min(len(id), shownID)]
		}
		notes = append(notes, view.Clean(note))
		rows = append(rows, []string{id, string(operation.Type), string(operation.Status), view.Ago(aws.ToTime(operation.StartedAt), time.Now()), took})
	}
	var table bytes.Buffer
	if err := view.Table(&table, []string{"ID", "TYPE", "STATUS", "STARTED", "TOOK"}, rows); err != nil {
		return err
	}
	below := -1 // the heading has none
	for line := range strings.Lines(table.String()) {
		fmt.Fprint(s.out, line)
		if below >= 0 && notes[below] != "" {
			fmt.Fprintln(s.out, progress.Cut("  ↳ "+notes[below], width))
		}
		below++
	}
	if asked > 0 {
		fmt.Fprintln(s.out, "\nAll about one of them: apron operation ID")
	}
	return nil
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

func (s *shell) printOperation(operation client.Operation) error {
	if s.isJSON() {
		return view.JSON(s.out, operation)
	}
	view.Operation(s.out, operation, operation.ServiceName(), time.Now())
	return nil
}
