package operation

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheQueueServesInOrderAndTellsPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := newQueue(2)
		var mu sync.Mutex
		var served []string
		numbers := map[string][]int{}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			place := queue.join()
			go func() {
				defer place.leave()
				if !place.wait(t.Context(), func(number int) {
					mu.Lock()
					defer mu.Unlock()
					numbers[name] = append(numbers[name], number)
				}) {
					t.Errorf("%s had no turn", name)
				}
				mu.Lock()
				served = append(served, name)
				mu.Unlock()
				time.Sleep(time.Minute)
				if name == "a" {
					time.Sleep(10 * time.Second) // so that never two end at once
				}
			}()
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff([]string{"a", "b", "c", "d", "e"}, served); diff != "" {
			t.Errorf("served (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string][]int{"c": {1}, "d": {2, 1}, "e": {3, 2, 1}}, numbers); diff != "" {
			t.Errorf("numbers (-want +got):\n%s", diff)
		}
	})
}

func TestWhoGivesUpLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := newQueue(1)
		first, second, third := queue.join(), queue.join(), queue.join()
		ctx, giveUp := context.WithCancel(t.Context())
		gaveUp := make(chan bool, 1)
		go func() { gaveUp <- !second.wait(ctx, func(int) {}); second.leave() }()
		var numbers []int
		hasTurn := make(chan bool, 1)
		go func() { hasTurn <- third.wait(t.Context(), func(number int) { numbers = append(numbers, number) }) }()
		synctest.Wait()
		giveUp()
		if !<-gaveUp {
			t.Error("it had a turn although another worked")
		}
		synctest.Wait()
		first.leave()
		first.leave() // counts once
		if !<-hasTurn {
			t.Error("the one behind had no turn")
		}
		if diff := cmp.Diff([]int{2, 1}, numbers); diff != "" {
			t.Errorf("the one behind had the numbers (-want +got):\n%s", diff)
		}
		fourth := queue.join()
		if fourth.hasTurn() {
			t.Error("two work at once")
		}
		third.leave()
		if !fourth.hasTurn() {
			t.Error("a free turn went to nobody")
		}
	})
}

// A turn that came when nobody waited for it any more goes to the next.
func TestATurnThatNobodyTakesGoesToTheNext(t *testing.T) {
	queue := newQueue(1)
	first, second, third := queue.join(), queue.join(), queue.join()
	first.leave()
	second.leave()
	if !third.hasTurn() {
		t.Error("the turn is lost")
	}
}
