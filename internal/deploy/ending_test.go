package deploy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
)

func TestAnEndIsToldByItsCodeItsSignalOrTheLimitThatWasPassed(t *testing.T) {
	for _, test := range []struct {
		exit      *platform.Exit
		how, what string
	}{
		{nil, "was removed while it was starting", "Deploy again"},
		{&platform.Exit{Code: 0}, "ended by itself without a fault (exit code 0)", "in the foreground"},
		{&platform.Exit{Code: 3}, "ended with exit code 3", "last output"},
		{&platform.Exit{Code: 126}, "may not be executed (exit code 126)", "chmod +x"},
		{&platform.Exit{Code: 127}, "was not found in the image (exit code 127)", "StartCommand"},
		{&platform.Exit{Code: 134}, "crashed with SIGABRT (exit code 134)", "last output"},
		{&platform.Exit{Code: 137}, "was killed by SIGKILL (exit code 137)", "dmesg"},
		{&platform.Exit{Code: 137, IsOutOfMemory: true}, "more than its 512 MB of memory", "InstanceConfiguration.Memory"},
		{&platform.Exit{Code: 139}, "segmentation fault (SIGSEGV) (exit code 139)", "native libraries"},
		{&platform.Exit{Code: 143}, "was ended by SIGTERM (exit code 143)", "who sent it"},
		{&platform.Exit{Code: 255}, "ended with exit code 255", "last output"},
		{&platform.Exit{Code: 137, IsOverStorage: true}, "wrote more than 3 GB", "write less"},
	} {
		end := endOf(test.exit, 512)
		if !strings.Contains(end.how, test.how) || !strings.Contains(end.remedy, test.what) {
			t.Errorf("%+v: got %q with %q, want %q with %q", test.exit, end.how, end.remedy, test.how, test.what)
		}
	}
}

func TestSightingsAreCollapsedAndBounded(t *testing.T) {
	start := time.Now()
	at := func(tenths int) time.Time { return start.Add(time.Duration(tenths) * 100 * time.Millisecond) }
	seen := newSightings(start)
	for tenth := 1; tenth <= 21; tenth++ {
		seen.add(at(tenth), "nothing listens on 10.0.0.2:8080")
	}
	seen.add(at(22), "GET /health answered 503 Service Unavailable")
	want := []string{
		"+0.1 s to +2.1 s, 21 times: nothing listens on 10.0.0.2:8080",
		"+2.2 s: GET /health answered 503 Service Unavailable",
	}
	if diff := cmp.Diff(want, seen.lines()); diff != "" {
		t.Error(diff)
	}
	for flap := range 1000 {
		seen.add(at(30+flap), []string{"good", "bad"}[flap%2])
	}
	lines := seen.lines()
	if len(lines) != firstSightings+1+lastSightings || lines[0] != want[0] || lines[firstSightings] != "… and 987 more changes" ||
		lines[len(lines)-1] != "+102.9 s: bad" {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
}
