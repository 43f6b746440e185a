package deploy

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/apron-run/apron/internal/platform"
)

// eventLog is Logs of which only the events matter.
type eventLog struct {
	writing sync.Mutex // guards lines
	lines   []string
}

func (l *eventLog) Event(_ platform.ServiceID, format string, args ...any) {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}
func (l *eventLog) Deployment(platform.ServiceID, platform.OperationID) io.WriteCloser { return nil }
func (l *eventLog) InstancePath(platform.ServiceID, platform.InstanceID) string        { return "" }
func (l *eventLog) LastLines(platform.ServiceID, string, int) []string                 { return nil }
func (l *eventLog) RemoveService(platform.ServiceID)                                   {}

// scaledService is a service that the Scaler follows, with what the test says runs of it.
type scaledService struct {
	*Scaler
	t        *testing.T
	log      *eventLog
	now      time.Time
	serial   uint64
	service  platform.Service
	revision platform.Revision
}

func newScaledService(t *testing.T, tags map[string]string) *scaledService {
	log := &eventLog{}
	s := &scaledService{Scaler: NewScaler(log), t: t, log: log, now: noon, service: serving("r1")}
	s.service.Tags = tags
	s.revision = platform.Revision{ID: "r1", Configuration: platform.Configuration{
		AutoScaling: platform.AutoScaling{MaxConcurrency: 10, MinSize: 1, MaxSize: 20},
		HealthCheck: platform.HealthCheck{IntervalSeconds: 5},
	}}
	return s
}

// runs tells the Scaler what runs, and wants a size.
func (s *scaledService) runs(instances, want int) {
	s.t.Helper()
	size, told := s.Follow(s.now, s.service, s.revision, population{all: instances, ready: instances})
	s.tell(s.service.ID, told)
	if size != want {
		s.t.Errorf("with %d instances the size is %d, want %d", instances, size, want)
	}
}

// gets tells the Scaler how many requests there are, and wants a size.
func (s *scaledService) gets(requests, want int) {
	s.t.Helper()
	s.serial++
	load := platform.Load{ServiceID: s.service.ID, InFlight: requests, Peak: requests, LastRequestAt: s.now, IsShort: requests > 0}
	s.Report(s.now, platform.LoadReport{Serial: s.serial, At: s.now, Services: []platform.Load{load}})
	s.want(want)
}

func (s *scaledService) want(size int) {
	s.t.Helper()
	if got := s.Of(s.service).Size; got != size {
		s.t.Errorf("at %s the size is %d, want %d", s.now.Sub(noon), got, size)
	}
}

// pass lets time pass, as the Supervisor does: it asks again when something is due.
func (s *scaledService) pass(d time.Duration) {
	for until := s.now.Add(d); ; {
		_, next := s.Due(s.now)
		if next.IsZero() || next.After(until) {
			s.now = until
			return
		}
		s.now = next
	}
}

func TestASizeFollowsTheLoadAtOnceAndComesBackAfterAQuietTime(t *testing.T) {
	s := newScaledService(t, nil)
	s.runs(1, 1)
	s.gets(35, 4)
	s.runs(4, 4)
	s.gets(0, 4)
	s.pass(30 * time.Second)
	s.want(4)
	s.pass(5 * time.Minute)
	s.want(1)
	if lines := strings.Join(s.log.lines, "\n"); !strings.Contains(lines, "Scaled out: ") || !strings.Contains(lines, "Scaled in: ") {
		t.Errorf("the events do not tell why:\n%s", lines)
	}
	if scale := s.Of(s.service); scale.Reason == "" || scale.ChangedAt.IsZero() || scale.Max != 20 {
		t.Errorf("it is described as %+v", scale)
	}
}

func TestASizeStaysWhileNobodyTellsTheLoad(t *testing.T) {
	s := newScaledService(t, nil)
	s.runs(7, 7)
	s.pass(time.Hour)
	s.want(7)
	s.gets(0, 7) // a quiet time begins now, not when apron started
	s.pass(30 * time.Second)
	s.want(7)
	s.Lost()
	s.pass(time.Hour)
	s.want(7)
	s.runs(7, 7)
	s.gets(0, 7)
	s.pass(5 * time.Minute)
	s.want(1)
}

func TestAServiceOfWhichNothingIsToldSleepsToo(t *testing.T) {
	s := newScaledService(t, map[string]string{platform.TagMinSize: "0", platform.TagScaleToZeroAfter: "5m"})
	s.runs(1, 1)
	if _, _, next := s.Report(s.now, platform.LoadReport{Serial: 1, At: s.now}); next.IsZero() {
		t.Error("it is not decided about again")
	}
	s.pass(6 * time.Minute)
	s.want(0)
}

func TestARestartStartsNothingOfAServiceAtZero(t *testing.T) {
	s := newScaledService(t, map[string]string{platform.TagMinSize: "0"})
	s.runs(0, 0)
	s.gets(0, 0)
	s.pass(time.Hour)
	s.want(0)
	s.gets(1, 1) // a request wakes it
}

