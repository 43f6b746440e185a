package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

var fromRunning = []platform.ServiceStatus{platform.ServiceStatusRunning}

var operationTests = map[string]func(*testing.T, store.Store){
	"a started operation is pending and its service in progress":         testStart,
	"a start edits the service in its transaction":                       testStartChanges,
	"a start that the status does not allow is told and changes nothing": testStartRefused,
	"an error of change comes back unchanged and nothing is changed":     testChangeFails,
	"what is not there is ErrNotFound": func(t *testing.T, db store.Store) {
		_, byID := db.OperationByID(t.Context(), "none")
		_, _, start := db.StartOperation(t.Context(), newOperation(platform.Service{ID: "none"}, platform.OperationStartDeployment, 1), fromRunning, nil)
		save := db.SaveOperation(t.Context(), platform.Operation{ID: "none"}, nil)
		for what, err := range map[string]error{"by id": byID, "start": start, "save": save} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v, want ErrNotFound", what, err)
			}
		}
		if got := listOperations(t, db, "none"); len(got) != 0 {
			t.Errorf("listed %v", got)
		}
	},
	"a cancel is kept, told to the holder of the lease, and refused once the operation has ended": testCancel,
	"16 starts on one service at the same time: exactly one wins": func(t *testing.T, db store.Store) {
		service := runningService(t, db, 1)
		wins := race(16, func(n int) error {
			_, _, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationStartDeployment, 10+n), fromRunning, nil)
			return err
		}, func(err error) {
			var refused *store.StatusError
			if !errors.As(err, &refused) || refused.Status != platform.ServiceStatusOperationInProgress || !errors.Is(err, store.ErrConflict) {
				t.Errorf("start: %v, want a StatusError of OPERATION_IN_PROGRESS", err)
			}
		})
		if wins != 1 {
			t.Errorf("%d starts won, want 1", wins)
		}
		if got := listOperations(t, db, service.ID); len(got) != 2 {
			t.Errorf("%d operations, want the creation and one more", len(got))
		}
	},
	"16 starts on 16 services at the same time all win": func(t *testing.T, db store.Store) {
		var services []platform.Service
		for n := range 16 {
			services = append(services, runningService(t, db, n))
		}
		wins := race(16, func(n int) error {
			_, _, err := db.StartOperation(t.Context(), newOperation(services[n], platform.OperationStartDeployment, 100), fromRunning, nil)
			return err
		}, func(err error) { t.Error(err) })
		if wins != 16 {
			t.Errorf("%d starts won, want 16", wins)
		}
	},
	"a saved operation reads back as it was":                          testSave,
	"a save moves the operation and its service together, or neither": testSaveTogether,
	"a status moves along its edges only":                             testEdges,
	"a switch that was kept is not taken back": func(t *testing.T, db store.Store) {
		_, operation := createService(t, db, 1)
		operation = claim(t, db, operation.ID)
		operation.Status, operation.Progress.HasSwitched = platform.OperationStatusInProgress, true
		if err := db.SaveOperation(t.Context(), operation, nil); err != nil {
			t.Fatal(err)
		}
		back := operation
		back.Status, back.Progress.HasSwitched = platform.OperationStatusRollbackInProgress, false
		if err := db.SaveOperation(t.Context(), back, nil); !errors.Is(err, store.ErrConflict) {
			t.Errorf("save: %v, want ErrConflict", err)
		}
		checkEqual(t, "operation", readOperation(t, db, operation.ID), operation)
	},
	"a service that says RUNNING over an open operation is refused a second one": func(t *testing.T, db store.Store) {
		service, operation := createService(t, db, 1)
		claimed := claim(t, db, operation.ID)
		claimed.Status = platform.OperationStatusInProgress
		if err := db.SaveOperation(t.Context(), claimed, func(s *platform.Service) { s.Status = platform.ServiceStatusRunning }); err != nil {
			t.Fatal(err)
		}
		_, _, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationStartDeployment, 9), fromRunning, nil)
		if !errors.Is(err, store.ErrConflict) {
			t.Errorf("start: %v, want ErrConflict", err)
		}
	},
	"operations are listed newest first, and by id within one moment": func(t *testing.T, db store.Store) {
		service := runningService(t, db, 0)
		for n := range 20 {
			deploy(t, db, service, 10+n/5)
		}
		want := listOperations(t, db, service.ID)
		isNewestFirst := slices.IsSortedFunc(want, func(a, b platform.Operation) int {
			return -compareOperations(a, b)
		})
		if len(want) != 21 || !isNewestFirst {
			t.Errorf("%d operations, newest first: %v; want 21, true", len(want), isNewestFirst)
		}
		for _, size := range []int{1, 4, 21, 1000} {
			checkEqual(t, fmt.Sprintf("pages of %d", size), pageOperations(t, db, service.ID, size, nil), want)
		}
	},
	"a page of operations is stable while operations start": func(t *testing.T, db store.Store) {
		service := runningService(t, db, 0)
		for n := range 8 {
			deploy(t, db, service, 10+n)
		}
		want := listOperations(t, db, service.ID)
		next := 100
		got := pageOperations(t, db, service.ID, 2, func() {
			deploy(t, db, service, next)
			next++
		})
		checkEqual(t, "operations", got, want)
	},
	"operations of other services are not listed": func(t *testing.T, db store.Store) {
		first, _ := createService(t, db, 1)
		_, operation := createService(t, db, 2)
		for _, listed := range listOperations(t, db, first.ID) {
			if listed.ID == operation.ID {
				t.Error("listed another service's operation")
			}
		}
	},
	"pruning keeps the newest ended operations and every open one": testPrune,
	"a write whose context is over changes nothing": func(t *testing.T, db store.Store) {
		service := runningService(t, db, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := db.StartOperation(ctx, newOperation(service, platform.OperationStartDeployment, 5), fromRunning, nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("start: %v, want context.Canceled", err)
		}
		checkEqual(t, "service", readService(t, db, service.ID), service)
		deploy(t, db, service, 6) // and the store goes on
	},
}

