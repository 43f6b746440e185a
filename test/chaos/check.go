package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
)

// check looks at everything once the round has settled.
func (w *world) check(ctx context.Context, r *round, p plan) {
	for _, m := range r.made {
		w.checkCall(ctx, r, p, m)
	}
	owned := map[string]bool{}
	for _, s := range w.slots {
		if s.service == nil {
			continue
		}
		w.checkOperations(ctx, r, s)
		w.checkService(ctx, r, s)
		instances, err := w.instances(ctx, s)
		if err != nil {
			r.fault("%v", err)
		}
		for _, each := range instances {
			owned[each.ID] = true
		}
	}
	if err := w.machine.look(ctx, owned); err != nil {
		r.fault("look at the machine: %v", err)
	}
	r.faults = append(r.faults, w.machine.late()...)
}

// checkCall looks at the operation of an action.
func (w *world) checkCall(ctx context.Context, r *round, p plan, m *made) {
	s := m.slot
	if m.second != "" && m.id != "" {
		r.fault("%s: two operations were accepted at once: %s and %s", m.name, m.id, m.second)
	}
	m.id = cmp.Or(m.id, m.second)
	switch {
	case m.isUnanswered() && !p.hasKill(victimApron):
		r.fault("%s: %v", m.name, m.err)
	case m.err != nil && !m.isUnanswered() && !m.mayBeRefused:
		r.fault("%s was refused: %v", m.name, m.err)
	}
	if m.wish == wishTag && m.id == "" && m.err == nil {
		w.checkTag(ctx, r, m)
	}
	if m.isUnanswered() || m.mayBeRefused && m.version == "" {
		s.serving = ""
	}
	if m.id == "" {
		return
	}
	var err error
	if m.operation, err = s.service.Operation(ctx, m.id); err != nil {
		r.fault("%s: its operation was accepted: %v", m.name, err)
		return
	}
	hasSucceeded := m.operation.Status == "SUCCEEDED"
	switch {
	case hasSucceeded && m.mustFail:
		r.fault("%s: an operation that cannot succeed did: %s", m.name, m.operation)
	case !hasSucceeded && !m.mustFail && !m.wasAsked && !p.hits(s.index):
		r.fault("%s: want SUCCEEDED, got %s", m.name, m.operation)
	case hasSucceeded && m.version != "":
		s.serving = m.version
	}
}

// checkTag looks whether a tag is there whose action was answered.
func (w *world) checkTag(ctx context.Context, r *round, m *made) {
	output, err := w.apron.SDK().ListTagsForResource(ctx, &apprunner.ListTagsForResourceInput{ResourceArn: &m.slot.service.ARN})
	if err != nil {
		r.fault("%s: %v", m.name, err)
		return
	}
	for _, each := range output.Tags {
		if *each.Key == "pick" && *each.Value == fmt.Sprint(m.pick) {
			return
		}
	}
	r.fault("%s: the tag is not there: %v", m.name, output.Tags)
}

// checkOperations looks at the operations that the service got since it was looked at last.
func (w *world) checkOperations(ctx context.Context, r *round, s *slot) {
	listed, err := ask(func() (*apprunner.ListOperationsOutput, error) {
		return w.apron.SDK().ListOperations(ctx, &apprunner.ListOperationsInput{ServiceArn: &s.service.ARN, MaxResults: aws.Int32(20)})
	})
	if err != nil {
		r.fault("list the operations of %s: %v", s.name, err)
		return
	}
	w.watcher.noteOperations(s.service.ARN, listed.OperationSummaryList)
	var busy []work
	for _, each := range listed.OperationSummaryList {
		operation, err := ask(func() (apron.Operation, error) { return s.service.Operation(ctx, *each.Id) })
		if err != nil {
			r.fault("describe the operation %s of %s: %v", *each.Id, s.name, err)
			continue
		}
		for _, step := range operation.Steps {
			if step.EndedAt > 0 {
				busy = append(busy, work{*each.Id + " " + step.Name, step.StartedAt, step.EndedAt})
			}
		}
		if w.seen[*each.Id] {
			continue
		}
		w.seen[*each.Id] = true
		hasFailed := operation.Status == "FAILED" || strings.HasPrefix(operation.Status, "ROLLBACK")
		switch {
		case !operation.IsOver():
			r.fault("the operation %s of %s is %s, and the service at rest", *each.Id, s.name, operation.Status)
		case operation.Status == "ROLLBACK_FAILED":
			r.fault("a rollback of %s failed: %+v", s.name, operation)
		case hasFailed && (operation.Failure == nil || strings.TrimSpace(operation.Failure.Cause) == ""):
			r.fault("the operation %s of %s does not say why it failed", *each.Id, s.name)
		}
	}
	r.faults = append(r.faults, overlaps(busy)...)
}

// work is the time of one step, in seconds since 1970.
type work struct {
	what        string
	from, until float64
}

