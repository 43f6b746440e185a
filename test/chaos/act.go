package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
)

// made is one action that a round has called, and what came of it.
type made struct {
	act
	slot *slot
	name string
	// version is what is deployed, if it succeeds; empty when the action leaves the version, or nobody can tell.
	version string
	// call calls the action and returns the id of its operation, if it has one.
	call func(ctx context.Context) (operation string, err error)
	// mustFail says that the operation may not succeed, mayBeRefused that the action may have no operation.
	mustFail, mayBeRefused bool

	// id is the operation's, once the call was answered, and second that of a second call; err is why there is none.
	id, second string
	err        error
	// wasAsked says that the cancel was taken, or may have been.
	wasAsked  bool
	operation apron.Operation
}

// plan makes an action of a wish, as the status of the slot's service allows, and pushes or commits what it deploys.
func (w *world) plan(a act, status types.ServiceStatus) *made {
	s, sdk := w.slots[a.slot], w.apron.SDK()
	m := &made{act: a, slot: s, name: string(a.wish) + " " + s.name}
	var arn *string
	if s.service != nil {
		arn = &s.service.ARN
	}
	switch {
	case s.service == nil:
		m.name, m.version = "create "+s.name, w.prepare(s, goodVariant, 0)
		m.call = func(ctx context.Context) (string, error) { return w.create(ctx, s) }
		return m
	case status == types.ServiceStatusDeleteFailed || a.wish == wishDelete && a.pick%2 == 0:
		m.name = "delete " + s.name
		m.call = func(ctx context.Context) (string, error) {
			output, err := sdk.DeleteService(ctx, &apprunner.DeleteServiceInput{ServiceArn: arn})
			if err != nil {
				return "", err
			}
			return *output.OperationId, nil
		}
		return m
	case a.wish == wishTag:
		m.call = func(ctx context.Context) (string, error) {
			_, err := sdk.TagResource(ctx, &apprunner.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: aws.String("pick"), Value: aws.String(fmt.Sprint(a.pick))}}})
			return "", err
		}
		return m
	case status == types.ServiceStatusPaused:
		m.name = "resume " + s.name
		m.call = func(ctx context.Context) (string, error) {
			output, err := sdk.ResumeService(ctx, &apprunner.ResumeServiceInput{ServiceArn: arn})
			if err != nil {
				return "", err
			}
			return *output.OperationId, nil
		}
		return m
	case status == types.ServiceStatusCreateFailed:
		m.name, m.version = "mend "+s.name, w.prepare(s, goodVariant, 0)
		m.call = w.update(&apprunner.UpdateServiceInput{ServiceArn: arn, SourceConfiguration: s.source()})
		return m
	}
	switch a.wish {
	case wishBreak:
		w.prepare(s, badVariant, a.pick)
		m.mustFail = true
		m.call = w.deploy(arn)
	case wishTwice:
		m.version, m.mayBeRefused = w.prepare(s, goodVariant, 0), true
		m.call = w.deployTwice(m, arn)
	case wishUpdate:
		// The image stays as it is.
		check := &types.HealthCheckConfiguration{Protocol: types.HealthCheckProtocolTcp, Interval: aws.Int32(int32(1 + a.pick%5))}
		m.call = w.update(&apprunner.UpdateServiceInput{ServiceArn: arn, HealthCheckConfiguration: check})
	case wishResize:
		m.call = w.update(&apprunner.UpdateServiceInput{ServiceArn: arn, AutoScalingConfigurationArn: aws.String(w.configurations[1+a.pick%2])})
	case wishRollback:
		m.mayBeRefused = true // there may be no earlier revision
		m.call = func(ctx context.Context) (string, error) {
			var output struct{ OperationId string }
			err := w.apron.Extension(ctx, "RollbackService", map[string]string{"ServiceArn": *arn}, &output)
			return output.OperationId, err
		}
	case wishPause, wishDelete:
		m.name = "pause " + s.name
		m.call = func(ctx context.Context) (string, error) {
			output, err := sdk.PauseService(ctx, &apprunner.PauseServiceInput{ServiceArn: arn})
			if err != nil {
				return "", err
			}
			return *output.OperationId, nil
		}
	default:
		m.version = w.prepare(s, goodVariant, 0)
		m.call = w.deploy(arn)
	}
	return m
}

