package watch

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
)

func service(id platform.ServiceID, isAutoDeployed bool) platform.Service {
	service := platform.Service{ID: id}
	service.Configuration.Source.IsAutoDeployed = isAutoDeployed
	return service
}

func all(context.Context) ([]platform.Service, error) {
	return []platform.Service{service("automatic", true), service("other", true), service("by hand", false)}, nil
}

func isNotOther(service platform.Service) bool { return service.ID != "other" }

func TestTheServicesWithAutomaticDeploymentsAreAskedFor(t *testing.T) {
	asked := map[platform.ServiceID]platform.Trigger{}
	watch := Watch{Services: all, Ask: func(_ context.Context, id platform.ServiceID, wish platform.Wish) error {
		asked[id] = wish.Trigger
		return nil
	}}
	watch.Changed(t.Context(), "push of main", isNotOther)
	if diff := cmp.Diff(map[platform.ServiceID]platform.Trigger{"automatic": "push of main"}, asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

func TestAStoreThatDoesNotAnswerIsAskedAgain(t *testing.T) {
	for _, test := range []struct {
		name      string
		away      time.Duration
		wantAsked bool
	}{{"it comes back", 10 * time.Second, true}, {"it stays away", time.Hour, false}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun, isAsked := time.Now(), false
				var logged strings.Builder
				watch := Watch{Services: all, Log: slog.New(slog.NewTextHandler(&logged, nil)), Ask: func(context.Context, platform.ServiceID, platform.Wish) error {
					if time.Since(begun) < test.away {
						return errors.New("the database is away")
					}
					isAsked = true
					return nil
				}}
				watch.Changed(t.Context(), "push of main", isNotOther)
				if isAsked != test.wantAsked || strings.Contains(logged.String(), "is not deployed") == test.wantAsked {
					t.Errorf("asked: %v, logged: %s", isAsked, logged.String())
				}
				if took := time.Since(begun); took > patience {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}
