package operation

import (
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

func TestAServiceGoesBackToAnEarlierRevision(t *testing.T) {
	for name, service := range map[string]platform.Service{"from code": codeService(), "from an image": imageService()} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.start()
			service := w.created(a, service)
			first, err := w.store.RevisionByID(t.Context(), service.ActiveRevisionID)
			if err != nil {
				t.Fatal(err)
			}
			_, service = w.do(a, service, platform.OperationUpdateService, func(s *platform.Service) error {
				s.Configuration.Instance.CPUUnits = 2048
				if code := s.Configuration.Source.Code; code != nil {
					code.Branch = "next"
				} else {
					s.Configuration.Source.Image.Identifier = "registry.test/app:next"
				}
				return nil
			})
			w.mu.Lock()
			builds, pulls := w.calls["build"], w.calls["pull"]
			w.mu.Unlock()

			_, operation, err := a.starter.RollBack(t.Context(), service.ID, first)
			if err != nil {
				t.Fatal(err)
			}
			ended, after := w.ended(operation.ID)
			if ended.Status != platform.OperationStatusSucceeded || ended.Type != platform.OperationUpdateService {
				t.Fatalf("%s %s: %+v", ended.Type, ended.Status, ended.Failure)
			}
			if got, want := stepNames(ended), "reuse image, start instances, health check, switch traffic, drain, stop instances"; got != want {
				t.Errorf("steps: got %s, want %s", got, want)
			}
			second, err := w.store.RevisionByID(t.Context(), after.ActiveRevisionID)
			if err != nil || second.ID == first.ID || second.Number <= first.Number || second.Image != first.Image || second.ImageDigest != first.ImageDigest {
				t.Errorf("the revision is %+v (%v), the one gone back to %+v", second, err, first)
			}
			if after.Configuration.Instance.CPUUnits != first.Configuration.Instance.CPUUnits {
				t.Errorf("the service has %d CPU units", after.Configuration.Instance.CPUUnits)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.calls["build"] != builds || w.calls["pull"] != pulls {
				t.Error("the rollback has built or pulled")
			}
		})
	}
}
