package gitserver

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
)

// answer passes what `git receive-pack` says on to the client as it comes, but for the flush packet at its end: until
// that arrives, the client's git shows its user whatever comes on the progress band ("remote: …"). A client that has not
// asked for bands gets its answer as it is (gitprotocol-pack, "Report Status"; gitprotocol-common, "pkt-line Format").
type answer struct {
	to io.Writer
	// header is what has come of a packet's length; left is how much of the packet is to come, or -1 for what is no packet.
	header []byte
	left   int
	// isHeld says that a flush packet has come and was not passed on, hasBands that a packet with a band has.
	isHeld, hasBands bool

	mu sync.Mutex // guards writes of what is told
	// spoke is when something was told last.
	spoke time.Time
}

const (
	flush = "0000"
	// progressBand is what the client's git shows.
	progressBand = 2
	// maxTold is what a packet may carry so that every client takes it: that of the older side band has 1000 bytes.
	maxTold = 1000 - 5
)

// Write takes what receive-pack says.
func (a *answer) Write(p []byte) (int, error) {
	var passed []byte
	for rest := p; len(rest) > 0; {
		if a.left != 0 {
			n := len(rest)
			if a.left > 0 {
				n = min(n, a.left)
				a.left -= n
			}
			if len(a.header) == 4 {
				a.hasBands = a.hasBands || rest[0] >= 1 && rest[0] <= 3
				a.header = a.header[:0]
			}
			passed, rest = append(passed, rest[:n]...), rest[n:]
			continue
		}
		n := min(4-len(a.header), len(rest))
		a.header, rest = append(a.header, rest[:n]...), rest[n:]
		if len(a.header) < 4 {
			break
		}
		if a.isHeld { // it was none at the end
			passed, a.isHeld = append(passed, flush...), false
		}
		length, err := strconv.ParseUint(string(a.header), 16, 16)
		switch {
		case err == nil && length == 0:
			a.isHeld, a.header = true, a.header[:0]
			continue
		case err == nil && length >= 4:
			a.left = int(length) - 4
		default:
			a.left = -1
		}
		passed = append(passed, a.header...)
		if a.left <= 0 {
			a.header = a.header[:0]
		}
	}
	if len(passed) > 0 {
		if _, err := a.to.Write(passed); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// tell calls each of tells with where the client's git shows lines to its user. Where there is no such place, they are
// not called. Until they return, the client gets a sign of life whenever nothing was told for keepAlive.
func (a *answer) tell(ctx context.Context, keepAlive time.Duration, tells []func(context.Context, io.Writer)) {
	if !a.hasBands || !a.isHeld || len(tells) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	var living sync.WaitGroup
	living.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(keepAlive):
				if err := a.sayAlive(keepAlive); err != nil {
					cancel()
				}
			}
		}
	})
	for _, tell := range tells {
		if ctx.Err() == nil {
			tell(ctx, told{a, cancel})
		}
	}
	cancel()
	living.Wait()
}

// told is what is told to the user. The client that does not take it is gone.
type told struct {
	*answer
	leave func()
}

func (t told) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spoke = time.Now()
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxTold)
		if _, err := fmt.Fprintf(t.to, "%04x%c%s", n+5, progressBand, rest[:n]); err != nil {
			t.leave()
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// sayAlive sends an empty packet, as git itself does, unless something was told lately.
func (a *answer) sayAlive(every time.Duration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.spoke) < every {
		return nil
	}
	_, err := fmt.Fprintf(a.to, "%04x%c", 5, progressBand)
	return err
}

// end ends the answer.
func (a *answer) end() error {
	if !a.isHeld {
		return nil
	}
	a.isHeld = false
	_, err := io.WriteString(a.to, flush)
	return err
}
