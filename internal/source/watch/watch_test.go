package watch

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const (
	first  = "1111111111111111111111111111111111111111"
	second = "2222222222222222222222222222222222222222"
	third  = "3333333333333333333333333333333333333333"
)

// pushed is news of a push to apron's own server.
func pushed(commit string) News { return News{Trigger: "push of main", Found: commit} }

func isNotOther(service platform.Service) bool { return service.ID != "other" }

func TestTheServicesWithAutomaticDeploymentsAreAskedFor(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.add("automatic", first, nil)
		w.add("by hand", first, func(service *platform.Service) { service.Configuration.Source.IsAutoDeployed = false })
		w.add("other", first, nil)
		w.Changed(w.Context(), pushed(second), isNotOther)
		w.wantAsked("automatic: push of main")
	})
}

func TestNothingIsDeployedTwice(t *testing.T) {
	for _, test := range []struct {
		name string
		is   func(*platform.Service)
		want bool
	}{
		{"the service has another", nil, true},
		{"it has never been deployed", func(s *platform.Service) {
			s.Status, s.Found, s.ActiveRevisionID = platform.ServiceStatusCreateFailed, "", ""
		}, true},
		{"the service has it", func(s *platform.Service) { s.Found, s.ActiveRevisionID = second, second }, false},
		{"it serves it since a deployment of another failed", func(s *platform.Service) { s.Found, s.ActiveRevisionID = third, second }, false},
		{"it was deployed and failed", func(s *platform.Service) { s.Found = second }, false},
		{"somebody went back from it", func(s *platform.Service) { s.Found, s.ActiveRevisionID = second, first }, false},
		{"it is being deployed", func(s *platform.Service) { s.Found, s.Status = second, platform.ServiceStatusOperationInProgress }, false},
		{"another one is being deployed over it", func(s *platform.Service) {
			s.Found, s.ActiveRevisionID, s.Status = third, second, platform.ServiceStatusOperationInProgress
		}, true},
		{"what is being deployed is not known yet", func(s *platform.Service) { s.Status = platform.ServiceStatusOperationInProgress }, true},
		{"it was asked for, and failed before it began", func(s *platform.Service) { s.Considered = platform.Change(first, second) }, false},
		{"it was asked for from elsewhere", func(s *platform.Service) { s.Considered = platform.Change(third, second) }, true},
		{"the service is paused", func(s *platform.Service) { s.Status = platform.ServiceStatusPaused }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, 0, func(w *world) {
				w.add("app", first, test.is)
				w.Changed(w.Context(), pushed(second), isNotOther)
				if test.want {
					w.wantAsked("app: push of main")
					w.Changed(w.Context(), pushed(second), isNotOther) // and once is enough
				}
				w.wantAsked()
			})
		})
	}
}

func TestAPushThatIsTakenBackLeavesNothingWaiting(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		app := w.add("app", first, func(service *platform.Service) { service.Status = platform.ServiceStatusOperationInProgress })
		w.Changed(w.Context(), pushed(second), isNotOther)
		w.Changed(w.Context(), pushed(first), isNotOther)
		w.wantAsked("app: push of main", "app: push of main")
		if waits := w.services[app].WaitingTrigger; waits != "" {
			t.Errorf("%q waits", waits)
		}
	})
}

func TestAPushThatTouchesNothingInTheSourceDirectoryIsNotDeployed(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		in := func(folder string) func(*platform.Service) {
			return func(service *platform.Service) { service.Configuration.Source.Code.Directory = folder }
		}
		w.add("web", first, in("/web"))
		w.add("worker", first, in("/worker"))
		w.unchanged["/web "+platform.Change(first, second)] = true
		w.unchanged["/web "+platform.Change(first, third)] = true
		for range 2 {
			w.Changed(w.Context(), pushed(second), isNotOther)
		}
		w.wantAsked("worker: push of main")
		w.wantEvents("web: Nothing was deployed (push of main), because nothing has changed in /web.")

		// It is compared with what serves, and with what was looked at last.
		w.deploy("worker", true)
		w.Changed(w.Context(), pushed(third), isNotOther)
		w.wantAsked("worker: push of main")
		w.wantEvents("web: Nothing was deployed (push of main), because nothing has changed in /web.")
	})
}

func TestADeletedBranchIsToldOnceAndDeploysNothing(t *testing.T) {
	inWorld(t, 0, func(w *world) {
		w.add("app", first, nil)
		for range 2 {
			w.Changed(w.Context(), News{Trigger: "deletion of main"}, isNotOther)
		}
		w.wantAsked()
		w.wantEvents("app: Nothing is deployed, and the service goes on as it is (deletion of main).")
		w.Changed(w.Context(), pushed(second), isNotOther)
		w.wantAsked("app: push of main")
		w.wantEvents("app: The source can be read again, and automatic deployments go on.")
	})
}

func TestAStoreThatDoesNotAnswerIsAskedAgain(t *testing.T) {
	for _, test := range []struct {
		name      string
		away      time.Duration
		wantAsked bool
	}{{"it comes back", 10 * time.Second, true}, {"it stays away", time.Hour, false}} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, 0, func(w *world) {
				w.add("app", first, nil)
				var logged strings.Builder
				w.config.Log = slog.New(slog.NewTextHandler(&logged, nil))
				w.storeFault = errors.New("the database is away")
				back := time.AfterFunc(test.away, func() { w.set(func() { w.storeFault = nil }) })
				defer back.Stop()
				begun := time.Now()
				w.Changed(w.Context(), pushed(second), isNotOther)
				if isAsked := len(w.asked) > 0; isAsked != test.wantAsked || strings.Contains(logged.String(), "is not deployed") == test.wantAsked {
					t.Errorf("asked: %v, logged: %s", isAsked, logged.String())
				}
				if took := time.Since(begun); took > patience {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}
