package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

// follower watches one operation until it is over.
type follower struct {
	client   *client.Client
	steps    *view.Steps
	name     string
	arn      string
	id       string
	withLogs bool

	logToken string
}

const (
	// lostTimeout is how long apron may not answer while its operation is watched: it may be restarted meanwhile.
	lostTimeout = time.Minute
	// logPage is how many lines of a build are read at a time.
	logPage = 500
)

// follow shows the steps of an operation as they happen, and what it prints if withLogs. It returns the operation when
// it is over, however it ended; its failure is for failureOf.
func (s *shell) follow(ctx context.Context, connected *client.Client, name, arn, id string, withLogs bool) (client.Operation, error) {
	f := &follower{
		client: connected, steps: view.NewSteps(s.err), name: name, arn: arn, id: id,
		withLogs: withLogs, logToken: "start",
	}
	defer f.steps.Done()
	begun, answered := time.Now(), time.Now()
	for {
		operation, err := f.look(ctx)
		now := time.Now()
		switch {
		case err == nil && operation.IsOver():
			return operation, nil
		case err == nil:
			answered = now
		case ctx.Err() != nil:
			return operation, advise("See `apron operation "+id+"`.", "interrupted; the operation goes on: %w", context.Cause(ctx))
		case !isLost(err) || now.Sub(answered) > lostTimeout:
			return operation, fmt.Errorf("watch the operation: %w", err)
		default:
			f.steps.Waiting("apron does not answer; waiting for it", answered, now)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollInterval(now.Sub(begun))):
		}
	}
}

// look reads the operation once and shows what is new. The log comes after the state, so that the log of an operation
// that is over is complete.
func (f *follower) look(ctx context.Context) (client.Operation, error) {
	operation, err := f.client.DescribeOperation(ctx, f.arn, f.id)
	if err != nil {
		return operation, err
	}
	if f.withLogs {
		if err := f.showLogs(ctx); err != nil {
			return operation, err
		}
	}
	f.steps.Show(operation, time.Now())
	return operation, nil
}

func (f *follower) showLogs(ctx context.Context) error {
	for {
		lines, next, err := f.client.ReadLogs(ctx, f.arn, "deployment/"+f.id, f.logToken, logPage)
		if err != nil {
			return err
		}
		for _, line := range lines {
			f.steps.Note("    │ %s", view.Clean(line.Message))
		}
		f.logToken = next
		if len(lines) < logPage {
			return nil
		}
	}
}

// pollInterval asks often at first, when the end of a quick operation is near, and less often in a long one.
func pollInterval(elapsed time.Duration) time.Duration {
	switch {
	case elapsed < time.Second:
		return 25 * time.Millisecond
	case elapsed < 10*time.Second:
		return 100 * time.Millisecond
	case elapsed < time.Minute:
		return 250 * time.Millisecond
	}
	return time.Second
}

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
	failure := failureOf(operation, name, what, view.Width(s.err)-adviceIndent)
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
	return advise(view.Why(operation, name, width), "%s failed: %s", what, view.Cause(operation))
}
