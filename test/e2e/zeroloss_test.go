package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/load"
	"github.com/apron-run/apron/test/sample"
)

// zeroLossRate is how many requests a second are sent beside what takes longer.
const zeroLossRate = 60

// busy is a service under all kinds of traffic.
type busy struct {
	*apron.Apron
	*apron.Service
	requests *load.Load
	long     *load.Long
}

// Nothing is lost whatever happens to a service's instances and to apron, but for what was in flight on an instance that died. The
// table of all that may happen, and of the tests for it, is in docs/proxy-zero-loss.md.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	push(t, a, "kept:live", sample.Variant{Version: "one"})
	input := fromImage("kept", "kept:live", nil)
	input.AutoScalingConfigurationArn = scaling(t, a, "two-instances", 2)
	b := keepBusy(t, a, a.MustCreate(t, input), zeroLossRate)
	for _, row := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"while the control plane is stopped", b.stopped}, {"while there is no control plane", b.killed},
		{"when an instance dies", b.death}, {"by an update", b.update}, {"by scaling in", b.scaleIn},
		{"by a stop of apron", b.stop},
	} {
		t.Run(row.name, row.run)
	}
}

// keepBusy begins traffic of each kind, and waits until there is some.
func keepBusy(t *testing.T, a *apron.Apron, service *apron.Service, rate int) *busy {
	t.Helper()
	b := &busy{a, service, load.Start(t, a.Client, service.URL, "one", rate), load.StartLong(t, service.URL, dials(t, a, service)...)}
	b.awaitTraffic(t)
	return b
}

// awaitTraffic waits until each kind of traffic has gone through once more.
func (b *busy) awaitTraffic(t *testing.T) {
	t.Helper()
	before := b.long.Told()
	apron.Until(t, 30*time.Second, "traffic of each kind", func() (bool, error) {
		told := b.long.Told()
		ok := told.Messages > before.Messages+50 && told.Requests > before.Requests+50 && told.Downloads > before.Downloads+1
		return ok, fmt.Errorf("%+v after %+v", told, before)
	})
	awaitRequests(t, b.requests, zeroLossRate)
}

// wantNothingLost fails the test if anything went wrong since it was asked last.
func (b *busy) wantNothingLost(t *testing.T) {
	t.Helper()
	b.awaitTraffic(t)
	for _, each := range b.requests.Take() {
		if each.Trouble != "" || each.IsRefused {
			t.Errorf("%s sent %s: %s (refused: %v)", each.Kind, each.Sent.Format("15:04:05.000"), each.Trouble, each.IsRefused)
		}
	}
	for _, fault := range b.long.Take() {
		t.Error(fault)
	}
}

// wantNoConnectionLost also fails it if a connection is not the one that it was.
func (b *busy) wantNoConnectionLost(t *testing.T, before load.LongReport) {
	t.Helper()
	b.wantNothingLost(t)
	if after := b.long.Told(); after.Sockets != before.Sockets || after.Kept != before.Kept {
		t.Errorf("%d WebSockets and %d kept connections were opened, before it were %d and %d", after.Sockets, after.Kept, before.Sockets, before.Kept)
	}
}

