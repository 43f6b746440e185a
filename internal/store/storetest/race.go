package storetest

import "sync"

// race calls work n times at the same time, hands each error to lost, one at a time, and returns how many had none.
func race(n int, work func(n int) error, lost func(error)) int {
	var (
		group sync.WaitGroup
		mu    sync.Mutex // guards wins and the calls of lost
		wins  int
		start = make(chan struct{})
	)
	for i := range n {
		group.Go(func() {
			<-start
			err := work(i)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				lost(err)
				return
			}
			wins++
		})
	}
	close(start)
	group.Wait()
	return wins
}
