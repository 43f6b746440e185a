package eventloop

import (
	"testing"
	"time"
)

func TestALoopThatHadNothingToDoForLongGoesOnAtOnce(t *testing.T) {
	loop, err := New()
	if err != nil {
		t.Fatal(err)
	}
	loop.timers.begin(time.Now().Add(-200 * 365 * 24 * time.Hour)) // looking at each grain of that would take minutes
	done := make(chan struct{})
	go func() { defer close(done); loop.Run() }()
	defer func() { loop.Stop(); <-done }()
	fired := make(chan struct{})
	loop.Post(func() { loop.SetTimer(&Timer{Expired: func() { close(fired) }}, time.Millisecond) })
	select {
	case <-fired:
	case <-time.After(10 * time.Second):
		t.Error("the timer has not fired")
	}
}

func TestOthersHaveTheirTurnBetweenManyTimers(t *testing.T) {
	loop, err := New()
	if err != nil {
		t.Fatal(err)
	}
	const count = 10 * timersAtOnce
	fired, firedBefore := 0, -1
	for i := range count {
		loop.SetTimer(&Timer{Expired: func() {
			if fired++; i == count-1 { // the last that was set is the first of its list
				loop.Post(func() { firedBefore = fired })
			}
			if fired == count {
				loop.Stop()
			}
		}}, time.Millisecond)
	}
	loop.Run()
	if firedBefore < 1 || firedBefore > timersAtOnce {
		t.Errorf("%d of %d timers had fired before another was called", firedBefore, count)
	}
}
