package telemetry

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// accessFile writes an access log.
type accessFile struct {
	t    *testing.T
	path string
	at   time.Time
}

func (f *accessFile) add(text string) {
	f.t.Helper()
	if err := appendRotating(f.path, []byte(text), 1<<30, 1); err != nil {
		f.t.Fatal(err)
	}
}

// line adds the line of a request.
func (f *accessFile) line(service, path string) {
	f.t.Helper()
	f.at = f.at.Add(time.Millisecond)
	f.add(fmt.Sprintf(`{"time":%q,"service_id":%q,"path":%q}`+"\n", f.at.Format("2006-01-02T15:04:05.000000Z"), service, path))
}

func TestTheAccessLogIsReadByService(t *testing.T) {
	const shop, other = "aaaa", "bbbb"
	file := &accessFile{t: t, path: filepath.Join(t.TempDir(), "access.log"), at: time.Date(2026, 11, 26, 7, 0, 0, 0, time.UTC)}
	logs := NewLogs(t.TempDir()).WithAccess(file.path)
	read := func(token string, limit int) (paths, next string) {
		t.Helper()
		lines, next, err := logs.Read(t.Context(), shop, "access", token, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if line.Time.IsZero() || line.Stream != "access" {
				t.Errorf("a line is %+v", line)
			}
			_, path, _ := strings.Cut(line.Message, `"path":"`)
			paths += strings.TrimSuffix(path, `"}`) + " "
		}
		return paths, next
	}
	want := func(what, got, wanted string) {
		t.Helper()
		if got != wanted {
			t.Errorf("%s: %q, want %q", what, got, wanted)
		}
	}
	got, next := read("", 10)
	want("without a file", got, "")
	file.line(shop, "/1")
	file.line(other, "/no")
	got, next = read(next, 10)
	want("the first", got, "/1 ")
	file.line(other, `/","service_id":"aaaa"`)
	file.add("not a line\n\n")
	for i := 2; i <= 9; i++ {
		file.line(shop, fmt.Sprint("/", i))
	}
	got, next = read(next, 3)
	want("the next three", got, "/2 /3 /4 ")
	got, last := read("", 2)
	want("the last two", got, "/8 /9 ")
	got, _ = read(FromStart, 2)
	want("the first two", got, "/1 /2 ")
	if err := os.Rename(file.path, rotated(file.path, 1)); err != nil {
		t.Fatal(err)
	}
	file.line(other, "/no")
	file.line(shop, "/10")
	got, next = read(next, 100)
	want("across a rotation", got, "/5 /6 /7 /8 /9 /10 ")
	got, last = read(last, 100)
	want("after the last ones", got, "/10 ")
	got, _ = read("", 3)
	want("the last three, of two files", got, "/8 /9 /10 ")
	for range 50 {
		file.line(other, "/no")
	}
	file.add(`{"time":"2026-11-26T07:00:01.000000Z","service_id":"aaaa","pa`) // is being written
	if got, again := read(next, 100); got != "" || again == next {
		t.Errorf("of others' lines came %q, and the token has not gone on: %v", got, again == next)
	}
	file.add(`th":"/11"}` + "\n")
	file.add(`{"time":"2026-11-26T07:00:02.000000Z","lost":5,"problem":"","path":"lost"}` + "\n")
	got, _ = read(last, 100)
	want("at the end", got, "/11 lost ")
	if _, _, err := logs.Read(t.Context(), "../x", "access", "", 1); err == nil {
		t.Error("a service id that is none was taken")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if lines, _, err := NewLogs(t.TempDir()).Read(ended, "aaaa", "access", "", 1); err == nil {
		t.Errorf("without an access log there is %v", cmp.Diff(nil, lines))
	}
}

func BenchmarkReadAccess(b *testing.B) {
	path := filepath.Join(b.TempDir(), "access.log")
	line := strings.Repeat(`{"time":"2026-11-26T07:00:00.000000Z","service_id":"bbbb","path":"`+strings.Repeat("x", 330)+`"}`+"\n", 1000)
	for range 130 {
		if err := appendRotating(path, []byte(line), 1<<30, 1); err != nil {
			b.Fatal(err)
		}
	}
	logs := NewLogs(b.TempDir()).WithAccess(path)
	for b.Loop() {
		if _, _, err := logs.Read(b.Context(), "aaaa", "access", "", 100); err != nil {
			b.Fatal(err)
		}
	}
}
