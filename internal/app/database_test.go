package app

import "testing"

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
