package api_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/api"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// awayStore is a store whose database is away.
type awayStore struct{ store.Store }

var errAway = errors.New("dial tcp 10.0.0.7:5432: connection refused")

func (awayStore) ListServices(context.Context, store.ServicePage) ([]platform.Service, error) {
	return nil, errAway
}

func TestAFaultOfTheDatabaseIsToldAndOtherFaultsAreNot(t *testing.T) {
	for fault, want := range map[string]string{
		"apron's database is away.": "apron's database is away. apron's log has the cause under the request id ",
		"":                          "The request failed for a reason inside apron. apron's log has the cause under the request id ",
	} {
		w := newWorld(t, func(config *api.Config) {
			config.Store = awayStore{config.Store.(store.Store)}
			config.StoreFault = func(err error) string {
				if !errors.Is(err, errAway) {
					t.Errorf("asked about %v", err)
				}
				return fault
			}
		})
		answer := w.send("AppRunner.ListServices", "{}", nil)
		if answer.status != 500 || !strings.Contains(answer.body, want) || strings.Contains(answer.body, "10.0.0.7") {
			t.Errorf("status %d: %s", answer.status, answer.body)
		}
	}
}
