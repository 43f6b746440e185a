package progress

import (
	"context"
	"fmt"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// Follower watches one operation.
type Follower struct {
	// Operation reads it.
	Operation func(ctx context.Context) (platform.Operation, error)
	// Lines returns at most limit lines of its log after a token, "" for the first ones, and the token to go on with; nil
	// where the log is not to be shown.
	Lines func(ctx context.Context, token string, limit int) (lines []Line, next string, err error)
	// IsLost says whether an error of theirs may pass by itself. It may for a minute.
	IsLost func(error) bool
}

// Line is something that an operation has printed.
type Line struct {
	At   time.Time
	Text string
}

const (
	// lostTimeout is how long apron may not answer while its operation is watched: it may be restarted meanwhile.
	lostTimeout = time.Minute
	// logPage is how many lines of a log are read at a time.
	logPage = 500
)

// Follow shows the steps of the operation and what it prints, until it is over, however it ended, and returns it then. When
// ctx ends before that, the error is its cause.
func (f Follower) Follow(ctx context.Context, steps *Steps) (platform.Operation, error) {
	defer steps.Done()
	token, begun, answered := "", time.Now(), time.Now()
	for {
		operation, err := f.look(ctx, steps, &token)
		now := time.Now()
		switch {
		case err == nil && operation.Status.IsTerminal():
			return operation, nil
		case ctx.Err() != nil:
			return operation, context.Cause(ctx)
		case err == nil:
			answered = now
		case !f.IsLost(err) || now.Sub(answered) > lostTimeout:
			return operation, fmt.Errorf("watch the operation: %w", err)
		default:
			steps.Waiting("apron does not answer; waiting for it", answered, now)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollInterval(now.Sub(begun))):
		}
	}
}

// look reads the operation once and shows what is new. The log comes after the state, so that the log of an operation
// that is over is complete.
func (f Follower) look(ctx context.Context, steps *Steps, token *string) (platform.Operation, error) {
	operation, err := f.Operation(ctx)
	if err != nil {
		return operation, err
	}
	for f.Lines != nil {
		lines, next, err := f.Lines(ctx, *token, logPage)
		if err != nil {
			return operation, err
		}
		for _, line := range lines {
			steps.showEnded(operation, line.At)
			steps.Output(line.Text, time.Now())
		}
		*token = next
		if len(lines) < logPage {
			break
		}
	}
	steps.Show(operation, time.Now())
	return operation, nil
}

// pollInterval asks often at first, when the end of a quick operation is near. A line is shown soon after it was printed,
// however long the operation runs.
func pollInterval(elapsed time.Duration) time.Duration {
	switch {
	case elapsed < time.Second:
		return 25 * time.Millisecond
	case elapsed < 10*time.Second:
		return 100 * time.Millisecond
	}
	return 150 * time.Millisecond
}
