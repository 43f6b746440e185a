package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store/sqlite"
)

func TestAnApronLeasesInOneNameAndNoOtherInTheSame(t *testing.T) {
	owner := func(database, dataDir string) string {
		t.Helper()
		name, err := Config{Database: database, DataDir: dataDir}.leaseOwner()
		if err != nil || name == "" {
			t.Fatalf("the owner is %q, %v", name, err)
		}
		return name
	}
	const shared = "postgres://apron@db.example/apron"
	one, two := t.TempDir(), t.TempDir()
	if first, again := owner(shared, one), owner(shared, one); first != again {
		t.Errorf("the owner is %q at first and %q at the next start", first, again)
	}
	if first, other := owner(shared, one), owner(shared, two); first == other {
		t.Errorf("two aprons have the owner %q", first)
	}
	if local := owner("", one); local != localOwner {
		t.Errorf("with SQLite the owner is %q", local)
	}
}

func TestNoEmptyDatabaseTakesThePlaceOfOneThatIsGone(t *testing.T) {
	config := Config{DataDir: t.TempDir()}
	db, err := config.openStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if err := os.MkdirAll(filepath.Join(config.DataDir, "logs", "0123456789abcdef0123456789abcdef"), 0o700); err != nil {
		t.Fatal(err)
	}
	if db, err = config.openStore(t.Context()); err != nil {
		t.Fatalf("the database that is there: %v", err)
	}
	db.Close()
	path := filepath.Join(config.DataDir, "apron.db")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := config.openStore(t.Context())
		if refusal := platform.AsExplained(err); refusal == nil || !strings.Contains(refusal.Cause, path+" is gone") {
			t.Fatalf("without its database: %v, want a sentence that says what to do", err)
		}
	}
}

func TestADatabaseOnAServerIsOneAprons(t *testing.T) {
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "apron.db")) // any database will do
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const shared = "postgres://apron@db.example/apron"
	first, second := Config{Database: shared, DataDir: t.TempDir()}, Config{Database: shared, DataDir: t.TempDir()}
	for range 2 {
		if err := first.own(t.Context(), db); err != nil {
			t.Fatal(err)
		}
	}
	self, err := first.self()
	if err != nil {
		t.Fatal(err)
	}
	refusal := platform.AsExplained(second.own(t.Context(), db))
	if refusal == nil || !strings.Contains(refusal.Cause, "--take-database="+self.ID) || !strings.Contains(refusal.Cause, self.Host) {
		t.Fatalf("the second apron: %v, want a sentence that says what to do", refusal)
	}
	second.TakeDatabase = self.ID
	if err := second.own(t.Context(), db); err != nil {
		t.Errorf("the second takes it: %v", err)
	}
	if platform.AsExplained(first.own(t.Context(), db)) == nil {
		t.Error("the first goes on with a database that was taken from it")
	}
	local := Config{DataDir: t.TempDir()}
	if err := local.own(t.Context(), db); err != nil {
		t.Errorf("a database in the data directory: %v", err)
	}
}
