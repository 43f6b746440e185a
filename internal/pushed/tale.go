package pushed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/progress"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/telemetry"
)

// Why somebody is told no more, although there is more to tell. Any other end of a context is that the client left.
var (
	errLeaving = errors.New("apron ends, or goes on as another program")
	errLate    = errors.New("the deployment takes long")
)

// tale tells of one push.
type tale struct {
	*Teller
	push *Push
	to   io.Writer
}

// service tells of the deployment of one service: of the one that takes up what the push asked for, after those that are
// in its way.
func (t tale) service(ctx context.Context, one candidate) {
	for {
		service, operation, err := t.await(ctx, one)
		if err != nil || operation.ID == "" {
			t.tellNoDeployment(err, service)
			return
		}
		fmt.Fprintf(t.to, "Deploying %s (apron operation %.12s):\n", service.Name, operation.ID)
		if operation, err = t.follow(ctx, operation); err != nil {
			t.tellGoesOn(err, service, operation)
			return
		}
		// One that began just before the push may have taken the commit before it; the push then waits for another.
		if commit := operation.Progress.Commit; commit != "" && commit != t.push.Commit {
			one.last = operation.ID
			if _, next, err := t.await(ctx, one); err == nil && next.ID != "" {
				fmt.Fprintf(t.to, "That was commit %.7s; another deployment follows.\n", commit)
				continue
			}
		}
		t.tellEnd(service, operation)
		return
	}
}

// await returns the service and the operation that it was asked for, when that is there; none when it will not come.
func (t tale) await(ctx context.Context, one candidate) (service platform.Service, operation platform.Operation, err error) {
	steps, begun := progress.NewSteps(t.to), time.Now()
	defer steps.Done()
	for isAnnounced := false; ; {
		// The mark first: it goes in the moment that the operation comes.
		if service, err = t.Store.ServiceByID(ctx, one.id); err == nil {
			operation, err = t.next(ctx, one.id, one.last)
		}
		switch {
		case ctx.Err() != nil:
			return service, operation, context.Cause(ctx)
		case err != nil:
			steps.Waiting("the database does not answer; waiting for it", begun, time.Now())
		case operation.ID != "", service.WaitingTrigger == "", slices.Contains(idle, service.Status):
			return service, operation, nil
		case service.Status != platform.ServiceStatusOperationInProgress: // it begins right away
		case !isAnnounced:
			isAnnounced = true
			fmt.Fprintf(t.to, "%s has an operation that runs%s. The push is deployed after it.\n", service.Name, t.running(ctx, one.id))
		default:
			steps.Waiting("waiting for its end", begun, time.Now())
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(lookEvery+time.Since(begun)/10, lookAtLeastEvery)):
		}
	}
}

// How often it is looked for an operation: one that nothing is in the way of begins within milliseconds.
const (
	lookEvery        = 20 * time.Millisecond
	lookAtLeastEvery = 150 * time.Millisecond
)

var (
	gone = []platform.ServiceStatus{platform.ServiceStatusDeleted, platform.ServiceStatusDeleteFailed}
	// idle are the statuses in which no deployment begins by itself.
	idle = append([]platform.ServiceStatus{platform.ServiceStatusPaused}, gone...)
)

// next returns the oldest operation after last that something asked for by itself; an empty one when there is none.
func (t tale) next(ctx context.Context, id platform.ServiceID, last platform.OperationID) (next platform.Operation, err error) {
	const recent = 20 // more cannot have begun since, and ended
	operations, err := t.Store.ListOperations(ctx, id, store.OperationPage{Limit: recent})
	if err != nil {
		return next, err
	}
	for _, operation := range operations {
		if operation.ID == last {
			break
		}
		if operation.Trigger != "" {
			next = operation
		}
	}
	return next, nil
}

// running names the operation that runs, for a sentence.
func (t tale) running(ctx context.Context, id platform.ServiceID) string {
	operations, err := t.Store.ListOperations(ctx, id, store.OperationPage{Limit: 1})
	if err != nil || len(operations) == 0 || operations[0].Status.IsTerminal() {
		return ""
	}
	return fmt.Sprintf(" (%s, apron operation %.12s)", operations[0].Type, operations[0].ID)
}

// follow shows an operation until it is over.
func (t tale) follow(ctx context.Context, operation platform.Operation) (platform.Operation, error) {
	follower := progress.Follower{
		Operation: func(ctx context.Context) (platform.Operation, error) { return t.Store.OperationByID(ctx, operation.ID) },
		Lines: func(ctx context.Context, token string, limit int) ([]progress.Line, string, error) {
			if token == "" {
				token = telemetry.FromStart
			}
			read, next, err := t.Logs.Read(ctx, operation.ServiceID, "deployment/"+string(operation.ID), token, limit)
			lines := make([]progress.Line, len(read))
			for i, line := range read {
				lines[i] = progress.Line{At: line.Time, Text: line.Message}
			}
			return lines, next, err
		},
		IsLost: func(err error) bool { return !errors.Is(err, store.ErrNotFound) },
	}
	over, err := follower.Follow(ctx, progress.NewSteps(t.to))
	if err != nil {
		return operation, err
	}
	return over, nil
}

// tellEnd tells how a deployment ended.
func (t tale) tellEnd(service platform.Service, operation platform.Operation) {
	later := ""
	if commit := operation.Progress.Commit; commit != "" && commit != t.push.Commit {
		later = fmt.Sprintf(", with commit %.7s, which was pushed later", commit)
	}
	if operation.Status == platform.OperationStatusSucceeded {
		place := "privately, where its VPC ingress connection leads"
		if url := t.URL(service); url != "" {
			place = "at " + url
		}
		fmt.Fprintf(t.to, "%s is live %s%s\n", service.Name, place, later)
		return
	}
	fmt.Fprintf(t.to, "\nThe deployment of %s failed%s: %s\n", service.Name, later, progress.Cause(operation))
	for line := range strings.Lines(progress.Why(operation, service.Name, 0)) {
		fmt.Fprint(t.to, "  ", line)
	}
	fmt.Fprintf(t.to, "\nThe push is kept: push what mends it. To deploy it once more as it is:\n  %s\n", startDeployment(service))
}

// tellNoDeployment tells why no operation came.
func (t tale) tellNoDeployment(err error, service platform.Service) {
	switch {
	case err != nil:
		t.tellGoesOn(err, service, platform.Operation{})
	case service.Status == platform.ServiceStatusPaused:
		fmt.Fprintf(t.to, "%s is paused. The push is deployed when it is resumed: apron resume %s\n", service.Name, service.Name)
	case slices.Contains(gone, service.Status):
		fmt.Fprintf(t.to, "%s is deleted; the push is not deployed.\n", service.Name)
	default:
		fmt.Fprintf(t.to, "%s stays as it is: nothing that it is made from has changed.\n", service.Name)
	}
}

// tellGoesOn tells where the rest is to be seen. A client that left hears nothing.
func (t tale) tellGoesOn(err error, service platform.Service, operation platform.Operation) {
	see := "apron operations " + service.Name
	if operation.ID != "" {
		see = fmt.Sprintf("apron operation %.12s", operation.ID)
	}
	switch {
	case errors.Is(err, errLeaving):
		fmt.Fprintf(t.to, "apron stops or is upgraded now, and goes on with the deployment when it runs again: %s\n", see)
	case errors.Is(err, errLate), errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintf(t.to, "This takes long; the deployment goes on: %s\n", see)
	case errors.Is(err, context.Canceled):
	default:
		fmt.Fprintf(t.to, "apron cannot tell more for now; the deployment goes on: %s\n", see)
	}
}
