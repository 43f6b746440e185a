package app

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

func TestAKeyIsMadeOnceAndNeverReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), secretsFile)
	first, err := ensureKey(path)
	if err != nil || len(first) != 32 {
		t.Fatalf("the key is %d bytes, %v", len(first), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if again, err := ensureKey(path); err != nil || !bytes.Equal(first, again) {
		t.Errorf("the second start has another key, %v", err)
	}
	if err := os.WriteFile(path, first[:31], 0o600); err != nil {
		t.Fatal(err)
	}
	if key, err := ensureKey(path); platform.AsExplained(err) == nil {
		t.Errorf("a key that was cut off is taken or replaced: %d bytes, %v", len(key), err)
	}
	if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, first[:31]) {
		t.Errorf("the file that was cut off was changed: %v", err)
	}
}
