package eventloop

import (
	"math/bits"
	"time"
)

// TimerGrain is how late a timer may fire.
const TimerGrain = 32 * time.Millisecond

const slots = 2048 // some 65 seconds; what is due later is looked at once more then

// timersAtOnce bounds how many timers are fired, or moved, while sockets wait.
const timersAtOnce = 256

// Timer calls its Expired once when its time has come. It belongs to one loop.
type Timer struct {
	// Expired is called by the loop's goroutine.
	Expired func()

	due        int64 // grains since the loop's begin; 0 when off
	slot       int64 // in whose list it is, -1 for none; at due, or before it
	isListed   bool
	prev, next *Timer
}

// timers is a wheel of lists, one for each grain of time. Timers are moved lazily: one that is put off stays in its list, and is
// moved when the list's time comes. So a connection that sets its timer for each request touches no list.
type timers struct {
	begun time.Time
	at    int64 // the grain that was fired last
	count int   // of the timers in lists
	lists [slots]*Timer
	used  [slots / 64]uint64 // which lists hold something
}

func (t *timers) begin(now time.Time) { t.begun = now }

func (t *timers) grain(at time.Time) int64 { return int64(at.Sub(t.begun) / TimerGrain) }

// SetTimer has the timer fire after d, and not when it was to fire before.
func (l *Loop) SetTimer(timer *Timer, d time.Duration) {
	t := &l.timers
	timer.due = max(int64((l.now.Sub(t.begun)+d+TimerGrain-1)/TimerGrain), t.at+1)
	if timer.isListed && timer.slot <= timer.due {
		return
	}
	t.remove(timer)
	t.insert(timer)
}

// StopTimer turns the timer off. Its list is left, so that what it belongs to can be forgotten.
func (l *Loop) StopTimer(timer *Timer) {
	timer.due = 0
	l.timers.remove(timer)
}

func (t *timers) insert(timer *Timer) {
	timer.slot = min(timer.due, t.at+slots-1)
	i := timer.slot % slots
	timer.prev, timer.next, timer.isListed = nil, t.lists[i], true
	if timer.next != nil {
		timer.next.prev = timer
	}
	t.lists[i] = timer
	t.count++
	t.used[i/64] |= 1 << (i % 64)
}

func (t *timers) remove(timer *Timer) {
	if !timer.isListed {
		return
	}
	t.count--
	i := timer.slot % slots
	if timer.next != nil {
		timer.next.prev = timer.prev
	}
	if timer.prev != nil {
		timer.prev.next = timer.next
	} else {
		t.lists[i] = timer.next
		if timer.next == nil {
			t.used[i/64] &^= 1 << (i % 64)
		}
	}
	timer.prev, timer.next, timer.isListed = nil, nil, false
}

// skip passes over the time in which there was no timer, which may have been days.
func (t *timers) skip(now time.Time) {
	if t.count == 0 {
		t.at = t.grain(now)
	}
}

// fire calls those that are due, the earliest first. When they are many it goes on after the sockets had their turn.
func (t *timers) fire(l *Loop) {
	left := timersAtOnce
	for until := t.grain(l.now); t.at < until; {
		t.at++
		for timer := t.lists[t.at%slots]; timer != nil; timer = t.lists[t.at%slots] {
			if left--; left < 0 {
				t.at--
				return
			}
			t.remove(timer)
			switch {
			case timer.due > t.at:
				t.insert(timer)
			case timer.due != 0:
				timer.due = 0
				l.call(timer.Expired)
			}
		}
	}
}

// untilNext is for how many milliseconds the loop may wait; -1 when there is no timer.
func (t *timers) untilNext() int {
	start := (t.at + 1) % slots
	for n := int64(0); n <= slots/64; n++ {
		word := (start/64 + n) % (slots / 64)
		set := t.used[word]
		if n == 0 {
			set &= ^uint64(0) << (start % 64)
		}
		if set == 0 {
			continue
		}
		slot := word*64 + int64(bits.TrailingZeros64(set))
		due := t.at + 1 + (slot-start+slots)%slots
		wait := time.Until(t.begun.Add(time.Duration(due) * TimerGrain))
		return max(int((wait+time.Millisecond-1)/time.Millisecond), 0)
	}
	return -1
}
