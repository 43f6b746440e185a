package proxy

import (
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// One that has waited long for room, and meets an instance that has just died, waits for another one as those do that came later.
func TestOneThatHasWaitedLongIsNotRefusedByAnInstanceThatIsGone(t *testing.T) {
	const hold = 200 * time.Millisecond
	p := New(Config{HoldTimeout: hold})
	p.SetRoutes([]platform.Route{serving(1, 0, 1)})
	holder := newSeeking().find(p).instance
	s := queued(t, p)
	time.Sleep(2 * hold) // the request in flight is long
	p.release(holder)    // the instance died
	found := <-s.told
	if found.instance != holder {
		t.Fatalf("found %+v", found)
	}
	// It does not accept the connection: as notTaken, and serve.
	p.release(holder)
	holder.avoid()
	s.tried = append(s.tried, holder)
	if found, isNow := p.seek(&s.seeker); isNow {
		t.Fatalf("refused at once: %+v", found.refusal)
	}
	p.SetRoutes([]platform.Route{serving(1, 1, 1)}) // another takes its place
	if found := <-s.told; found.instance == nil {
		t.Errorf("found %+v", found.refusal)
	}
}

// One that waits for room while one instance does not take it waits as long as those do that have not met that one.
func TestOneThatAnInstanceHasNotTakenWaitsForRoomInOthers(t *testing.T) {
	const hold = 200 * time.Millisecond
	p := New(Config{HoldTimeout: hold})
	p.SetRoutes([]platform.Route{serving(1, 0, 2)})
	one, two := newSeeking().find(p).instance, newSeeking().find(p).instance
	s := queued(t, p)
	p.release(one)
	if found := <-s.told; found.instance != one {
		t.Fatalf("found %+v", found)
	}
	s.tried = append(s.tried, one)
	p.release(one)
	if found, isNow := p.seek(&s.seeker); isNow {
		t.Fatalf("found %+v", found)
	}
	p.SetRoutes([]platform.Route{serving(1, 1, 1)}) // the one is gone, the other is full for long
	time.Sleep(2 * hold)
	p.release(two)
	if found := <-s.told; found.instance == nil {
		t.Errorf("refused: %+v", found.refusal)
	}
}

// The wait for the first instance is no wait for room.
func TestThoseThatHaveWokenAServiceWaitForRoomAfterwards(t *testing.T) {
	const queue = 200 * time.Millisecond
	p := New(Config{QueueTimeout: queue})
	asleep := serving(1, 0, 0)
	asleep.IsWakeable = true
	p.SetRoutes([]platform.Route{asleep})
	first, second := queued(t, p), queued(t, p)
	time.Sleep(2 * queue) // it takes long to start
	p.SetRoutes([]platform.Route{serving(1, 0, 1)})
	found := <-first.told
	if found.instance == nil {
		t.Fatalf("the first is refused: %+v", found.refusal)
	}
	time.Sleep(queue / 4)
	p.release(found.instance)
	if found := <-second.told; found.instance == nil {
		t.Errorf("the second is refused: %+v", found.refusal)
	}
}
