package sqlite_test

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/store/sqlite"
)

func TestEverythingIsThereAfterOpeningAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apron.db")
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	id := create(t, db, "one")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, path).ServiceByID(t.Context(), id); err != nil {
		t.Errorf("read the service after opening again: %v", err)
	}
}

func TestTheFilesAreReadableByTheirOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "apron.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil { // a mode that somebody widened is narrowed again
		t.Fatal(err)
	}
	db := open(t, path)
	create(t, db, "one")
	seen := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		seen++
		info, err := entry.Info()
		if err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", entry.Name(), info.Mode().Perm())
		}
		return err
	})
	if err != nil || seen < 2 {
		t.Errorf("saw %d files (%v), want the database and its log", seen, err)
	}
}

func TestAPathMayHoldAnyCharacter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b%20c?d#e&f'g.db")
	create(t, open(t, path), "one")
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestADatabaseOfANewerVersionIsRefusedAndLeftAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apron.db")
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	execute(t, path, `INSERT INTO schema_versions (version, name, applied_at) VALUES (9000, 'from the future', 0)`)

	_, err = sqlite.Open(t.Context(), path)
	explained := platform.AsExplained(err)
	if explained == nil || !strings.Contains(explained.Cause, "newer apron (schema 9000") {
		t.Errorf("open: %v, want the sentence about a newer apron", err)
	}
}

func TestACopyIsKeptBeforeTheSchemaChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apron [1].db")
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	id := create(t, db, "one")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	copies := func() []string {
		t.Helper()
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, entry := range entries {
			if strings.Contains(entry.Name(), "before") {
				names = append(names, entry.Name())
			}
		}
		return names
	}
	if got := copies(); len(got) != 0 {
		t.Errorf("a new database has the copies %q", got)
	}
	// As the version before left it, with the copy of an earlier upgrade.
	for _, statement := range []string{
		"ALTER TABLE services DROP COLUMN found", "ALTER TABLE services DROP COLUMN waiting_for",
		"ALTER TABLE services DROP COLUMN considered", "ALTER TABLE services DROP COLUMN webhook",
		"DELETE FROM schema_versions WHERE version = 7",
	} {
		execute(t, path, statement)
	}
	if err := os.WriteFile(path+".before-schema-6", []byte("earlier"), 0o600); err != nil {
		t.Fatal(err)
	}

	if _, err := open(t, path).ServiceByID(t.Context(), id); err != nil {
		t.Errorf("after the migration: %v", err)
	}
	if got := copies(); len(got) != 1 || got[0] != "apron [1].db.before-schema-7" {
		t.Fatalf("the copies are %q", got)
	}
	kept := path + ".before-schema-7"
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v, %v", info, err)
	}
	if _, err := open(t, kept).ServiceByID(t.Context(), id); err != nil { // it is a database, which is migrated in turn
		t.Errorf("in the copy: %v", err)
	}
}

func TestAFileThatIsNoDatabaseIsRefusedAndLeftAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apron.db")
	content := strings.Repeat("this is a letter, not a database\n", 100)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), path)
	if explained := platform.AsExplained(err); explained == nil || !strings.Contains(explained.Cause, "is not a database") {
		t.Errorf("open: %v, want a sentence that it is not a database", err)
	}
	if after, _ := os.ReadFile(path); string(after) != content {
		t.Error("the file was changed")
	}
}

func TestAMissingFolderIsTold(t *testing.T) {
	_, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "none", "apron.db"))
	if explained := platform.AsExplained(err); explained == nil || !strings.Contains(explained.Cause, "folder does not exist") {
		t.Errorf("open: %v, want a sentence about the folder", err)
	}
}

func TestManyMayOpenANewDatabaseAtTheSameTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apron.db")
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			db, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			defer db.Close()
			create(t, db, fmt.Sprintf("service-%d", n))
		})
	}
	group.Wait()
	services, err := open(t, path).ListServices(t.Context(), store.ServicePage{})
	if err != nil || len(services) != 8 {
		t.Errorf("%d services, %v; want 8, no error", len(services), err)
	}
}

// TestWhatWasAcceptedSurvivesAKill lets another process write until it is killed in the middle, and finds everything
// that it had been told was written.
func TestWhatWasAcceptedSurvivesAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apron.db")
	writer := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriteUntilKilled$")
	writer.Env = append(os.Environ(), "APRON_TEST_WRITE_TO="+path)
	output, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	var accepted []platform.ServiceID
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "accepted "); ok {
			accepted = append(accepted, platform.ServiceID(id))
		}
		if len(accepted) == 50 {
			if err := writer.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := writer.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 || len(accepted) < 50 {
		t.Fatalf("the writer ended with %v after %d services, want killed after 50", err, len(accepted))
	}
	db := open(t, path)
	for _, id := range accepted {
		if _, err := db.ServiceByID(t.Context(), id); err != nil {
			t.Errorf("read an accepted service: %v", err)
		}
		if operations, err := db.ListOperations(t.Context(), id, store.OperationPage{}); err != nil || len(operations) != 1 {
			t.Errorf("an accepted service has %d operations, %v; want 1", len(operations), err)
		}
	}
}

// TestWriteUntilKilled is the other process of TestWhatWasAcceptedSurvivesAKill.
func TestWriteUntilKilled(t *testing.T) {
	path := os.Getenv("APRON_TEST_WRITE_TO")
	if path == "" {
		return
	}
	db := open(t, path)
	var group sync.WaitGroup
	for writer := range 8 { // which share transactions
		group.Go(func() {
			for n := range 1_000_000 {
				fmt.Println("accepted", create(t, db, fmt.Sprintf("service-%d-%d", writer, n)))
			}
		})
	}
	group.Wait()
}

func create(t testing.TB, db store.Store, name string) platform.ServiceID {
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

func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func execute(t testing.TB, path, statement string) {
	t.Helper()
	if _, err := raw(t, path).ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
