package e2e

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/load"
	"github.com/apron-run/apron/test/sample"
)

// Requests that must be held, or that meet an instance which is frozen, are answered: also while the control plane is stopped or
// gone. Only what needs a new instance waits for it, until the request's deadline at most.
func TestNothingIsLostThatIsHeld(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	push(t, a, "held:live", sample.Variant{Version: "one"})
	var frozen, full, asleep, hasty, only *apron.Service
	var prepare sync.WaitGroup
	create := func(service **apron.Service, name string, maxConcurrency int32, tags map[string]string) {
		prepare.Go(func() { *service = createHeld(t, a, name, maxConcurrency, tags) })
	}
	create(&frozen, "frozen", 100, map[string]string{"apron:freeze-after": "1s"})
	create(&full, "full", 2, nil)
	create(&asleep, "asleep", 100, map[string]string{"apron:min-size": "0", "apron:scale-to-zero-after": "1s"})
	create(&hasty, "hasty", 100, map[string]string{"apron:min-size": "0", "apron:scale-to-zero-after": "1s", "apron:request-timeout": "3s"})
	create(&only, "only", 100, nil)
	prepare.Wait()
	if t.Failed() {
		return
	}
	answered := func(t *testing.T) {
		t.Helper()
		var rows sync.WaitGroup
		rows.Go(func() { meetsTheFreezer(t, a, frozen) })
		rows.Go(func() { waitsForRoom(t, a, full) })
		rows.Wait()
	}
	t.Run("by freezing, or for room", answered)
	t.Run("at zero", func(t *testing.T) { meetsTheEnd(t, a, asleep) })
	t.Run("when the only instance dies", func(t *testing.T) { onlyDies(t, a, only) })
	t.Run("while the control plane is stopped", func(t *testing.T) {
		wantInstances(t, asleep, 0)
		pid := a.PID()
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		goOn := sync.OnceFunc(func() { syscall.Kill(pid, syscall.SIGCONT) })
		defer goOn()
		held := heldAt(t, a, asleep)
		answered(t)
		stillWaits(t, held)
		goOn()
		wantAnswered(t, held)
	})
	t.Run("while there is no control plane", func(t *testing.T) {
		wantInstances(t, asleep, 0)
		wantInstances(t, hasty, 0)
		killed := heldAt(t, a, asleep)
		a.Kill9(t) // while it starts the instance, or before
		wantRefusedInTime(t, a, hasty)
		answered(t)
		later := heldAt(t, a, asleep)
		a.Restart(t)
		wantAnswered(t, killed)
		wantAnswered(t, later)
		a.WantBody(t, hasty.URL, "/", "one")
	})
}

// createHeld creates a service of one instance at most.
func createHeld(t *testing.T, a *apron.Apron, name string, maxConcurrency int32, tags map[string]string) *apron.Service {
	configuration, err := a.SDK().CreateAutoScalingConfiguration(t.Context(), &apprunner.CreateAutoScalingConfigurationInput{
		AutoScalingConfigurationName: &name, MaxConcurrency: &maxConcurrency, MaxSize: ptr(int32(1)),
	})
	if err != nil {
		t.Error(err)
		return nil
	}
	input := fromImage(name, "held:live", nil)
	input.AutoScalingConfigurationArn = configuration.AutoScalingConfiguration.AutoScalingConfigurationArn
	for key, value := range tags {
		input.Tags = append(input.Tags, types.Tag{Key: &key, Value: &value})
	}
	return a.MustCreate(t, input)
}

// meetsTheFreezer asks around the moment at which the instance is frozen: just before, then, and after.
func meetsTheFreezer(t *testing.T, a *apron.Apron, service *apron.Service) {
	for after := 980 * time.Millisecond; after < 1030*time.Millisecond; after += 10 * time.Millisecond {
		time.Sleep(after)
		if answer, err := a.TryGet(t.Context(), service.URL, "/"); err != nil || answer.Body != "one" {
			t.Errorf("%s after the request before: %+v (%v)", after, answer, err)
		}
	}
}

