package dataplane

import (
	"os"
	"path/filepath"
	"testing"
)

// A data plane that has no descriptor left to look for others was taken for the only one, for good, and froze what another one used.
func TestADataPlaneThatCannotLookForOthersIsNotAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]bool{file: false, t.TempDir(): true, filepath.Join(t.TempDir(), "none"): true} {
		if got := isAlone(t.Context(), filepath.Join(folder, "proxy.sock")); got != want {
			t.Errorf("in %s it is alone: %v", folder, got)
		}
	}
}
