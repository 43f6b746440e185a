// Package crash ends apron by SIGKILL at every point of every operation and compares what the next start makes of it with a
// run that nothing has interrupted.
//
// The points are not written down here: the uninterrupted run tells those that it passes, so that a new step is part of the
// matrix by itself. `make test` kills at each point once, in one of the scenarios that pass it; `make crash` in all of them. It needs
// the program that `make build-failpoint` builds.
package crash

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/failpoint"
	"github.com/apron-run/apron/internal/operation"
	"github.com/apron-run/apron/test/apron"
)

// parallel is how many aprons there are at a time. They wait more than they work.
const parallel = "4"

func TestMain(m *testing.M) {
	flag.Set("test.parallel", parallel)
	code, err := run(m)
	if err != nil {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

// run runs the tests on the program that has failpoints.
func run(m *testing.M) (code int, err error) {
	bin, err := filepath.Abs("../../bin/failpoint")
	if err != nil {
		return 0, err
	}
	if _, err := os.Stat(filepath.Join(bin, "apron")); err != nil {
		return 0, fmt.Errorf("%w: run make build-failpoint", err)
	}
	if pointsDir, err = os.MkdirTemp("", "failpoints"); err != nil {
		return 0, err
	}
	os.Setenv("APRON_BIN", bin)
	os.Setenv(failpoint.Variable, pointsDir)
	code = m.Run()
	return code, os.RemoveAll(pointsDir)
}

// goesOnWithin is how long after its start has ended apron may take to go on with what it had begun. It is some milliseconds, more where the
// machine is busy, and half a minute where apron waits for the end of its own claim before.
const goesOnWithin = 5 * time.Second

// everywhere says that apron is killed at a point in every scenario that passes it, and not only in one of them.
var everywhere = os.Getenv("APRON_CRASH") == "everywhere"

func TestAnOperationEndsAsIfNothingHadHappened(t *testing.T) {
	var mu sync.Mutex // guards what follows
	rounds, finished := 0, 0
	passed := map[string]bool{}
	var slowest time.Duration
	t.Run("killed", func(t *testing.T) {
		for _, each := range scenarios {
			t.Run(each.name, func(t *testing.T) {
				t.Parallel()
				w := &world{Apron: apron.Start(t), parent: t, scenario: each, slug: strings.ReplaceAll(each.name, " ", "-"), versions: map[string]string{}}
				var want end
				var points []string
				if !t.Run("never", func(t *testing.T) { want, points = w.undisturbed(t) }) {
					return
				}
				for _, point := range points {
					mu.Lock()
					isNew := !passed[point]
					passed[point] = true
					mu.Unlock()
					if !isNew && !everywhere {
						continue
					}
					name := strings.ReplaceAll(strings.TrimPrefix(point, string(each.operation)+"/"), "/", ", ")
					t.Run(name, func(t *testing.T) {
						got, after := w.killedAt(t, point)
						got.Told = slices.DeleteFunc(slices.Clone(want.Told), func(line string) bool { return !slices.Contains(got.Told, line) })
						if difference := cmp.Diff(want, got); difference != "" {
							t.Errorf("the end of the uninterrupted run (-) and of the one killed at %q (+):\n%s", point, difference)
						}
						mu.Lock()
						defer mu.Unlock()
						slowest = max(slowest, after)
						rounds++
					})
				}
				mu.Lock()
				defer mu.Unlock()
				finished++
			})
		}
	})
	t.Logf("killed %d times, at %d points; an operation went on %s after apron was ready, at the slowest", rounds, len(passed), slowest)
	if finished == len(scenarios) { // else not all of it was asked for
		wantEverything(t, passed)
	}
}

// setting writes a step or a type of operation as the settings do.
var setting = strings.NewReplacer(" ", "-", "_", "-")

// wantEverything fails the test unless every step and every effect was passed in some scenario. Each step has a deadline
// that can be set, so that the list of these is one of the steps as well.
func wantEverything(t *testing.T, passed map[string]bool) {
	reached := map[string]bool{}
	for point := range passed {
		kind, of, _ := strings.Cut(point, "/")
		of, _, _ = strings.Cut(of, "/")
		reached[setting.Replace(strings.ToLower(kind))], reached[setting.Replace(of)] = true, true
	}
	wanted := []string{failpoint.Accept, failpoint.Claim, failpoint.Revision, failpoint.Route, failpoint.Cancel, failpoint.Rollback, failpoint.Discard, failpoint.End, failpoint.Tidy}
	for name := range operation.DefaultDeadlines() {
		wanted = append(wanted, name)
	}
	for _, each := range wanted {
		if !reached[each] {
			t.Errorf("no scenario passes %q", each)
		}
	}
}

// pointsDir is where the aprons say which points they pass.
var pointsDir string

// passing is one point, and when it was passed.
type passing struct {
	at    time.Time
	point string
}

// passings are the points that a process has passed.
func passings(t testing.TB, pid int) []passing {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(pointsDir, fmt.Sprint(pid, ".passed")))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var all []passing
	for line := range strings.Lines(string(content)) {
		var at int64
		if _, err := fmt.Sscan(line, &at); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		_, point, _ := strings.Cut(strings.TrimSpace(line), " ")
		all = append(all, passing{time.Unix(0, at), point})
	}
	return all
}

// arm makes the process end itself at a point.
func arm(t testing.TB, pid int, point string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(pointsDir, fmt.Sprint(pid, ".armed")), []byte(point), 0o600); err != nil {
		t.Fatal(err)
	}
}

// forget removes the files of a process that has ended: another one may get its id.
func forget(t testing.TB, pid int) {
	t.Helper()
	for _, suffix := range []string{".armed", ".passed"} {
		if err := os.RemoveAll(filepath.Join(pointsDir, fmt.Sprint(pid, suffix))); err != nil {
			t.Fatal(err)
		}
	}
}
