package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/test/apron"
)

// watchEvery is how often the watcher looks at every service.
const watchEvery = 100 * time.Millisecond

// watcher looks at the statuses of services and operations all the time, and remembers what was wrong with them. It goes
// on while apron is dead and after that.
type watcher struct {
	apron *apron.Apron

	mu         sync.Mutex // guards the members below
	services   map[string]int
	statuses   map[string]types.ServiceStatus
	operations map[string]platform.OperationStatus
	// hasRun are the services that have been RUNNING.
	hasRun map[string]bool
	// instances tell the slot of each instance that was seen.
	instances map[string]int
	faults    []string
}

func newWatcher(a *apron.Apron) *watcher {
	return &watcher{
		apron: a, services: map[string]int{}, statuses: map[string]types.ServiceStatus{},
		operations: map[string]platform.OperationStatus{}, hasRun: map[string]bool{}, instances: map[string]int{},
	}
}

// follow watches a service, in a slot, from now on.
func (w *watcher) follow(arn string, slot int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.services[arn] = slot
}

// forget ends that.
func (w *watcher) forget(arn string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.services, arn)
}

func (w *watcher) slotOf(instance string) (slot int, isKnown bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slot, isKnown = w.instances[instance]
	return slot, isKnown
}

// take returns what was wrong since it was called last.
func (w *watcher) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.faults
	w.faults = nil
	return taken
}

func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.mu.Lock()
		arns := make(map[string]int, len(w.services))
		for arn, slot := range w.services {
			arns[arn] = slot
		}
		w.mu.Unlock()
		for arn, slot := range arns {
			w.look(ctx, arn, slot)
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchEvery):
		}
	}
}

// look reads one service. Whatever does not answer is looked at again.
func (w *watcher) look(ctx context.Context, arn string, slot int) {
	sdk := w.apron.SDK()
	listed, err := sdk.ListOperations(ctx, &apprunner.ListOperationsInput{ServiceArn: &arn, MaxResults: aws.Int32(20)})
	if err != nil {
		w.unanswered(ctx, "ListOperations", err)
		return
	}
	w.noteOperations(arn, listed.OperationSummaryList)
	described, err := sdk.DescribeService(ctx, &apprunner.DescribeServiceInput{ServiceArn: &arn})
	if err != nil {
		w.unanswered(ctx, "DescribeService", err)
		return
	}
	w.noteStatus(arn, described.Service.Status)
	var output struct{ Instances []apron.Instance }
	if w.apron.Extension(ctx, "ListInstances", map[string]string{"ServiceArn": arn}, &output) != nil {
		return // containerd may be dead
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, instance := range output.Instances {
		w.instances[instance.ID] = slot
	}
}

// unanswered notes answers that are errors: these reads need nothing that is killed but apron itself.
func (w *watcher) unanswered(ctx context.Context, action string, err error) {
	if ctx.Err() == nil && codeOf(err) != "" {
		w.fault("%s: %v", action, err)
	}
}

func (w *watcher) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (w *watcher) noteOperations(arn string, listed []types.OperationSummary) {
	open := 0
	for _, each := range listed {
		id, next := *each.Id, platform.OperationStatus(each.Status)
		w.mu.Lock()
		last, isKnown := w.operations[id]
		w.operations[id] = next
		w.mu.Unlock()
		if isKnown && last != next && !canReach(last, next) {
			w.fault("operation %s %s became %s after %s", each.Type, id, next, last)
		}
		if !next.IsTerminal() {
			open++
		}
	}
	if open > 1 {
		w.fault("%s has %d operations at a time", arn, open)
	}
}

func (w *watcher) noteStatus(arn string, next types.ServiceStatus) {
	w.mu.Lock()
	last := w.statuses[arn]
	hadRun := w.hasRun[arn]
	w.statuses[arn] = next
	w.hasRun[arn] = hadRun || next == types.ServiceStatusRunning
	w.mu.Unlock()
	if last == types.ServiceStatusDeleted && next != last || hadRun && next == types.ServiceStatusCreateFailed {
		w.fault("service %s became %s after %s", arn, next, last)
	}
}

// edges are the moves that a status may make, read off platform once.
var edges = func() map[platform.OperationStatus][]platform.OperationStatus {
	all := []platform.OperationStatus{
		platform.OperationStatusPending, platform.OperationStatusInProgress, platform.OperationStatusSucceeded, platform.OperationStatusFailed,
		platform.OperationStatusRollbackInProgress, platform.OperationStatusRollbackSucceeded, platform.OperationStatusRollbackFailed,
	}
	edges := map[platform.OperationStatus][]platform.OperationStatus{}
	for _, from := range all {
		edges[from] = slices.DeleteFunc(slices.Clone(all), func(to platform.OperationStatus) bool { return !from.CanBecome(to) })
	}
	return edges
}()

// canReach says whether edges lead from one status to the other: the watcher does not see each move.
func canReach(from, to platform.OperationStatus) bool {
	return slices.ContainsFunc(edges[from], func(next platform.OperationStatus) bool { return next == to || canReach(next, to) })
}

// codeOf is the code of an API's error, or empty when there was no answer of the API.
func codeOf(err error) string {
	var coded interface{ ErrorCode() string }
	if errors.As(err, &coded) {
		return coded.ErrorCode()
	}
	return ""
}
