package progress

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
)

// play is an operation whose build takes some time, prints at its beginning and in the middle, and is out of reach meanwhile.
type play struct {
	begun time.Time
	build time.Duration
	lines []string
	lost  func(since time.Duration) bool
}

var errLost = errors.New("nobody answers")

func (p *play) operation(context.Context) (platform.Operation, error) {
	since, ended := time.Since(p.begun), p.begun.Add(p.build)
	if p.lost != nil && p.lost(since) {
		return platform.Operation{}, errLost
	}
	fetched := p.begun.Add(-time.Second)
	operation := platform.Operation{ID: "3f2a", Status: platform.OperationStatusInProgress, Steps: []platform.StepRecord{
		{Name: "fetch", State: platform.StepStateSucceeded, StartedAt: fetched, EndedAt: &fetched},
		{Name: "build", State: platform.StepStateRunning, StartedAt: p.begun},
	}}
	if since >= p.build {
		operation.Status = platform.OperationStatusSucceeded
		operation.Steps[1].State, operation.Steps[1].EndedAt, operation.Steps[1].Detail = platform.StepStateSucceeded, &ended, "12 MB"
	}
	return operation, nil
}

func (p *play) read(_ context.Context, token string, limit int) (lines []Line, next string, err error) {
	due := min(len(p.lines), 1+int(time.Since(p.begun)/(time.Minute)))
	for i := len(token); i < min(due, len(token)+limit); i++ {
		lines = append(lines, Line{p.begun.Add(time.Duration(i) * time.Minute), p.lines[i]})
	}
	return lines, token + strings.Repeat("x", len(lines)), nil
}

func (p *play) follower() Follower {
	return Follower{Operation: p.operation, Lines: p.read, IsLost: func(err error) bool { return errors.Is(err, errLost) }}
}

func TestAnOperationIsToldAsItHappensAndShowsThatItLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &play{begun: time.Now(), build: 100 * time.Second, lines: []string{"[Build] + make", "[Build] \x1b[31mred\x1b[2J"}}
		var told strings.Builder
		operation, err := p.follower().Follow(t.Context(), NewSteps(&told))
		if err != nil || operation.Status != platform.OperationStatusSucceeded {
			t.Errorf("the operation is %v (%v)", operation, err)
		}
		want := `  ✓ fetch               0.0 s
    │ [Build] + make
  … build goes on, for 30.1 s
    │ [Build] red
  … build goes on, for 1 m 30 s
  ✓ build            1 m 40 s  12 MB
`
		if diff := cmp.Diff(want, told.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnApronThatDoesNotAnswerForAWhileIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &play{begun: time.Now(), build: 50 * time.Second, lost: func(since time.Duration) bool { return since > time.Second && since < 45*time.Second }}
		var told strings.Builder
		if _, err := p.follower().Follow(t.Context(), NewSteps(&told)); err != nil {
			t.Error(err)
		}
		if !strings.Contains(told.String(), "… apron does not answer; waiting for it, for 30.") {
			t.Errorf("told\n%s", &told)
		}
		p.lost, p.begun = func(since time.Duration) bool { return since > time.Second }, time.Now()
		if _, err := p.follower().Follow(t.Context(), NewSteps(&told)); !errors.Is(err, errLost) || time.Since(p.begun) > 2*lostTimeout {
			t.Errorf("an apron that is away for good: %v after %v", err, time.Since(p.begun))
		}
	})
}

func TestWhoeverLeavesIsToldNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, leave := context.WithCancelCause(t.Context())
		left := errors.New("left")
		time.AfterFunc(5*time.Second, func() { leave(left) })
		p := &play{begun: time.Now(), build: time.Hour}
		if _, err := p.follower().Follow(ctx, NewSteps(&strings.Builder{})); !errors.Is(err, left) || time.Since(p.begun) > 6*time.Second {
			t.Errorf("the end came after %v: %v", time.Since(p.begun), err)
		}
	})
}
