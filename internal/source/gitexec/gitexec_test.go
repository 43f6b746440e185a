package gitexec_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/source/gitexec"
)

func TestTheMachinesConfigurationIsNotRead(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "apron.fromenvironment")
	t.Setenv("GIT_CONFIG_VALUE_0", "yes")
	t.Setenv("GIT_DIR", "/nonexistent")
	t.Setenv("GIT_SSH_COMMAND", "false")
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[apron]\n\tfromhome = yes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := gitexec.Command(context.Background(), gitexec.Options{}, "config", "--list", "--show-origin").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(output)) {
		if !strings.HasPrefix(line, "command line:") {
			t.Errorf("a setting from elsewhere: %s", line)
		}
	}
	cmd := gitexec.Command(context.Background(), gitexec.Options{})
	for _, variable := range cmd.Env {
		if strings.HasPrefix(variable, "GIT_DIR=") || strings.HasPrefix(variable, "GIT_SSH_COMMAND=") {
			t.Errorf("passed on: %s", variable)
		}
	}
}

func TestMemoryAndFilesAreLimited(t *testing.T) {
	options := gitexec.Options{MaxMemoryBytes: 123 << 20, MaxFileBytes: 45 << 20}
	cmd := gitexec.Command(context.Background(), options, "-c", "alias.limits=!cat /proc/self/limits", "limits")
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Max data size 128974848 128974848", "Max file size 47185920 47185920"} {
		if !strings.Contains(strings.Join(strings.Fields(string(output)), " "), want) {
			t.Errorf("the limits lack %q:\n%s", want, output)
		}
	}
}

func TestATailKeepsTheLastLinesWithoutProgress(t *testing.T) {
	tail := &gitexec.Tail{}
	for _, part := range []string{
		"Receiving objects:  1%\rReceiving objects: 99%\rReceiving objects: 100%, done.\nssh: no", " route\r\n\n", "fatal: the end",
	} {
		if _, err := tail.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"Receiving objects: 100%, done.", "ssh: no route", "fatal: the end"}
	if diff := cmp.Diff(want, tail.Lines()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	for range 1000 {
		tail.Write([]byte(strings.Repeat("x", 10_000) + "\n"))
	}
	lines := tail.Lines()
	if len(lines) != 20 || len(lines[0]) != 1000 {
		t.Errorf("kept %d lines of %d bytes", len(lines), len(lines[0]))
	}
}
