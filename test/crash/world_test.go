package crash

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/internal/failpoint"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/load"
	"github.com/apron-run/apron/test/sample"
)

// world is a scenario on an apron of its own.
type world struct {
	*apron.Apron
	scenario
	// parent is the test of the whole scenario.
	parent testing.TB
	// slug is part of the names of what the scenario makes.
	slug string
	// service is nil until the scenario has one.
	service    *apron.Service
	repository *sample.Repository
	// before is the version that answers at the beginning of a round, next the one that the operation brings.
	before, next string
	// round counts the rounds, so that each has versions and names of its own.
	round int
	// toldBefore is how many lines the event log had at the beginning of a round.
	toldBefore int
	// versions says which version an image's digest or a commit is.
	versions map[string]string
}

const (
	// requestRate is how many requests a second are sent to a service that runs.
	requestRate = 20
	// deadRequests is how many must be answered while there is no apron.
	deadRequests = 5
	// deathTimeout is how long an operation may take until its point.
	deathTimeout = 2 * time.Minute
	// settleTimeout is how long what an operation has left may take to go.
	settleTimeout = 20 * time.Second
)

// undisturbed runs the operation without an interruption and returns how it ended, and the points that it has passed.
func (w *world) undisturbed(t *testing.T) (end, []string) {
	w.prepare(t)
	before := len(passings(t, w.PID()))
	requests := w.requests(t)
	if err := w.begin(t, w); err != nil {
		t.Fatal(err)
	}
	ended := w.conclude(t, requests)
	last := failpoint.Point(w.operation, failpoint.Tidy, failpoint.AfterEffect)
	var points []string
	apron.Until(t, settleTimeout, "the operation to pass "+last, func() (bool, error) {
		points = nil
		for _, each := range passings(t, w.PID())[before:] {
			if strings.HasPrefix(each.point, string(w.operation)+"/") {
				points = append(points, each.point)
			}
		}
		return slices.Contains(points, last), fmt.Errorf("it has passed %q", points)
	})
	if each := slices.Compact(slices.Sorted(slices.Values(points))); len(each) != len(points) {
		t.Fatalf("a point is passed more than once: %q", points)
	}
	if from := slices.Index(points, failpoint.Point(w.operation, w.from, w.fromMoment)); w.from != "" {
		points = points[from:]
	}
	return ended, points
}

// killedAt runs the operation, which ends apron at the point, starts apron again, and returns how the operation ended and how
// long after that start it went on.
func (w *world) killedAt(t *testing.T, point string) (ended end, after time.Duration) {
	w.prepare(t)
	requests := w.requests(t)
	victim := w.PID()
	arm(t, victim, point)
	begun := w.begin(t, w) // its answer may be lost
	w.AwaitEnd(t, deathTimeout)
	if !slices.ContainsFunc(passings(t, victim), func(p passing) bool { return p.point == point }) {
		t.Fatalf("apron did not come to %q (%v); it passed %v", point, begun, passings(t, victim))
	}
	forget(t, victim)
	requests.await(t, deadRequests)
	w.Restart(t)
	ready := time.Now()
	ended = w.conclude(t, requests)
	for _, each := range passings(t, w.PID()) {
		if each.point == failpoint.Point(w.operation, failpoint.Claim, failpoint.AfterRecord) {
			if after = each.at.Sub(ready); after > goesOnWithin {
				t.Errorf("the operation went on %s after apron was ready", after)
			}
		}
	}
	return ended, after
}

// prepare brings the service into the state in which the scenario's operation begins.
func (w *world) prepare(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of apron's log:\n%s", w.LogTail(40))
			w.service = nil // nobody knows what state it is in
			w.Kill9(t)
			w.Restart(t)
		}
	})
	if w.isFresh && w.service != nil {
		if w.operation != platform.OperationDeleteService {
			w.service.Delete(t)
		}
		w.service = nil
	}
	w.round++
	w.next = fmt.Sprint("version ", w.round)
	w.arrange(t, w)
	w.toldBefore = 0
	if w.service != nil {
		w.toldBefore = len(w.told(t))
	}
}

// conclude waits for the end of the operation, and of the requests.
func (w *world) conclude(t *testing.T, requests *requests) end {
	t.Helper()
	if w.service == nil {
		w.service = w.find(t)
	}
	id := w.newestOperation(t)
	operation := w.service.AwaitOperation(t, id)
	requests.settle(t)
	return w.end(t, operation)
}

// find finds the service of this round by its name: the answer to its creation may be lost.
func (w *world) find(t *testing.T) *apron.Service {
	t.Helper()
	for _, each := range w.services(t) {
		if each.Name == w.serviceName() {
			return each
		}
	}
	t.Fatalf("there is no service %s", w.serviceName())
	return nil
}

func (w *world) services(t *testing.T) []*apron.Service {
	t.Helper()
	output, err := w.SDK().ListServices(t.Context(), &apprunner.ListServicesInput{})
	if err != nil {
		t.Fatal(err)
	}
	var all []*apron.Service
	for _, each := range output.ServiceSummaryList {
		all = append(all, w.Hold(&types.Service{
			ServiceArn: each.ServiceArn, ServiceId: each.ServiceId, ServiceName: each.ServiceName, ServiceUrl: each.ServiceUrl,
		}))
	}
	return all
}

func (w *world) serviceName() string { return fmt.Sprint(w.slug, "-", w.round) }

func (w *world) newestOperation(t *testing.T) string {
	t.Helper()
	output, err := w.SDK().ListOperations(t.Context(), &apprunner.ListOperationsInput{ServiceArn: &w.service.ARN})
	if err != nil || len(output.OperationSummaryList) == 0 {
		t.Fatalf("list the operations: %v", err)
	}
	newest := output.OperationSummaryList[0]
	if string(newest.Type) != string(w.operation) {
		t.Fatalf("the newest operation is %s, want %s", newest.Type, w.operation)
	}
	return *newest.Id
}

// requests are those of a round; nil where the service does not run.
type requests struct {
	*load.Load
	w *world
}

func (w *world) requests(t *testing.T) *requests {
	if w.traffic == noTraffic {
		return nil
	}
	r := &requests{load.Start(t, w.Client, w.service.URL, w.before, requestRate), w}
	r.await(t, deadRequests)
	switch w.traffic {
	case movesOn, staysBack:
		r.Expect(w.next)
	case pauses:
		r.Pausing()
	}
	return r
}

// await waits until so many more requests have come through.
func (r *requests) await(t *testing.T, more int) {
	t.Helper()
	if r == nil {
		return
	}
	until := r.Sent() + more
	apron.Until(t, 30*time.Second, fmt.Sprint(more, " more requests"), func() (bool, error) { return r.Sent() >= until, nil })
}

// settle says that the operation has ended, and fails the test if a request was lost or answered wrongly.
func (r *requests) settle(t *testing.T) {
	t.Helper()
	if r == nil {
		return
	}
	switch r.w.traffic {
	case movesOn:
		r.Settled()
	case staysBack:
		r.Refused()
	}
	r.await(t, deadRequests)
	if report := r.Stop(); len(report.Faults()) > 0 {
		t.Errorf("requests were lost or answered wrongly: %s", report)
	}
}
