package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// part is one of what runs as long as apron does. run returns nil after ctx has ended, and an error at any time.
type part struct {
	name string
	run  func(ctx context.Context) error
}

// partsStopTimeout is how long all parts together may take to end. Each has bounds of its own below it; one that passes this
// has a defect, and the next start finds everything as after a kill.
const partsStopTimeout = 30 * time.Second

// maxStacks bounds the dump of goroutines in the log.
const maxStacks = 256 << 10

// runAll runs all parts until ctx ends or one of them fails, and returns after all have ended. A failure is told at once:
// the others may take a while. Parts that do not end in time are told, and left.
func runAll(ctx context.Context, log *slog.Logger, parts ...part) error {
	return runParts(ctx, log, partsStopTimeout, parts)
}

func runParts(ctx context.Context, log *slog.Logger, stopTimeout time.Duration, parts []part) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex // guards running and failure
	var failure error
	running := map[string]bool{}
	for _, each := range parts {
		running[each.name] = true
	}
	var group sync.WaitGroup
	for _, each := range parts {
		group.Go(func() {
			err := each.run(ctx)
			mu.Lock()
			defer mu.Unlock()
			delete(running, each.name)
			if ctx.Err() == nil {
				err = cmp.Or(err, errors.New("it ended by itself"))
				log.Error("a part of apron failed; all others end", "part", each.name, "error", err)
			}
			if err != nil && failure == nil {
				failure = fmt.Errorf("%s: %w", each.name, err)
			}
			cancel()
		})
	}
	ended := make(chan struct{})
	go func() { group.Wait(); close(ended) }()
	<-ctx.Done()
	select {
	case <-ended:
		return failure
	case <-time.After(stopTimeout):
	}
	mu.Lock()
	defer mu.Unlock()
	left := strings.Join(slices.Sorted(maps.Keys(running)), ", ")
	stacks := make([]byte, maxStacks)
	stacks = stacks[:runtime.Stack(stacks, true)]
	log.Error("parts of apron do not end, and are left", "parts", left, "goroutines", string(stacks))
	return errors.Join(failure, fmt.Errorf("%s: no end within %s", left, stopTimeout))
}
