package telemetry

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestTheProgramsLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "serve.log")
	log := NewProgramLog(path)
	line := append(bytes.Repeat([]byte("x"), 1<<20-1), '\n')
	for range 45 {
		if n, err := log.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	files, _ := filepath.Glob(path + "*")
	if len(files) != 1+maxProgramLogFiles {
		t.Errorf("the files are %q", files)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Size() > maxProgramLogBytes || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has %d bytes and mode %v (%v)", file, info.Size(), info.Mode(), err)
		}
	}
}