func testStart(t *testing.T, db store.Store) {
	before := runningService(t, db, 1)
	asked := newOperation(before, platform.OperationStartDeployment, 10)
	asked.ServiceARN, asked.Status = "", platform.OperationStatusSucceeded // the store knows better
	service, operation, err := db.StartOperation(t.Context(), asked, fromRunning, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantService := before
	wantService.Status, wantService.UpdatedAt = platform.ServiceStatusOperationInProgress, asked.StartedAt
	wantOperation := asked
	wantOperation.Status, wantOperation.ServiceARN = platform.OperationStatusPending, before.ARN
	wantOperation.Previous = &platform.Before{Status: platform.ServiceStatusRunning, Configuration: before.Configuration}
	checkEqual(t, "service", service, wantService)
	checkEqual(t, "stored service", readService(t, db, before.ID), wantService)
	checkEqual(t, "operation", operation, wantOperation)
	checkEqual(t, "stored operation", readOperation(t, db, asked.ID), wantOperation)
}

func testStartChanges(t *testing.T, db store.Store) {
	before := runningService(t, db, 1)
	service, operation, err := db.StartOperation(t.Context(), newOperation(before, platform.OperationUpdateService, 10), fromRunning,
		func(s *platform.Service) error {
			s.Configuration.Source.Code.Branch = "next"
			s.Configuration.Source.Code.Values.Environment["ADDED"] = "1"
			s.Tags["added"] = "1"
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	checkEqual(t, "stored service", readService(t, db, before.ID), service)
	if branch := service.Configuration.Source.Code.Branch; branch != "next" {
		t.Errorf("branch %q, want next", branch)
	}
	checkEqual(t, "configuration to go back to", operation.Previous.Configuration, before.Configuration)
	checkEqual(t, "stored operation", readOperation(t, db, operation.ID), operation)
}

func testStartRefused(t *testing.T, db store.Store) {
	service, operation := createService(t, db, 1)
	_, _, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationPauseService, 2), fromRunning,
		func(*platform.Service) error { t.Error("change was called"); return nil })
	var refused *store.StatusError
	if !errors.As(err, &refused) || refused.Status != platform.ServiceStatusOperationInProgress {
		t.Errorf("start: %v, want a StatusError of OPERATION_IN_PROGRESS", err)
	}
	checkEqual(t, "service", readService(t, db, service.ID), service)
	checkEqual(t, "operations", listOperations(t, db, service.ID), []platform.Operation{operation})
}

func testChangeFails(t *testing.T, db store.Store) {
	service := runningService(t, db, 1)
	operations := listOperations(t, db, service.ID)
	refusal := errors.New("the configuration is not good")
	_, _, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationUpdateService, 2), fromRunning,
		func(s *platform.Service) error { s.Configuration.KMSKey = "lost"; return refusal })
	if err != refusal { //nolint:errorlint // unchanged is the contract
		t.Errorf("start: %v, want change's own error", err)
	}
	checkEqual(t, "service", readService(t, db, service.ID), service)
	checkEqual(t, "operations", listOperations(t, db, service.ID), operations)
}

func testSave(t *testing.T, db store.Store) {
	_, operation := createService(t, db, 1)
	operation = claim(t, db, operation.ID)
	endedAt := epoch.Add(time.Minute)
	operation.Status, operation.UpdatedAt, operation.EndedAt = platform.OperationStatusFailed, endedAt, &endedAt
	operation.Steps = []platform.StepRecord{
		{Name: "resolve", State: platform.StepStateSucceeded, StartedAt: epoch, EndedAt: &endedAt, Detail: "commit 1a2b3c4"},
		{Name: "build", State: platform.StepStateFailed, StartedAt: epoch},
	}
	operation.Progress = platform.Progress{Commit: "1a2b3c4", ImageReference: "x@sha256:1", RevisionID: "r", HasSwitched: true}
	operation.Failure = &platform.Failure{Step: "build", Cause: "it's \"broken\"", Evidence: []string{"", "line\twith tab", "ünï"}}
	if err := db.SaveOperation(t.Context(), operation, nil); err != nil {
		t.Fatal(err)
	}
	checkEqual(t, "operation", readOperation(t, db, operation.ID), operation)
}

