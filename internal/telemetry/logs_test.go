package telemetry

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
)

const (
	service   = platform.ServiceID("8fe1e10304f84fd2b0df550fe98a71fa")
	operation = platform.OperationID("f601a8ada74a4681a11b9b113fdd2aa3")
	instance  = platform.InstanceID("0123456789abcdef0123456789abcdef")
)

func TestEventsKeepTheirOrderAndPrefix(t *testing.T) {
	logs := NewLogs(t.TempDir())
	logs.Event(service, "Service status is set to %s.", "RUNNING")
	logs.Event(service, "two\nlines")
	want := []string{"[AppRunner] Service status is set to RUNNING.", "[AppRunner] two lines"}
	if diff := cmp.Diff(want, logs.LastLines(service, "events", 10)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[1:], logs.LastLines(service, "events", 1)); diff != "" {
		t.Error(diff)
	}
}

func TestEventsAreRotatedAndTheOldestForgotten(t *testing.T) {
	dir := t.TempDir()
	logs := NewLogs(dir)
	long := strings.Repeat("x", 60<<10)
	for i := range 100 {
		logs.Event(service, "%d %s", i, long)
	}
	total := int64(0)
	files, _ := filepath.Glob(filepath.Join(dir, string(service), "events.log*"))
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if len(files) != 1+maxEventsFiles || total > (1+maxEventsFiles)*maxEventsBytes {
		t.Errorf("%d files with %d bytes are left", len(files), total)
	}
	if last := logs.LastLines(service, "events", 40); len(last) != 40 || !strings.HasPrefix(last[39], "[AppRunner] 99 ") ||
		!strings.HasPrefix(last[0], "[AppRunner] 60 ") {
		t.Errorf("the last 40 lines are %d, from %.20s to %.20s", len(last), last[0], last[len(last)-1])
	}
}

func TestDeploymentCutsWritesIntoLines(t *testing.T) {
	logs := NewLogs(t.TempDir())
	log := logs.Deployment(service, operation)
	for _, part := range []string{"one\ntw", "o\r\n10 %\r20 %\r30 %\n", "", "\nlast"} {
		if n, err := io.WriteString(log, part); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Errorf("a second Close says %v", err)
	}
	if _, err := io.WriteString(log, "x"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a write after Close says %v", err)
	}
	want := []string{"one", "two", "30 %", "", "last"}
	if diff := cmp.Diff(want, logs.LastLines(service, "deployment/"+string(operation), 100)); diff != "" {
		t.Error(diff)
	}
}

func TestDeploymentMayBeOpenTwice(t *testing.T) {
	logs := NewLogs(t.TempDir())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			log := logs.Deployment(service, operation)
			defer log.Close()
			for i := range 100 {
				fmt.Fprintf(log, "writer %d line %d\n", w, i)
			}
		})
	}
	writers.Wait()
	lines := logs.LastLines(service, "deployment/"+string(operation), 1000)
	if len(lines) != 400 {
		t.Fatalf("%d lines are there", len(lines))
	}
	next := [4]int{}
	for _, line := range lines {
		var w, i int
		if _, err := fmt.Sscanf(line, "writer %d line %d", &w, &i); err != nil || next[w] != i {
			t.Fatalf("line %q: writer %d should be at %d (%v)", line, w, next[w], err)
		}
		next[w]++
	}
	if len(logs.open) != 0 {
		t.Error("a log is still open")
	}
}

func TestDeploymentBeyondItsBoundKeepsItsEnd(t *testing.T) {
	logs := NewLogs(t.TempDir())
	log := logs.Deployment(service, operation)
	chunk := strings.Repeat("noise and more noise\n", 1000)
	for range 1000 {
		io.WriteString(log, chunk)
	}
	io.WriteString(log, "error: the reason\n")
	log.Close()
	log = logs.Deployment(service, operation)
	io.WriteString(log, "Failed to build.\n")
	log.Close()

	lines := logs.LastLines(service, "deployment/"+string(operation), 2)
	if diff := cmp.Diff([]string{"error: the reason", "Failed to build."}, lines); diff != "" {
		t.Error(diff)
	}
	all := logs.LastLines(service, "deployment/"+string(operation), 1_000_000)
	notes := 0
	for _, line := range all {
		if strings.HasPrefix(line, "[apron] The output was cut at 10 MB; ") {
			notes++
		}
	}
	if notes != 1 {
		t.Errorf("%d lines say that the log was cut", notes)
	}
	path, _ := logs.deploymentPath(service, operation)
	if info, err := os.Stat(path); err != nil || info.Size() > hardMaxDeploymentBytes {
		t.Errorf("the log has %d bytes (%v)", info.Size(), err)
	}
}

func TestDeploymentNeverPassesTheHardBound(t *testing.T) {
	logs := NewLogs(t.TempDir())
	path, _ := logs.deploymentPath(service, operation)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, hardMaxDeploymentBytes-10), 0o600); err != nil {
		t.Fatal(err)
	}
	log := logs.Deployment(service, operation)
	io.WriteString(log, "one more\n")
	log.Close()
	if info, err := os.Stat(path); err != nil || info.Size() > hardMaxDeploymentBytes {
		t.Errorf("the log has %d bytes (%v)", info.Size(), err)
	}
}

