package proxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/proxy/eventloop"
)

// acceptPause is the wait after an error that may pass.
const acceptPause = 50 * time.Millisecond

// acceptor takes a listener's connections for the lanes. It has a descriptor of its own of the listening socket, and runs on the first
// lane.
type acceptor struct {
	*fastRoad
	listener *limitedListener
	others   *handedOver
	timer    eventloop.Timer
	next     int // the lane that has its turn
	// isQueued says that the loop calls Ready once more before it waits.
	isQueued bool

	mu       sync.Mutex // guards the members below
	fd       int
	isClosed bool
}

// accept begins to take a listener's connections, until the listener is closed.
func (f *fastRoad) accept(listener *limitedListener, others *handedOver) error {
	raw, err := listener.Listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		return fmt.Errorf("watch the listener: %w", err)
	}
	a := &acceptor{fastRoad: f, listener: listener, others: others}
	controlErr := raw.Control(func(fd uintptr) { a.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(controlErr, err); err != nil {
		if errors.Is(err, net.ErrClosed) { // the proxy leaves already
			return nil
		}
		return fmt.Errorf("watch the listener: %w", err)
	}
	a.timer.Expired = a.acceptAll
	first := f.lanes[0].loop
	listener.attach(a.close, func() { first.Post(a.acceptAll) })
	first.Post(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.isClosed {
			if err := first.Add(a.fd, a); err != nil {
				f.config.Log.Error("take connections", "error", err)
			}
		}
	})
	return nil
}

// Ready is called by the loop.
func (a *acceptor) Ready(events eventloop.Events) {
	a.isQueued = a.isQueued && events != 0
	a.acceptAll()
}

// acceptAll takes what is there, and goes on after the others had their turn when that is much. When as many connections are open as may
// be, it is called again by the first that closes.
func (a *acceptor) acceptAll() {
	for range maxSteps {
		if !a.listener.enter() {
			return
		}
		if !a.acceptOne() {
			a.listener.exit()
			return
		}
	}
	if !a.isQueued {
		a.isQueued = true
		a.lanes[0].loop.Again(a)
	}
}

// acceptOne gives one connection to the next lane. It returns false when there is none.
func (a *acceptor) acceptOne() bool {
	a.mu.Lock()
	if a.isClosed {
		a.mu.Unlock()
		return false
	}
	fd, peer, errno := eventloop.Accept(a.fd)
	a.mu.Unlock()
	switch {
	case errno == syscall.ECONNABORTED, errno == syscall.EINTR:
		return a.acceptOne()
	case errno != 0 && errno != syscall.EAGAIN: // such as too many open files: some are closed meanwhile
		a.lanes[0].loop.SetTimer(&a.timer, acceptPause)
		return false
	case errno != 0:
		return false
	}
	a.conns.Add(1)
	l := a.lanes[a.next%len(a.lanes)]
	a.next++
	if l == a.lanes[0] {
		l.begin(fd, peer, a.listener, a.others)
		return true
	}
	if !l.loop.Post(func() { l.begin(fd, peer, a.listener, a.others) }) {
		syscall.Close(fd)
		a.conns.Add(-1)
		a.listener.exit()
	}
	return true
}

// close gives up the descriptor. Nothing is accepted any more when it returns. Any goroutine may call it.
func (a *acceptor) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.isClosed {
		a.isClosed = true
		a.lanes[0].loop.Unwatch(a.fd) // the listener has other descriptors, and another proxy may have them
		syscall.Close(a.fd)
	}
}