func (b *busy) stopped(t *testing.T) {
	before := b.long.Told()
	if err := syscall.Kill(b.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(b.PID(), syscall.SIGCONT)
	b.wantNoConnectionLost(t, before)
}

// killed also takes the database away while there is no control plane, and gives it back for the next one.
func (b *busy) killed(t *testing.T) {
	before := b.long.Told()
	b.Kill9(t)
	away := t.TempDir()
	move := func(from, to string) {
		files, _ := filepath.Glob(filepath.Join(from, "apron.db*"))
		for _, each := range files {
			if err := os.Rename(each, filepath.Join(to, filepath.Base(each))); err != nil {
				t.Fatal(err)
			}
		}
	}
	move(b.Data, away)
	b.wantNoConnectionLost(t, before)
	move(away, b.Data)
	b.Restart(t)
	b.wantNoConnectionLost(t, before)
}

// death ends the process of one of two instances in the middle of its requests: those are lost, and no others.
func (b *busy) death(t *testing.T) {
	asked := time.Now()
	b.WantBody(t, b.Service.URL, "/exit?code=3", "")
	dead := time.Now().Add(500 * time.Millisecond) // it dies 50 ms after its answer, on a machine that may be busy
	b.awaitTraffic(t)
	for _, each := range b.requests.Take() {
		wasInFlight := each.Sent.Before(dead) && each.Answered.After(asked)
		if each.IsRefused || each.Trouble != "" && !wasInFlight {
			t.Errorf("%s sent %s after the beginning of the end: %s", each.Kind, each.Sent.Sub(asked), each.Trouble)
		}
	}
	// Each is lost once at most: it begins anew with the instance that is left.
	if faults := b.long.Take(); len(faults) > 7 {
		t.Errorf("%d of 7 long ones were lost: %s", len(faults), strings.Join(faults, "\n"))
	}
	apron.Until(t, time.Minute, "two instances again", func() (bool, error) {
		now := b.Instances(t)
		return len(now) == 2 && now[0].Runs() && now[1].Runs(), fmt.Errorf("%+v", now)
	})
	b.wantNothingLost(t)
}

// update replaces the instances. The WebSockets on the old ones go on, and the operation does not wait for them.
func (b *busy) update(t *testing.T) {
	before := b.long.Told()
	begun := time.Now()
	b.WantOperation(t, b.Update(t, imageSource("kept:live", map[string]string{"GREETING": "updated"})), "SUCCEEDED")
	if took := time.Since(begun); took > 60*time.Second {
		t.Errorf("an update with WebSockets that are open takes %s", took)
	}
	b.WantBody(t, b.Service.URL, "/env?name=GREETING", "updated")
	b.wantNoConnectionLost(t, before)
}

func (b *busy) scaleIn(t *testing.T) {
	before := b.long.Told()
	updated, err := b.SDK().UpdateService(t.Context(), &apprunner.UpdateServiceInput{ServiceArn: &b.ARN, AutoScalingConfigurationArn: scaling(t, b.Apron, "one-instance", 1)})
	if err != nil {
		t.Fatal(err)
	}
	b.WantOperation(t, *updated.OperationId, "SUCCEEDED")
	b.wantNoConnectionLost(t, before)
}

// stop ends apron with its proxy: who asks then finds nobody, and nothing else is lost. WebSockets are closed in order.
func (b *busy) stop(t *testing.T) {
	if report := b.requests.Stop(); len(report.Faults()) > 0 {
		t.Error(report)
	}
	b.Stop(t)
	told, faults := b.long.Stop()
	for _, fault := range faults {
		if !strings.Contains(fault, "connection refused") {
			t.Error(fault)
		}
	}
	if told.Closed < 3 {
		t.Errorf("%d WebSockets were closed in order, want all three", told.Closed)
	}
	b.Restart(t)
	b.WantBody(t, b.Service.URL, "/", "one")
}

// scaling is a configuration with so many instances at least.
func scaling(t *testing.T, a *apron.Apron, name string, least int32) *string {
	t.Helper()
	output, err := a.SDK().CreateAutoScalingConfiguration(t.Context(), &apprunner.CreateAutoScalingConfigurationInput{
		AutoScalingConfigurationName: &name, MinSize: &least, MaxSize: ptr(int32(4)), MaxConcurrency: ptr(int32(100)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return output.AutoScalingConfiguration.AutoScalingConfigurationArn
}

// At the end of their drain WebSockets are closed in order: those on instances that leave by a deployment or a pause, and those on the
// proxy that an upgrade replaces.
func TestWebSocketsAreClosedAtTheEndOfADrain(t *testing.T) {
	slow(t)
	t.Parallel()
	u := startUpgraded(t)
	a := u.Apron
	push(t, a, "drained:live", sample.Variant{Version: "one"})
	b := &busy{Apron: a, Service: a.MustCreate(t, fromImage("drained", "drained:live", nil))}
	b.long = load.StartLong(t, b.URL, dials(t, a, b.Service)...)
	for _, leave := range []func(){
		func() { b.MustDeploy(t) },
		func() { u.change(t); u.hangup(t); u.wantUpgraded(t) },
		func() { pause(t, a, b.Service) },
	} {
		before := b.long.Told()
		apron.Until(t, 30*time.Second, "WebSockets that talk", func() (bool, error) { return b.long.Told().Messages > before.Messages+50, nil })
		leave()
		apron.Until(t, 3*time.Minute, "the end of the drain", func() (bool, error) {
			told := b.long.Told()
			return told.Closed == before.Closed+3, fmt.Errorf("%+v after %+v", told, before)
		})
	}
	for _, fault := range b.long.Take() {
		if !strings.Contains(fault, "503") { // while it is paused
			t.Error(fault)
		}
	}
}