// overlaps finds steps of one service that ran at the same time. It is pure.
func overlaps(all []work) []string {
	// The API tells milliseconds: what begins and ends within one comes before what follows it.
	slices.SortStableFunc(all, func(a, b work) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.until, b.until)) })
	var faults []string
	for i := 1; i < len(all); i++ {
		if before := all[i-1]; all[i].from < before.until {
			faults = append(faults, fmt.Sprintf("the step %s began at %.3f, before %s had ended at %.3f",
				all[i].what, all[i].from, before.what, before.until))
		}
	}
	return faults
}

// checkService looks at the service itself.
func (w *world) checkService(ctx context.Context, r *round, s *slot) {
	service, err := w.describe(ctx, s)
	if err != nil {
		r.fault("describe %s: %v", s.name, err)
		return
	}
	w.watcher.noteStatus(s.service.ARN, service.Status)
	switch service.Status {
	case types.ServiceStatusRunning:
	case types.ServiceStatusPaused, types.ServiceStatusCreateFailed, types.ServiceStatusDeleted:
		return
	default:
		r.fault("%s is %s", s.name, service.Status)
		return
	}
	answer, err := w.apron.TryGet(ctx, s.service.URL, "/")
	switch {
	case err != nil || answer.Status != 200:
		r.fault("%s answers %d: %s (%v)", s.name, answer.Status, answer.Body, err)
	case strings.HasPrefix(answer.Body, brokenVersion), s.serving != "" && answer.Body != s.serving:
		r.fault("%s answers with the version %q, want %q", s.name, answer.Body, s.serving)
	default:
		s.serving = answer.Body
	}
}

// turn makes the slots ready for the next round.
func (w *world) turn(ctx context.Context, r *round) {
	for _, s := range w.slots {
		if s.service == nil {
			continue
		}
		service, err := w.describe(ctx, s)
		switch {
		case err != nil:
			r.fault("describe %s: %v", s.name, err)
		case service.Status == types.ServiceStatusDeleted:
			w.watcher.forget(s.service.ARN)
			s.service, s.load, s.pauses, s.deaths, s.serving = nil, nil, nil, nil, ""
		case service.Status == types.ServiceStatusRunning && (s.load == nil || s.isLoadOver):
			w.startLoad(s)
		}
	}
}

// count judges the requests of the round.
func (w *world) count(r *round) {
	for _, s := range w.slots {
		if s.load == nil {
			continue
		}
		counted := judge(s.load.Take(), min(s.size, s.wasSize), s.deaths, s.pauses, w.cuts)
		s.wasSize = s.size
		for _, each := range counted.lost {
			r.fault("%s lost a request: %s", s.name, each)
		}
		r.traffic.add(counted)
		s.deaths = slices.DeleteFunc(s.deaths, func(d death) bool { return time.Since(d.ended) > remember })
		s.pauses = slices.DeleteFunc(s.pauses, func(p span) bool { return !p.until.IsZero() && time.Since(p.until) > remember })
	}
	w.cuts = slices.DeleteFunc(w.cuts, func(c span) bool { return time.Since(c.until) > remember })
}

// remember is how long after a death or a pause a request that met it may be counted: it ends within a round or two.
const remember = 10 * time.Second

// ask reads something, and again when the connection was closed on this side. The AWS SDK closes the body of its request as soon
// as there is an answer; on a busy machine net/http may still be about to find the body's end, and then gives the connection
// up before a longer answer was read. The SDK's own retries, which the tests leave out, do the same as this.
func ask[T any](read func() (T, error)) (answer T, err error) {
	for range askAttempts {
		if answer, err = read(); !errors.Is(err, net.ErrClosed) {
			break
		}
	}
	return answer, err
}

// askAttempts is how often something is read whose answer was lost on this side.
const askAttempts = 6

func (w *world) describe(ctx context.Context, s *slot) (types.Service, error) {
	output, err := ask(func() (*apprunner.DescribeServiceOutput, error) {
		return w.apron.SDK().DescribeService(ctx, &apprunner.DescribeServiceInput{ServiceArn: &s.service.ARN})
	})
	if err != nil {
		return types.Service{}, err
	}
	return *output.Service, nil
}

func (w *world) instances(ctx context.Context, s *slot) ([]apron.Instance, error) {
	var output struct{ Instances []apron.Instance }
	err := w.apron.Extension(ctx, "ListInstances", map[string]string{"ServiceArn": s.service.ARN}, &output)
	return output.Instances, err
}

// activeRevision is the id of the revision that should serve.
func (w *world) activeRevision(ctx context.Context, s *slot) (string, error) {
	var output struct {
		Revisions []struct {
			ID       string `json:"Id"`
			IsActive bool
		}
	}
	if err := w.apron.Extension(ctx, "ListRevisions", map[string]string{"ServiceArn": s.service.ARN}, &output); err != nil {
		return "", err
	}
	for _, each := range output.Revisions {
		if each.IsActive {
			return each.ID, nil
		}
	}
	return "", fmt.Errorf("no revision of %s is active", s.name)
}
