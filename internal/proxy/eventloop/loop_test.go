package eventloop_test

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/apron-run/apron/internal/proxy/eventloop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a loop that runs until the test ends.
func open(t *testing.T) *eventloop.Loop {
	t.Helper()
	loop, err := eventloop.New()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); loop.Run() }()
	t.Cleanup(func() { loop.Stop(); loop.Stop(); <-done })
	return loop
}

// on calls f by the loop's goroutine and waits for it.
func on(t *testing.T, loop *eventloop.Loop, f func()) {
	t.Helper()
	done := make(chan struct{})
	if !loop.Post(func() { defer close(done); f() }) {
		t.Fatal("the loop has ended")
	}
	<-done
}

// pair returns the two ends of a connection; the second is closed when the test ends.
func pair(t *testing.T) (here, there int) {
	t.Helper()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(ends[1]) })
	return ends[0], ends[1]
}

// told is a handler that passes on what it is told.
type told chan eventloop.Events

func (h told) Ready(events eventloop.Events) { h <- events }

func (h told) next(t *testing.T, wanted eventloop.Events) {
	t.Helper()
	for limit := time.After(10 * time.Second); ; {
		select {
		case events := <-h:
			if events.Has(wanted) {
				return
			}
		case <-limit:
			t.Fatalf("nothing is told of %#x", wanted)
		}
	}
}

func TestAHandlerIsToldWhatMayBeDone(t *testing.T) {
	loop := open(t)
	here, there := pair(t)
	events := make(told, 100)
	on(t, loop, func() {
		if err := loop.Add(here, events); err != nil {
			t.Error(err)
		}
	})
	events.next(t, eventloop.CanWrite)
	buffer := make([]byte, 8)
	if _, err := eventloop.Read(here, buffer); err != syscall.EAGAIN {
		t.Errorf("nothing is there to read, and the error is %v", err)
	}
	eventloop.Write(there, []byte("hello"))
	events.next(t, eventloop.CanRead)
	if !eventloop.HasUnread(here) {
		t.Error("what has come is not seen")
	}
	if n, err := eventloop.Read(here, buffer); string(buffer[:n]) != "hello" || err != 0 {
		t.Errorf("read %q (%v)", buffer[:n], err)
	}
	eventloop.EndWriting(there)
	events.next(t, eventloop.IsEnded)
	on(t, loop, func() { loop.Close(here) })
}

func TestAHandlerIsNotToldOfASocketThatWasRemoved(t *testing.T) {
	loop := open(t)
	here, there := pair(t)
	defer syscall.Close(here)
	events := make(told, 100)
	on(t, loop, func() { loop.Add(here, events) })
	events.next(t, eventloop.CanWrite)
	on(t, loop, func() {
		eventloop.Write(there, []byte("late"))
		loop.Remove(here)
	})
	on(t, loop, func() {}) // the loop has looked once more
	if len(events) > 0 {
		t.Errorf("it is told %#x", <-events)
	}
}

func TestAgainComesAfterTheOthersHadTheirTurn(t *testing.T) {
	loop := open(t)
	var order []string
	events := make(chan string, 10)
	on(t, loop, func() {
		loop.Again(handler(func() { events <- "again" }))
		loop.Post(func() { events <- "posted" })
	})
	order = append(order, <-events, <-events)
	if order[0] != "posted" && order[1] != "posted" {
		t.Errorf("the order is %q", order)
	}
}

type handler func()

func (h handler) Ready(eventloop.Events) { h() }

func TestATimerFiresOnceAndNeverEarly(t *testing.T) {
	loop := open(t)
	const after = 3 * eventloop.TimerGrain
	for name, set := range map[string]func(*eventloop.Timer){
		"set once":     func(timer *eventloop.Timer) { loop.SetTimer(timer, after) },
		"put off":      func(timer *eventloop.Timer) { loop.SetTimer(timer, time.Millisecond); loop.SetTimer(timer, after) },
		"brought near": func(timer *eventloop.Timer) { loop.SetTimer(timer, time.Hour); loop.SetTimer(timer, after) },
		"set anew":     func(timer *eventloop.Timer) { loop.StopTimer(timer); loop.SetTimer(timer, after) },
	} {
		t.Run(name, func(t *testing.T) {
			var begun time.Time
			fired := make(chan time.Duration, 10)
			timer := &eventloop.Timer{Expired: func() { fired <- time.Since(begun) }}
			on(t, loop, func() {
				begun = loop.Now()
				set(timer)
			})
			if took := <-fired; took < after || took > after+time.Second {
				t.Errorf("it fires after %s, want %s", took, after)
			}
			on(t, loop, func() { loop.StopTimer(timer) })
			if len(fired) > 0 {
				t.Error("it fires twice")
			}
		})
	}
}

func TestATimerThatIsStoppedDoesNotFire(t *testing.T) {
	loop := open(t)
	var count atomic.Int64
	stopped, other := &eventloop.Timer{Expired: func() { count.Add(1) }}, make(chan struct{})
	on(t, loop, func() {
		loop.SetTimer(stopped, eventloop.TimerGrain)
		loop.SetTimer(&eventloop.Timer{Expired: func() { close(other) }}, 3*eventloop.TimerGrain)
		loop.StopTimer(stopped)
	})
	<-other
	if count.Load() > 0 {
		t.Error("it fires")
	}
}

func TestConnectTellsHowItWent(t *testing.T) {
	listener, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(listener)
	if err := syscall.Bind(listener, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, _ := syscall.Getsockname(listener)
	address := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*syscall.SockaddrInet4).Port))
	loop := open(t)
	connect := func() (fd int, err error) {
		events := make(told, 10)
		on(t, loop, func() {
			if fd, err = eventloop.Connect(address); err == nil {
				err = loop.Add(fd, events)
			}
		})
		if err == nil {
			events.next(t, eventloop.CanWrite)
			err = eventloop.ConnectError(fd)
			on(t, loop, func() { loop.Remove(fd) })
		}
		return fd, err
	}
	if _, err := connect(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens, and the error is %v", err)
	}
	if err := syscall.Listen(listener, 1); err != nil {
		t.Fatal(err)
	}
	fd, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	conn, peer, errno := eventloop.Accept(listener)
	if errno != 0 || !peer.Addr().IsLoopback() || peer.Port() == 0 {
		t.Errorf("accepted from %v (%v)", peer, errno)
	}
	syscall.Close(conn)
}

func TestASocketThatWasNeverAddedIsClosedAllTheSame(t *testing.T) {
	loop := open(t)
	here, there := pair(t)
	const high = 1000 // beyond all that the loop knows
	if err := syscall.Dup3(here, high, syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	syscall.Close(here)
	on(t, loop, func() { loop.Close(high) })
	if n, errno := eventloop.Peek(there); n != 0 || errno != 0 {
		t.Errorf("a look finds %d bytes, %v; want the end", n, errno)
	}
}
