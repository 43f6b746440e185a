package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/progress"
)

// follow shows the steps of an operation as they happen, and what it prints if withLogs. It returns the operation when
// it is over, however it ended; its failure is for failureOf.
func (s *shell) follow(ctx context.Context, connected *client.Client, arn, id string, withLogs bool) (client.Operation, error) {
	var operation client.Operation
	follower := progress.Follower{
		Operation: func(ctx context.Context) (_ platform.Operation, err error) {
			operation, err = connected.DescribeOperation(ctx, arn, id)
			return operation.Record(), err
		},
		IsLost: isLost,
	}
	if withLogs {
		follower.Lines = func(ctx context.Context, token string, limit int) ([]progress.Line, string, error) {
			read, next, err := connected.ReadLogs(ctx, arn, "deployment/"+id, firstOf(token, "start"), limit)
			lines := make([]progress.Line, len(read))
			for i, line := range read {
				lines[i] = progress.Line{At: line.Timestamp.Time, Text: line.Message}
			}
			return lines, next, err
		}
	}
	_, err := follower.Follow(ctx, progress.NewSteps(s.err))
	if err != nil && ctx.Err() != nil {
		err = advise("See `apron operation "+id+"`.", "interrupted; the operation goes on: %w", err)
	}
	return operation, err
}

const (
	// lostTimeout is how long apron may not answer while its log is followed: it may be restarted meanwhile.
	lostTimeout = time.Minute
	// logPage is how many lines of a log are read at a time.
	logPage = 500
)

// isLost says whether an error may pass by itself: apron does not answer, or is just starting.
func isLost(err error) bool {
	var network net.Error
	var api smithy.APIError
	if errors.As(err, &api) {
		return strings.HasPrefix(api.ErrorCode(), "HTTP5") || strings.HasPrefix(api.ErrorCode(), "InternalServiceError")
	}
	return errors.As(err, &network)
}

// judge is failureOf for an operation that was followed to its end. A program that reads the output gets the operation.
func (s *shell) judge(operation client.Operation, name, what string) error {
	failure := failureOf(operation, name, what, progress.Width(s.err)-adviceIndent)
	if failure != nil && s.isJSON() {
		if err := view.JSON(s.out, operation); err != nil {
			return err
		}
	}
	return failure
}

// failureOf makes an error of an operation that did not succeed, with its cause, what led to it and what to do next; nil for
// one that did. width is that of the terminal, or 0.
func failureOf(operation client.Operation, name, what string, width int) error {
	if operation.HasSucceeded() {
		return nil
	}
	record := operation.Record()
	return advise(progress.Why(record, name, width), "%s failed: %s", what, progress.Cause(record))
}