func testSaveTogether(t *testing.T, db store.Store) {
	service, operation := createService(t, db, 1)
	operation = claim(t, db, operation.ID)
	operation.Status = platform.OperationStatusInProgress
	err := db.SaveOperation(t.Context(), operation, func(s *platform.Service) {
		s.ActiveRevisionID, s.IsServing = "revision", true
		s.Configuration.KMSKey = "changed"
	})
	if err != nil {
		t.Fatal(err)
	}
	service.ActiveRevisionID, service.IsServing, service.Configuration.KMSKey = "revision", true, "changed"
	checkEqual(t, "service", readService(t, db, service.ID), service)

	refused := operation
	refused.Status = platform.OperationStatusPending // no way back
	if err := db.SaveOperation(t.Context(), refused, func(s *platform.Service) { s.IsServing = false }); !errors.Is(err, store.ErrConflict) {
		t.Errorf("save: %v, want ErrConflict", err)
	}
	checkEqual(t, "service after a refused save", readService(t, db, service.ID), service)
	checkEqual(t, "operation after a refused save", readOperation(t, db, operation.ID), operation)
}

func testEdges(t *testing.T, db store.Store) {
	n := 0
	for _, from := range allStatuses {
		for _, to := range allStatuses {
			n++
			_, operation := createService(t, db, n)
			operation = finish(t, db, claim(t, db, operation.ID), from, platform.ServiceStatusDeleted)
			before := readOperation(t, db, operation.ID)
			operation.Status, operation.Failure = to, &platform.Failure{Cause: "changed"}
			err := db.SaveOperation(t.Context(), operation, nil)
			if from.CanBecome(to) || from == to && !from.IsTerminal() {
				if err != nil {
					t.Errorf("%s to %s: %v, want no error", from, to, err)
				}
				finish(t, db, operation, finalOf(to), platform.ServiceStatusDeleted)
				continue
			}
			if !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s to %s: %v, want ErrConflict", from, to, err)
			}
			checkEqual(t, "operation after a refused save", readOperation(t, db, operation.ID), before)
			finish(t, db, before, finalOf(from), platform.ServiceStatusDeleted)
		}
	}
}

// finalOf returns a terminal status that can be reached from status.
func finalOf(status platform.OperationStatus) platform.OperationStatus {
	switch {
	case status.IsTerminal():
		return status
	case status == platform.OperationStatusRollbackInProgress:
		return platform.OperationStatusRollbackFailed
	default:
		return platform.OperationStatusFailed
	}
}

func testPrune(t *testing.T, db store.Store) {
	service, other := runningService(t, db, 1), runningService(t, db, 2)
	for n := range 10 {
		deploy(t, db, service, 10+n)
	}
	if _, _, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationPauseService, 5), fromRunning, nil); err != nil {
		t.Fatal(err)
	}
	all := listOperations(t, db, service.ID) // the open one is the second oldest
	if err := db.PruneOperations(t.Context(), service.ID, 4); err != nil {
		t.Fatal(err)
	}
	checkEqual(t, "operations", listOperations(t, db, service.ID), append(slices.Clone(all[:4]), all[10]))
	if got := len(listOperations(t, db, other.ID)); got != 1 {
		t.Errorf("the other service has %d operations, want 1", got)
	}
	if err := db.PruneOperations(t.Context(), "none", 4); err != nil {
		t.Errorf("prune an unknown service: %v, want no error", err)
	}
}

// deploy runs one deployment from start to SUCCEEDED.
func deploy(t testing.TB, db store.Store, service platform.Service, second int) {
	t.Helper()
	_, operation, err := db.StartOperation(t.Context(), newOperation(service, platform.OperationStartDeployment, second), fromRunning, nil)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	finish(t, db, claim(t, db, operation.ID), platform.OperationStatusSucceeded, platform.ServiceStatusRunning)
}

// pageOperations reads all pages of the given size; between, when not nil, runs after each page.
func pageOperations(t testing.TB, db store.Store, service platform.ServiceID, size int, between func()) []platform.Operation {
	t.Helper()
	var all []platform.Operation
	page := store.OperationPage{Limit: size}
	for range 1000 {
		operations, err := db.ListOperations(t.Context(), service, page)
		if err != nil {
			t.Fatalf("list operations: %v", err)
		}
		all = append(all, operations...)
		if len(operations) < size {
			return all
		}
		last := operations[len(operations)-1]
		page.After = &store.OperationCursor{StartedAt: last.StartedAt, ID: last.ID}
		if between != nil {
			between()
		}
	}
	t.Fatal("the pages have no end")
	return nil
}

func compareOperations(a, b platform.Operation) int {
	if c := a.StartedAt.Compare(b.StartedAt); c != 0 {
		return c
	}
	switch {
	case a.ID < b.ID:
		return -1
	case a.ID > b.ID:
		return 1
	}
	return 0
}
