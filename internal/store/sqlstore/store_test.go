package sqlstore_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store/sqlite"
	"github.com/apron-run/apron/internal/store/sqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestListingsWalkAnIndex checks that no page sorts or scans, so that each page costs the same.
func TestListingsWalkAnIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apron.db")
	openAt(t, path)
	for name, query := range sqlstore.PlannedQueries {
		plan := explain(t, path, query)
		if strings.Contains(plan, "SCAN") && !strings.Contains(plan, "INDEX") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s is planned as\n%s", name, plan)
		}
	}
}

// open opens a store of SQLite, which is the one that needs no server.
func open(t testing.TB) *sqlstore.Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "apron.db"))
}

func openAt(t testing.TB, path string) *sqlstore.Store {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func create(t testing.TB, db *sqlstore.Store, name string) platform.ServiceID {
	t.Helper()
	now := time.Now()
	service := platform.Service{
		ID: platform.NewServiceID(), Name: name, Subdomain: platform.NewSubdomain(), CreatedAt: now, UpdatedAt: now,
		Status: platform.ServiceStatusOperationInProgress,
	}
	operation := platform.Operation{
		ID: platform.NewOperationID(), ServiceID: service.ID, Type: platform.OperationCreateService,
		Status: platform.OperationStatusPending, StartedAt: now, UpdatedAt: now,
	}
	if err := db.CreateService(t.Context(), service, operation, nil); err != nil {
		t.Fatalf("create: %v", err)
	}
	return service.ID
}

func explain(t testing.TB, path, query string) string {
	t.Helper()
	var args []any
	for strings.Contains(query, fmt.Sprintf("$%d", len(args)+1)) {
		args = append(args, 1)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&plan, detail)
	}
	return plan.String()
}

func BenchmarkStartOperation(b *testing.B) {
	db := open(b)
	var ids []platform.ServiceID
	for n := range b.N {
		ids = append(ids, create(b, db, fmt.Sprintf("service-%d", n)))
	}
	now := time.Now()
	for range ids {
		operation, err := db.ClaimOperation(b.Context(), "owner", now, now.Add(time.Hour))
		if err != nil {
			b.Fatal(err)
		}
		operation.Status = platform.OperationStatusFailed
		err = db.SaveOperation(b.Context(), operation, func(s *platform.Service) { s.Status = platform.ServiceStatusRunning })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for _, id := range ids {
		operation := platform.Operation{ID: platform.NewOperationID(), ServiceID: id, StartedAt: now, UpdatedAt: now}
		_, _, err := db.StartOperation(b.Context(), operation, []platform.ServiceStatus{platform.ServiceStatusRunning}, nil)
		if err != nil {
			b.Fatal(err)
		}
	}
}
