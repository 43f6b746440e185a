package telemetry

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
)

var epoch = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// writeLines appends lines to path as apron-log does.
func writeLines(t *testing.T, path string, lines ...Line) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintf(file, "%s %s %s\n", line.Time.Format(time.RFC3339Nano), line.Stream, line.Message); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// at is a line of stdout some seconds after epoch.
func at(seconds int, message string) Line {
	return Line{epoch.Add(time.Duration(seconds) * time.Second), "stdout", message}
}

func rotate(t *testing.T, path string) {
	t.Helper()
	os.Rename(path+".1", path+".2")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
}

// read reads a stream and returns its messages.
func read(t *testing.T, logs *Logs, stream, token string, limit int) ([]string, string) {
	t.Helper()
	lines, next, err := logs.Read(t.Context(), service, stream, token, limit)
	if err != nil {
		t.Fatal(err)
	}
	messages := []string{}
	for _, line := range lines {
		messages = append(messages, line.Message)
	}
	return messages, next
}

func expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

func TestReadGivesTimesAndStreams(t *testing.T) {
	logs := NewLogs(t.TempDir())
	want := []Line{{epoch, "stdout", "hello  world "}, {epoch.Add(time.Millisecond), "stderr", ""}}
	path := logs.InstancePath(service, instance)
	writeLines(t, path, want...)
	os.WriteFile(path+".x", nil, 0o600)
	got, _, err := logs.Read(t.Context(), service, "instance/"+string(instance), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadFollowsAcrossRotations(t *testing.T) {
	logs := NewLogs(t.TempDir())
	path, stream := logs.InstancePath(service, instance), "instance/"+string(instance)
	got, token := read(t, logs, stream, "", 10)
	expect(t, "before the first line", got, []string{})

	writeLines(t, path, at(1, "a"), at(2, "b"))
	got, token = read(t, logs, stream, token, 10)
	expect(t, "first lines", got, []string{"a", "b"})

	writeLines(t, path, at(3, "c"))
	rotate(t, path)
	writeLines(t, path, at(4, "d"))
	got, token = read(t, logs, stream, token, 10)
	expect(t, "after one rotation", got, []string{"c", "d"})

	rotate(t, path)
	got, token = read(t, logs, stream, token, 10)
	expect(t, "without a current file", got, []string{})

	writeLines(t, path, at(5, "e"))
	rotate(t, path)
	writeLines(t, path, at(6, "f"))
	got, token = read(t, logs, stream, token, 1)
	expect(t, "one at a time", got, []string{"e"})
	got, token = read(t, logs, stream, token, 1)
	expect(t, "one at a time", got, []string{"f"})
	got, token = read(t, logs, stream, token, 1)
	expect(t, "at the end", got, []string{})

	for _, name := range []string{path, path + ".1", path + ".2"} {
		os.Remove(name)
	}
	writeLines(t, path, at(7, "g"))
	got, _ = read(t, logs, stream, token, 10)
	expect(t, "after all was lost", got, []string{"g"})
}

func TestReadFromStartAndTheTail(t *testing.T) {
	logs := NewLogs(t.TempDir())
	path, stream := logs.InstancePath(service, instance), "instance/"+string(instance)
	writeLines(t, path, at(1, "a"), at(2, "b"))
	rotate(t, path)
	writeLines(t, path, at(3, "c"), at(4, "d"))

	got, token := read(t, logs, stream, FromStart, 3)
	expect(t, "from the start", got, []string{"a", "b", "c"})
	got, _ = read(t, logs, stream, token, 3)
	expect(t, "and on", got, []string{"d"})

	got, token = read(t, logs, stream, "", 3)
	expect(t, "the tail", got, []string{"b", "c", "d"})
	got, _ = read(t, logs, stream, token, 3)
	expect(t, "after the tail", got, []string{})
	expect(t, "last lines", logs.LastLines(service, stream, 3), []string{"b", "c", "d"})
}

func TestReadLeavesAnUnfinishedLineForLater(t *testing.T) {
	logs := NewLogs(t.TempDir())
	path, stream := logs.InstancePath(service, instance), "instance/"+string(instance)
	appendRaw := func(text string) {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	appendRaw("2026-05-01T12:00:00Z stdout hel")
	got, token := read(t, logs, stream, FromStart, 10)
	expect(t, "half a line", got, []string{})
	appendRaw("lo\n2026-05-01T12:00:01Z std")
	got, token = read(t, logs, stream, token, 10)
	expect(t, "one and a half", got, []string{"hello"})
	appendRaw("err oops\nno time at all\n")
	got, _ = read(t, logs, stream, token, 10)
	expect(t, "the rest", got, []string{"oops", "no time at all"})
}

func TestApplicationMergesInstancesByTime(t *testing.T) {
	logs := NewLogs(t.TempDir())
	first, second := logs.InstancePath(service, "aa"), logs.InstancePath(service, "bb")
	writeLines(t, first, at(1, "a1"), at(4, "a4"))
	writeLines(t, second, at(2, "b2"), at(3, "b3"), at(5, "b5"))

	got, token := read(t, logs, "application", FromStart, 3)
	expect(t, "first page", got, []string{"a1", "b2", "b3"})
	got, token = read(t, logs, "application", token, 3)
	expect(t, "second page", got, []string{"a4", "b5"})

	writeLines(t, logs.InstancePath(service, "cc"), at(6, "c6"))
	writeLines(t, first, at(7, "a7"))
	got, token = read(t, logs, "application", token, 3)
	expect(t, "with a new instance", got, []string{"c6", "a7"})
	os.Remove(second)
	got, _ = read(t, logs, "application", token, 3)
	expect(t, "with one gone", got, []string{})

	got, token = read(t, logs, "application", "", 2)
	expect(t, "the tail", got, []string{"c6", "a7"})
	got, _ = read(t, logs, "application", token, 9)
	expect(t, "older lines do not come after the tail", got, []string{})
}

func TestApplicationKeepsTheOrderOfAnInstanceWhoseClockWentBack(t *testing.T) {
	logs := NewLogs(t.TempDir())
	writeLines(t, logs.InstancePath(service, "aa"), at(5, "a5"), at(1, "a1"), at(6, "a6"))
	writeLines(t, logs.InstancePath(service, "bb"), at(3, "b3"), at(7, "b7"))
	got, _ := read(t, logs, "application", FromStart, 10)
	expect(t, "order", got, []string{"b3", "a5", "a1", "a6", "b7"})
}

func TestReadRefusesForeignTokens(t *testing.T) {
	logs := NewLogs(t.TempDir())
	for _, token := range []string{"x", "e30=", "bm90IGpzb24", strings.Repeat("A", 200_000)} {
		if _, _, err := logs.Read(t.Context(), service, "events", token, 1); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("token %.20q: %v", token, err)
		}
	}
	logs.Event(service, "hello")
	forged := formatToken(map[string]position{"": {File: "zz", Offset: -5}, "../../x": {Offset: 1 << 60}})
	got, _ := read(t, logs, "events", forged, 1)
	expect(t, "a token of another log", got, []string{"[AppRunner] hello"})
}

func TestReadBoundsItsAnswer(t *testing.T) {
	logs := NewLogs(t.TempDir())
	path := logs.InstancePath(service, instance)
	lines := make([]Line, maxReadLines+10)
	for i := range lines {
		lines[i] = at(i, "x")
	}
	writeLines(t, path, lines...)
	got, _ := read(t, logs, "instance/"+string(instance), FromStart, 1<<30)
	if len(got) != maxReadLines {
		t.Errorf("%d lines", len(got))
	}
	if got, _ := read(t, logs, "instance/"+string(instance), FromStart, 0); len(got) != defaultReadLines {
		t.Errorf("%d lines without a limit", len(got))
	}
	if got := logs.LastLines(service, "instance/"+string(instance), len(lines)); len(got) != len(lines) {
		t.Errorf("%d last lines", len(got))
	}
}

func TestAStreamThatIsNotThereHasNoLines(t *testing.T) {
	logs := NewLogs(t.TempDir())
	if got := logs.LastLines(service, "instance/"+string(platform.NewInstanceID()), 5); len(got) != 0 {
		t.Errorf("an instance without a log said %q", got)
	}
	if got := logs.LastLines(service, "nonsense", 5); got != nil {
		t.Errorf("no stream said %q", got)
	}
}
