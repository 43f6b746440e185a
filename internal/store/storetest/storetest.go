// Package storetest is the suite that every implementation of store.Store passes. It is linked into tests only.
package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
)

// Run runs the suite. open returns an empty store and closes it when the test that it was given ends.
func Run(t *testing.T, open func(testing.TB) store.Store) {
	for _, group := range []struct {
		name  string
		tests map[string]func(*testing.T, store.Store)
	}{
		{"services", serviceTests},
		{"operations", operationTests},
		{"waiting deployments", waitingTests},
		{"leases", leaseTests},
		{"revisions", revisionTests},
		{"resources", resourceTests},
		{"domains", domainTests},
		{"owner", ownerTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, test := range group.tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, open(t))
				})
			}
		})
	}
	t.Run("properties", func(t *testing.T) { runProperties(t, open) })
}

// epoch is when the tests' services are created: a time with microseconds, in no time zone of this machine.
var epoch = time.Date(2026, 4, 30, 12, 0, 0, 123456000, time.UTC)

// newService returns a service with a value in every member.
func newService(n int) platform.Service {
	id := platform.NewServiceID()
	configuration := platform.DefaultConfiguration()
	configuration.Source = platform.Source{
		Code: &platform.CodeSource{
			RepositoryURL: "https://example.com/täst/repo.git", Branch: "main", Directory: "/app",
			Values: &platform.CodeValues{
				Runtime: "PYTHON_311", BuildCommand: "pip install -r \"requirements.txt\" && true", StartCommand: "python app.py",
				Port:        "8080",
				Environment: map[string]string{"QUOTES": `'"; DROP TABLE services; --`, "LINES": "a\nb", "SIGN": "✓", "NUL": "\x00"},
				Secrets:     map[string]string{"TOKEN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:x"},
			},
		},
		IsAutoDeployed: true,
		ConnectionARN:  "arn:aws:apprunner:us-east-1:000000000000:connection/x/y",
	}
	configuration.AutoScaling.ARN = "arn:aws:apprunner:us-east-1:000000000000:autoscalingconfiguration/x/1/y"
	configuration.Observability = platform.Observability{IsEnabled: true, ARN: "arn:observe"}
	configuration.KMSKey = "arn:aws:kms:us-east-1:000000000000:key/x"
	createdAt := epoch.Add(time.Duration(n) * time.Second)
	return platform.Service{
		ID: id, Name: fmt.Sprintf("service-%d", n), ARN: fmt.Sprintf("arn:service/service-%d/%s", n, id),
		Subdomain: platform.NewSubdomain(), CreatedAt: createdAt, UpdatedAt: createdAt,
		Status: platform.ServiceStatusOperationInProgress, Configuration: configuration,
		Tags:  map[string]string{"team": "a", "apron:build": "dockerfile"},
		Found: "11111111", Considered: platform.Change("00000000", "11111111"), Webhook: "c2VhbGVk",
	}
}

// newOperation returns an operation of service that starts second seconds after epoch.
func newOperation(service platform.Service, kind platform.OperationType, second int) platform.Operation {
	at := epoch.Add(time.Duration(second) * time.Second)
	return platform.Operation{
		ID: platform.NewOperationID(), ServiceID: service.ID, ServiceARN: service.ARN, Type: kind,
		Status: platform.OperationStatusPending, StartedAt: at, UpdatedAt: at,
	}
}

// createService creates the n-th service with its pending operation.
func createService(t testing.TB, db store.Store, n int) (platform.Service, platform.Operation) {
	t.Helper()
	service := newService(n)
	operation := newOperation(service, platform.OperationCreateService, n)
	if err := db.CreateService(t.Context(), service, operation, nil); err != nil {
		t.Fatalf("create service %d: %v", n, err)
	}
	return service, operation
}

// runningService creates the n-th service and brings its creation to a good end, so that it is RUNNING.
func runningService(t testing.TB, db store.Store, n int) platform.Service {
	t.Helper()
	service, operation := createService(t, db, n)
	finish(t, db, claim(t, db, operation.ID), platform.OperationStatusSucceeded, platform.ServiceStatusRunning)
	return readService(t, db, service.ID)
}

// claim claims the one operation that waits and checks that it is id.
func claim(t testing.TB, db store.Store, id platform.OperationID) platform.Operation {
	t.Helper()
	operation, err := db.ClaimOperation(t.Context(), "owner", epoch, epoch.Add(time.Minute))
	if err != nil {
		t.Fatalf("claim operation %s: %v", id, err)
	}
	if operation.ID != id {
		t.Fatalf("claimed operation %s, want %s", operation.ID, id)
	}
	return operation
}

// finish brings a claimed operation to the terminal status and its service to the given one.
func finish(t testing.TB, db store.Store, operation platform.Operation, status platform.OperationStatus, service platform.ServiceStatus) platform.Operation {
	t.Helper()
	for _, next := range pathTo(operation.Status, status) {
		operation.Status = next
		operation.UpdatedAt = operation.UpdatedAt.Add(time.Millisecond)
		var edit func(*platform.Service)
		if next.IsTerminal() {
			endedAt := operation.UpdatedAt
			operation.EndedAt = &endedAt
			edit = func(s *platform.Service) { s.Status, s.UpdatedAt = service, endedAt }
		}
		if err := db.SaveOperation(t.Context(), operation, edit); err != nil {
			t.Fatalf("move operation %s to %s: %v", operation.ID, next, err)
		}
	}
	return operation
}

// allStatuses are all statuses of an operation.
var allStatuses = []platform.OperationStatus{
	platform.OperationStatusPending, platform.OperationStatusInProgress, platform.OperationStatusSucceeded,
	platform.OperationStatusFailed, platform.OperationStatusRollbackInProgress,
	platform.OperationStatusRollbackSucceeded, platform.OperationStatusRollbackFailed,
}

// pathTo returns the shortest way from one status to another, without the first.
func pathTo(from, to platform.OperationStatus) []platform.OperationStatus {
	queue := [][]platform.OperationStatus{{from}}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		last := path[len(path)-1]
		if last == to {
			return path[1:]
		}
		for _, next := range allStatuses {
			if last.CanBecome(next) {
				queue = append(queue, append(append([]platform.OperationStatus{}, path...), next))
			}
		}
	}
	panic(fmt.Sprintf("no way from %s to %s", from, to))
}

func readService(t testing.TB, db store.Store, id platform.ServiceID) platform.Service {
	t.Helper()
	service, err := db.ServiceByID(t.Context(), id)
	if err != nil {
		t.Fatalf("read service: %v", err)
	}
	return service
}

func readOperation(t testing.TB, db store.Store, id platform.OperationID) platform.Operation {
	t.Helper()
	operation, err := db.OperationByID(t.Context(), id)
	if err != nil {
		t.Fatalf("read operation: %v", err)
	}
	return operation
}

func listOperations(t testing.TB, db store.Store, id platform.ServiceID) []platform.Operation {
	t.Helper()
	operations, err := db.ListOperations(t.Context(), id, store.OperationPage{})
	if err != nil {
		t.Fatalf("list operations: %v", err)
	}
	return operations
}

func checkEqual(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
