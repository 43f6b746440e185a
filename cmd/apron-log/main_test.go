package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestOnlyTheAppsOwnOutputIsWritten(t *testing.T) {
	for _, c := range []struct{ printed, want string }{
		{"runc create failed: unable to start container process: exec: \"x\": not found\n", ""},
		{"", ""},
		{"r", "stderr r\n"},
		{"one\nrunc create failed: says the app\n", "stderr one\nstderr runc create failed: says the app\n"},
	} {
		log := &rotated{path: filepath.Join(t.TempDir(), "log")}
		log.open()
		copyLines(log, "stderr", pipeOf(t, c.printed))
		if err := log.file.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(log.path)
		if got := regexp.MustCompile(`(?m)^\S+ `).ReplaceAllString(string(content), ""); got != c.want || err != nil {
			t.Errorf("%q was written as %q (%v), want %q", c.printed, got, err, c.want)
		}
	}
}

// A line is written when it is there, also while the app prints nothing more.
func TestAShortLineDoesNotWaitForMore(t *testing.T) {
	log := &rotated{path: filepath.Join(t.TempDir(), "log")}
	log.open()
	reader, writer := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		copyLines(log, "stdout", reader)
	}()
	for _, line := range []string{"hi\n", "there\n"} { // the second is read when the first was written
		if _, err := io.WriteString(writer, line); err != nil {
			t.Fatal(err)
		}
	}
	if content, err := os.ReadFile(log.path); err != nil || !strings.Contains(string(content), " stdout hi\n") {
		t.Errorf("written: %q (%v)", content, err)
	}
	_ = writer.Close()
	<-ended
	if err := log.file.Close(); err != nil {
		t.Fatal(err)
	}
}

func pipeOf(t *testing.T, text string) io.Reader {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	if _, err := io.WriteString(writer, text); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return reader
}