func TestAServiceSleepsAfterItsTimeAndADeploymentWakesItForAsLong(t *testing.T) {
	s := newScaledService(t, map[string]string{platform.TagMinSize: "0", platform.TagScaleToZeroAfter: "5m"})
	s.runs(1, 1)
	s.gets(0, 1)
	s.pass(4 * time.Minute)
	s.want(1)
	s.pass(2 * time.Minute)
	s.want(0)
	s.runs(0, 0)
	if size := s.SizeFor(s.service, s.revision); size != 1 {
		t.Errorf("a deployment begins with %d instances, want the one that proves its health", size)
	}
	s.service.ActiveRevisionID, s.revision.ID = "r2", "r2"
	s.runs(1, 1)
	s.pass(4 * time.Minute)
	s.want(1)
	s.pass(2 * time.Minute)
	s.want(0)
}

func TestADeploymentBeginsWithTheSizeThatThereIs(t *testing.T) {
	s := newScaledService(t, nil)
	s.runs(1, 1)
	s.gets(75, 8)
	next := s.revision
	next.ID, next.Configuration.AutoScaling.MaxSize = "r2", 5
	if size := s.SizeFor(s.service, next); size != 5 {
		t.Errorf("it begins with %d instances, want 5, the most that the new revision may have", size)
	}
	next.Configuration.AutoScaling.MaxSize = 50
	if size := s.SizeFor(s.service, next); size != 8 {
		t.Errorf("it begins with %d instances, want 8", size)
	}
	paused := s.service
	paused.IsServing = false
	if size := s.SizeFor(paused, next); size != 1 {
		t.Errorf("a resume begins with %d instances, want 1", size)
	}
	s.service.ActiveRevisionID, s.revision = "r2", next
	s.runs(8, 8)
}

func TestATagChangesTheBoundsAtOnce(t *testing.T) {
	s := newScaledService(t, nil)
	s.runs(1, 1)
	s.gets(0, 1)
	s.service.Tags = map[string]string{platform.TagMinSize: "3"}
	s.runs(1, 3)
	s.service.Tags = map[string]string{platform.TagMinSize: "100"}
	s.runs(3, 20)
}

func TestARestlessLoadDoesNotFloodTheEventLog(t *testing.T) {
	var events scaleEvents
	now, told := noon, 0
	for i := range 1000 {
		now = now.Add(time.Second)
		if events.line(now, i%2, 1+i%2, "so") != "" {
			told++
		}
	}
	if told < scaleEventsAtOnce || told > scaleEventsAtOnce+1000/int(scaleEventEvery.Seconds())+1 {
		t.Errorf("%d of 1000 changes were told", told)
	}
	now = now.Add(time.Hour)
	if line := events.line(now, 1, 0, "No request for 15m0s"); !strings.HasPrefix(line, "Scaled to zero: No request for 15m0s.") ||
		!strings.Contains(line, "changes before this one were not told") {
		t.Errorf("it says %q", line)
	}
}

func TestWhatWasMeasuredCountsOnlyForWhatItIsOf(t *testing.T) {
	s := newScaledService(t, map[string]string{platform.TagScaleOn: "memory", platform.TagScaleTarget: "90"})
	s.runs(2, 2)
	s.gets(0, 2)
	s.Uses(s.now, s.service.ID, 88)
	s.want(2)
	s.service.Tags = map[string]string{platform.TagScaleOn: "cpu", platform.TagScaleTarget: "50"}
	s.runs(2, 2)
	s.Uses(s.now, s.service.ID, 54)
	s.want(2)
	s.service.Tags[platform.TagScaleTarget] = "40"
	s.revision.ID = "r2"
	s.runs(2, 2)
}

// What instances use is measured now and then. One that is ready since takes its part of it, and is no reason for more.
func TestAnInstanceThatWasNotMeasuredMakesNoOthers(t *testing.T) {
	s := newScaledService(t, map[string]string{platform.TagScaleOn: "cpu", platform.TagScaleTarget: "60"})
	s.runs(2, 2)
	s.gets(0, 2)
	s.Uses(s.now, s.service.ID, 90)
	s.want(3)
	s.runs(3, 3)
	s.pass(time.Second)
	s.want(3)
	s.Uses(s.now, s.service.ID, 90)
	s.want(5)
}

// setBack is a time by a clock that was set back: the hour of the day is another, the time that has passed since others is not.
func setBack(t *testing.T, now time.Time, by time.Duration) time.Time {
	t.Helper()
	set := now
	*(*uint64)(unsafe.Pointer(&set)) -= uint64(by/time.Second) << 30 // the seconds, above the nanoseconds (time.Time)
	if set.Sub(now) != 0 || set.Unix() != now.Add(-by).Unix() {
		t.Fatal("a time is made of other parts by now")
	}
	return set
}

func TestAClockThatIsSetBackKeepsNoSizeUp(t *testing.T) {
	s := newScaledService(t, map[string]string{platform.TagMinSize: "0"})
	s.now = time.Now()
	s.runs(1, 1)
	s.gets(35, 4)
	s.runs(4, 4)
	s.now = setBack(t, s.now, 24*time.Hour)
	tell := func(requests int) { // as it comes from another process, by the new clock
		s.serial++
		s.Report(s.now, platform.LoadReport{Serial: s.serial, At: s.now.Round(0), Services: []platform.Load{{
			ServiceID: s.service.ID, InFlight: requests, Average: float64(requests), LastRequestAt: s.now.Round(0),
		}}})
	}
	s.pass(time.Second)
	tell(5)
	s.pass(time.Second)
	tell(0)
	s.pass(5 * time.Minute)
	s.want(1)
	s.pass(platform.DefaultToZeroAfter)
	s.want(0)
}
