package recipe

import (
	"os"
	"strings"
	"testing"
)

func TestTheWorkFolderOfAnInstallationIsItsOwnMemory(t *testing.T) {
	if availableMemory() < enoughMemory {
		t.Skip("this machine has no memory to spare")
	}
	work := t.TempDir()
	command := workCommand(t.Context(), "/bin/sh", []string{"-c", `stat -f -c %T "$TMPDIR"; echo "$1" >"$TMPDIR/file"`, "sh", "text"})
	command.Env = append(os.Environ(), "TMPDIR="+work)
	output, err := command.Output()
	if err != nil || strings.TrimSpace(string(output)) != "tmpfs" {
		t.Fatalf("the folder is on %q, %v", output, err)
	}
	if left, err := os.ReadDir(work); err != nil || len(left) != 0 {
		t.Errorf("outside of the program the folder holds %v, %v", left, err)
	}
}