// waitsForRoom sends ten times as many requests as the instance takes at a time.
func waitsForRoom(t *testing.T, a *apron.Apron, service *apron.Service) {
	var requests sync.WaitGroup
	for range 20 {
		requests.Go(func() {
			if answer, err := a.TryGet(t.Context(), service.URL, "/slow?for=50ms"); err != nil || answer.Body != "one" {
				t.Errorf("a request that waits for room: %+v (%v)", answer, err)
			}
		})
	}
	requests.Wait()
}

// meetsTheEnd asks around the moment at which the last instance is stopped.
func meetsTheEnd(t *testing.T, a *apron.Apron, service *apron.Service) {
	for after := 1000 * time.Millisecond; after < 1300*time.Millisecond; after += 50 * time.Millisecond {
		time.Sleep(after)
		if answer, err := a.TryGet(t.Context(), service.URL, "/slow?for=100ms"); err != nil || answer.Body != "one" {
			t.Errorf("%s after the request before: %+v (%v)", after, answer, err)
		}
	}
}

// onlyDies ends the only instance under load: what is in flight on it is lost, and what comes then is held until there is another.
func onlyDies(t *testing.T, a *apron.Apron, service *apron.Service) {
	requests := load.Start(t, a.Client, service.URL, "one", zeroLossRate)
	awaitRequests(t, requests, zeroLossRate)
	asked := time.Now()
	a.WantBody(t, service.URL, "/exit?code=3", "")
	dead := time.Now().Add(500 * time.Millisecond) // it dies 50 ms after its answer, on a machine that may be busy
	apron.Until(t, 30*time.Second, "an answer of another instance", func() (bool, error) {
		answer, err := a.TryGet(t.Context(), service.URL, "/")
		return time.Now().After(dead) && answer.Body == "one", err
	})
	awaitRequests(t, requests, 2*zeroLossRate)
	for _, each := range requests.Take() {
		wasInFlight := each.Sent.Before(dead) && each.Answered.After(asked)
		if each.IsRefused || each.Trouble != "" && !wasInFlight {
			t.Errorf("%s sent %s after the beginning of the end: %s (refused: %v)", each.Kind, each.Sent.Sub(asked), each.Trouble, each.IsRefused)
		}
	}
	requests.Stop()
}

// heldAt sends a request to a service at zero, and returns where what is wrong with its answer comes.
func heldAt(t *testing.T, a *apron.Apron, service *apron.Service) <-chan error {
	outcome := make(chan error, 1)
	go func() {
		answer, err := a.TryGet(t.Context(), service.URL, "/")
		if err == nil && answer.Body != "one" {
			err = fmt.Errorf("it was answered with %d %q", answer.Status, answer.Body)
		}
		outcome <- err
	}()
	return outcome
}

func stillWaits(t *testing.T, held <-chan error) {
	t.Helper()
	select {
	case err := <-held:
		t.Errorf("a request to a service at zero does not wait: %v", err)
	default:
	}
}

func wantAnswered(t *testing.T, held <-chan error) {
	t.Helper()
	select {
	case err := <-held:
		if err != nil {
			t.Errorf("a request that was held: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("a request that was held is not answered")
	}
}

// wantRefusedInTime asks a service that nobody can wake: it is told so at the deadline of its requests, which is 3 s.
func wantRefusedInTime(t *testing.T, a *apron.Apron, service *apron.Service) {
	t.Helper()
	begun := time.Now()
	answer, err := a.TryGet(t.Context(), service.URL, "/")
	if took := time.Since(begun); err != nil || answer.Status != 503 || answer.Header.Get("Retry-After") == "" || took < 2*time.Second || took > 6*time.Second {
		t.Errorf("without a control plane a service at zero answers %+v (%v) after %s", answer, err, took)
	}
}
