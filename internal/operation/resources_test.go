package operation

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/platform"
)

func (w *world) fillDisk(percent int) { w.set(func() { w.diskUsed = percent }) }

func TestAFullDiskRefusesNewImagesAndTheServiceGoesOn(t *testing.T) {
	for _, test := range []struct {
		name    string
		service platform.Service
		used    int
		refused string
	}{
		{"a build", codeService(), 90, "fetch"},
		{"an image on a disk that refuses builds", imageService(), 94, ""},
		{"an image", imageService(), 95, "pull"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			a := w.start()
			service := w.created(a, test.service)
			w.fillDisk(test.used)
			operation, after := w.do(a, service, platform.OperationStartDeployment, nil)
			if after.Status != platform.ServiceStatusRunning {
				t.Errorf("the service is %s", after.Status)
			}
			if test.refused == "" {
				if operation.Status != platform.OperationStatusSucceeded {
					t.Errorf("%s: %+v", operation.Status, operation.Failure)
				}
				return
			}
			if operation.Status != platform.OperationStatusRollbackSucceeded || operation.Failure == nil ||
				operation.Failure.Step != test.refused || !strings.Contains(operation.Failure.Cause, "% full") {
				t.Errorf("%s: %+v", operation.Status, operation.Failure)
			}
			if after.ActiveRevisionID != service.ActiveRevisionID {
				t.Error("another revision is active")
			}
			w.fillDisk(50)
			if operation, _ := w.do(a, service, platform.OperationStartDeployment, nil); operation.Status != platform.OperationStatusSucceeded {
				t.Errorf("with room again: %s: %+v", operation.Status, operation.Failure)
			}
		})
	}
}

func TestWhatNeedsNoNewImageWorksOnAFullDisk(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	first, err := w.store.RevisionByID(t.Context(), service.ActiveRevisionID)
	if err != nil {
		t.Fatal(err)
	}
	w.fillDisk(100)
	for _, step := range []struct {
		kind   platform.OperationType
		change func(*platform.Service) error
	}{
		{platform.OperationUpdateService, func(s *platform.Service) error { s.Configuration.Instance.CPUUnits = 2048; return nil }},
		{platform.OperationPauseService, nil},
		{platform.OperationResumeService, nil},
	} {
		if operation, _ := w.do(a, service, step.kind, step.change); operation.Status != platform.OperationStatusSucceeded {
			t.Errorf("%s: %s, %+v", step.kind, operation.Status, operation.Failure)
		}
	}
	_, back, err := a.starter.RollBack(t.Context(), service.ID, first)
	if err != nil {
		t.Fatal(err)
	}
	if operation, _ := w.ended(back.ID); operation.Status != platform.OperationStatusSucceeded {
		t.Errorf("rollback: %s, %+v", operation.Status, operation.Failure)
	}
	if operation, _ := w.do(a, service, platform.OperationDeleteService, nil); operation.Status != platform.OperationStatusSucceeded {
		t.Errorf("delete: %s, %+v", operation.Status, operation.Failure)
	}
}

func TestBuildsBeyondTheirNumberWaitAndTellTheirPlace(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	var services []platform.Service
	for i := range 4 {
		service := codeService()
		service.Name = fmt.Sprint("code-", i)
		services = append(services, w.created(a, service))
	}
	w.mu.Lock()
	hold := make(chan struct{})
	w.hold["build"], w.events = hold, nil
	w.mu.Unlock()
	var ids []platform.OperationID
	for _, service := range services {
		ids = append(ids, w.begin(a, service, platform.OperationStartDeployment, nil))
	}
	told := func(place string) func() bool {
		return func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return slices.Contains(w.events, "Waiting for other builds; place "+place+" in the queue.")
		}
	}
	w.eventually("one is told that it is first", told("1"))
	w.eventually("one is told that it is second", told("2"))
	close(hold)
	for _, id := range ids {
		if operation, _ := w.ended(id); operation.Status != platform.OperationStatusSucceeded {
			t.Errorf("%s: %+v", operation.Status, operation.Failure)
		}
	}
}

func TestWhatNobodyOwnsIsSwept(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, codeService())
	w.mu.Lock()
	hold := make(chan struct{})
	w.hold["build"] = hold
	w.mu.Unlock()
	busy := codeService()
	busy.Name = "busy"
	busy, building, err := a.starter.Create(t.Context(), busy, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("it builds", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.calls["build"] == 2
	})
	a.stop()

	own := deploy.ImageName(service.ID, service.ActiveRevisionID)
	making := deploy.ImageName(busy.ID, platform.RevisionIDFor(building.ID))
	lost := []string{deploy.ImageName(service.ID, "lost"), deploy.ImageName("gone", "lost")}
	w.mu.Lock()
	for _, name := range append(lost, making, "buildkit.own/image") {
		w.images[name] = compute.Image{Name: name}
	}
	w.mu.Unlock()
	for _, name := range []string{"unknown", "unknown.partial", ".fetch-1"} {
		if err := os.MkdirAll(filepath.Join(w.sources, name, "deep"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w.start()
	w.eventually("lost images and checkouts go", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		entries, err := os.ReadDir(w.sources)
		return err == nil && len(w.images) == 3 && len(entries) == 2
	})
	w.mu.Lock()
	for _, name := range []string{own, making, "buildkit.own/image"} {
		if _, there := w.images[name]; !there {
			t.Errorf("%s is gone", name)
		}
	}
	if w.calls["sweep"] < 2 {
		t.Errorf("the backend was swept %d times", w.calls["sweep"])
	}
	w.mu.Unlock()
	if _, err := os.Stat(filepath.Join(w.sources, string(building.ID))); err != nil {
		t.Errorf("the checkout of a build that goes on: %v", err)
	}
	close(hold)
	if operation, _ := w.ended(building.ID); operation.Status != platform.OperationStatusSucceeded {
		t.Errorf("%s: %+v", operation.Status, operation.Failure)
	}
}
