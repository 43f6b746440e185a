package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestAProgramThatWasReplacedIsNotTheOneThatRuns(t *testing.T) {
	program := filepath.Join(t.TempDir(), "apron")
	content, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	put := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(program+".new", content, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(program+".new", program); err != nil {
			t.Fatal(err)
		}
	}
	put(content)
	process := exec.Command(program, "600")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	check := func(when string, want bool) {
		t.Helper()
		if same, err := (Running{PID: process.Process.Pid}).IsRunBy(program); same != want || err != nil {
			t.Errorf("%s: same is %v (%v), want %v", when, same, err, want)
		}
	}
	check("the file is as it was", true)
	put(content)
	check("the file was made again with nothing changed", true)
	changed := append([]byte{}, content...)
	changed[len(changed)-1]++
	put(changed)
	check("the file has changed", false)
	put(append(content, 0))
	check("the file has grown", false)
}