func (w *world) deploy(arn *string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		output, err := w.apron.SDK().StartDeployment(ctx, &apprunner.StartDeploymentInput{ServiceArn: arn})
		if err != nil {
			return "", err
		}
		return *output.OperationId, nil
	}
}

func (w *world) update(input *apprunner.UpdateServiceInput) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		output, err := w.apron.SDK().UpdateService(ctx, input)
		if err != nil {
			return "", err
		}
		return *output.OperationId, nil
	}
}

// deployTwice calls the action twice at the same time: one of them is enough.
func (w *world) deployTwice(m *made, arn *string) func(context.Context) (string, error) {
	once := w.deploy(arn)
	return func(ctx context.Context) (string, error) {
		second := make(chan struct{})
		go func() {
			defer close(second)
			m.second, _ = once(ctx)
		}()
		id, err := once(ctx)
		<-second
		return id, err
	}
}

// callTimeout is how long an action is tried while nothing listens at the API's address.
const callTimeout = 30 * time.Second

// do calls the action and, if that is drawn, cancels its operation. A call that was not sent, because apron is dead, is
// made again; one that was, and has no answer, is not: who knows what came of it.
func (w *world) do(ctx context.Context, begun time.Time, m *made) {
	sleepUntil(ctx, begun.Add(m.after))
	switch {
	case strings.HasPrefix(m.name, "delete "):
		m.slot.load.Stop() // where there is no service, nobody can tell a loss from the right answer
		m.slot.isLoadOver = true
	case strings.HasPrefix(m.name, "pause "):
		m.slot.pauses = append(m.slot.pauses, span{from: time.Now()})
	}
	for deadline := time.Now().Add(callTimeout); ; {
		m.id, m.err = m.call(ctx)
		if !errors.Is(m.err, syscall.ECONNREFUSED) || time.Now().After(deadline) {
			break
		}
		sleepUntil(ctx, time.Now().Add(20*time.Millisecond))
	}
	if !m.isCancelled || m.id == "" {
		return
	}
	sleepUntil(ctx, time.Now().Add(m.cancelAfter))
	input := map[string]string{"ServiceArn": m.slot.service.ARN, "OperationId": m.id}
	var output struct{ Operation apron.Operation }
	for deadline := time.Now().Add(callTimeout); ; {
		err := w.apron.Extension(ctx, "CancelOperation", input, &output)
		// Without an answer nobody knows whether it was taken.
		m.wasAsked = err == nil || !errors.Is(err, syscall.ECONNREFUSED) && !strings.Contains(err.Error(), ": status 4")
		if !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(deadline) {
			return
		}
		sleepUntil(ctx, time.Now().Add(20*time.Millisecond))
	}
}

// isUnanswered says that nobody knows what came of the call.
func (m *made) isUnanswered() bool {
	return m.err != nil && codeOf(m.err) == "" && !strings.Contains(m.err.Error(), ": status ")
}

func (m *made) String() string {
	switch {
	case m.id != "":
	case m.isUnanswered():
		return m.name + " (no answer)"
	case m.err != nil:
		return m.name + " (refused)"
	default:
		return m.name
	}
	how := ""
	if m.wasAsked {
		how = " cancelled:"
	}
	text := m.name + how + " " + m.operation.Status
	if failure := m.operation.Failure; failure != nil && !m.wasAsked && !m.mustFail {
		text += " (" + failure.Cause + ")"
	}
	return text
}

func sleepUntil(ctx context.Context, at time.Time) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Until(at)):
	}
}