func TestDeploymentCutsALineWithoutEnd(t *testing.T) {
	logs := NewLogs(t.TempDir())
	log := logs.Deployment(service, operation)
	io.WriteString(log, strings.Repeat("y", 3*maxLineBytes+5))
	log.Close()
	lines := logs.LastLines(service, "deployment/"+string(operation), 100)
	for _, line := range lines {
		if len(line) > maxLineBytes {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if joined := strings.Join(lines, ""); len(joined) < 3*maxLineBytes+5 {
		t.Errorf("only %d bytes are there", len(joined))
	}
}

func TestOldDeploymentLogsArePruned(t *testing.T) {
	logs := NewLogs(t.TempDir())
	for i := range maxDeploymentLogs + 20 {
		id := platform.OperationID(fmt.Sprintf("%032d", i))
		log := logs.Deployment(service, id)
		io.WriteString(log, "hello\n")
		log.Close()
		path, _ := logs.deploymentPath(service, id)
		at := time.Now().Add(time.Duration(i-1000) * time.Minute)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	path, _ := logs.deploymentPath(service, operation)
	left, _ := os.ReadDir(filepath.Dir(path))
	if len(left) != maxDeploymentLogs || left[0].Name() != fmt.Sprintf("%032d.log", 20) {
		t.Errorf("%d are left, the oldest is %s", len(left), left[0].Name())
	}
}

func TestQuietInstanceLogsArePrunedAndRecentOnesNot(t *testing.T) {
	logs := NewLogs(t.TempDir())
	dir := filepath.Dir(logs.InstancePath(service, instance))
	for i := range maxInstanceLogs + 10 {
		path := filepath.Join(dir, fmt.Sprintf("%032d.log", i))
		for _, name := range []string{path, path + ".1"} {
			if err := os.WriteFile(name, []byte("x\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if i < 5 {
			at := time.Now().Add(-48 * time.Hour)
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	logs.InstancePath(service, instance)
	left, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	rotated, _ := filepath.Glob(filepath.Join(dir, "*.log.1"))
	if len(left) != maxInstanceLogs+5 || len(rotated) != maxInstanceLogs+5 {
		t.Errorf("%d logs and %d rotated ones are left", len(left), len(rotated))
	}
}

func TestLargeLogsOfInstancesThatEndedAreBoundedTogether(t *testing.T) {
	logs := NewLogs(t.TempDir())
	dir := filepath.Dir(logs.InstancePath(service, instance))
	const each = 30 << 20
	// A service that ended 100 times today, each time with as much output as is kept.
	for i := range 100 {
		path, at := filepath.Join(dir, fmt.Sprintf("%032d.log", i)), time.Now().Add(time.Duration(i-100)*time.Minute)
		for _, name := range []string{path, path + ".1", path + ".2"} {
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Truncate(name, each/3), os.Chtimes(name, at, at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// One that runs and has little to say.
	quiet, at := filepath.Join(dir, "quiet.log"), time.Now().Add(-20*time.Hour)
	if err := errors.Join(os.WriteFile(quiet, []byte("begun\n"), 0o600), os.Chtimes(quiet, at, at)); err != nil {
		t.Fatal(err)
	}
	logs.InstancePath(service, instance)
	left, _ := filepath.Glob(filepath.Join(dir, "*.log*"))
	if got := int64(len(left)-1) * each / 3; got > maxInstanceBytes || got < maxInstanceBytes-2*each {
		t.Errorf("%d bytes are left, the bound is %d", got, maxInstanceBytes)
	}
	for _, path := range []string{quiet, filepath.Join(dir, fmt.Sprintf("%032d.log.2", 99))} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestIDsNeverLeaveTheFolder(t *testing.T) {
	dir := t.TempDir()
	logs := NewLogs(filepath.Join(dir, "logs"))
	for _, id := range []string{"", "..", "../x", "a/b", "a.b", "-x", "a\x00", strings.Repeat("a", 65), "ä"} {
		logs.Event(platform.ServiceID(id), "x")
		logs.RemoveService(platform.ServiceID(id))
		if path := logs.InstancePath(service, platform.InstanceID(id)); path != "" {
			t.Errorf("instance %q has the path %s", id, path)
		}
		log := logs.Deployment(service, platform.OperationID(id))
		io.WriteString(log, "x\n")
		log.Close()
		for _, stream := range []string{id, "deployment/" + id, "instance/" + id} {
			if _, _, err := logs.Read(t.Context(), service, stream, "", 0); !errors.Is(err, ErrInvalidStream) {
				t.Errorf("stream %q: %v", stream, err)
			}
		}
		if _, _, err := logs.Read(t.Context(), platform.ServiceID(id), "application", "", 0); !errors.Is(err, ErrInvalidStream) {
			t.Errorf("service %q: %v", id, err)
		}
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 0 {
		t.Errorf("%s was made", left[0].Name())
	}
}

func TestRemoveServiceRemovesAllOfIt(t *testing.T) {
	dir := t.TempDir()
	logs := NewLogs(dir)
	other := platform.ServiceID("b")
	logs.Event(service, "x")
	logs.Event(other, "y")
	logs.InstancePath(service, instance)
	logs.RemoveService(service)
	logs.RemoveService(service)
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != string(other) {
		t.Errorf("left is %v (%v)", left, err)
	}
}
