package app

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

func TestADaemonThatDiesWhileApronStartsIsStartedOnceMore(t *testing.T) {
	t.Parallel()
	away, other := fmt.Errorf("list: %w", platform.ErrUnavailable), errors.New("something else")
	for _, c := range []struct {
		name    string
		fails   []error // of the attempts, one after the other
		ensures int
		want    error
	}{
		{"it lives", nil, 0, nil},
		{"it died", []error{away}, 1, nil},
		{"it dies again and again", []error{away, away, away, away}, ensureAttempts - 1, away},
		{"something else fails", []error{other}, 0, other},
	} {
		ensures, attempts := 0, 0
		err := ensured(t.Context(),
			func(context.Context) error { ensures++; return nil },
			func(context.Context) error {
				attempts++
				if attempts <= len(c.fails) {
					return c.fails[attempts-1]
				}
				return nil
			})
		if !errors.Is(err, c.want) || ensures != c.ensures {
			t.Errorf("%s: %v after %d more starts, want %v after %d", c.name, err, ensures, c.want, c.ensures)
		}
	}
}
