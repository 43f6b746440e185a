package deploy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheQueueServesInOrderAndTellsPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := NewQueue(2)
		var mu sync.Mutex
		var served []string
		places := map[string][]int{}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			go func() {
				leave, err := queue.Enter(t.Context(), func(place int) {
					mu.Lock()
					defer mu.Unlock()
					places[name] = append(places[name], place)
				})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				served = append(served, name)
				mu.Unlock()
				time.Sleep(time.Minute)
				if name == "a" {
					time.Sleep(10 * time.Second) // so that never two end at once
				}
				leave()
			}()
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff([]string{"a", "b", "c", "d", "e"}, served); diff != "" {
			t.Errorf("served (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string][]int{"c": {1}, "d": {2, 1}, "e": {3, 2, 1}}, places); diff != "" {
			t.Errorf("places (-want +got):\n%s", diff)
		}
	})
}

func TestWhoGivesUpLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := NewQueue(1)
		leave, err := queue.Enter(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		gone := errors.New("gone")
		ctx, giveUp := context.WithCancelCause(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := queue.Enter(ctx, func(int) {})
			failed <- err
		}()
		synctest.Wait()
		var places []int
		entered := make(chan func(), 1)
		go func() {
			leave, _ := queue.Enter(t.Context(), func(place int) { places = append(places, place) })
			entered <- leave
		}()
		synctest.Wait()
		giveUp(gone)
		if err := <-failed; !errors.Is(err, gone) {
			t.Errorf("it gave up with %v", err)
		}
		synctest.Wait()
		leave()
		(<-entered)()
		if !slices.Equal(places, []int{2, 1}) {
			t.Errorf("the one behind had the places %v", places)
		}
		if leave, err = queue.Enter(t.Context(), nil); err != nil {
			t.Error(err)
		}
		leave()
	})
}
