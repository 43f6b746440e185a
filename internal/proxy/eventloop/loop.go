package eventloop

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Events are what may be done with a socket now.
type Events uint32

const (
	// CanRead says that there are bytes, an end or an error to read.
	CanRead Events = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
	// CanWrite says that bytes can be written, or an error be found by trying.
	CanWrite Events = syscall.EPOLLOUT | syscall.EPOLLHUP | syscall.EPOLLERR
	// IsEnded says that the other side sends nothing more.
	IsEnded Events = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
)

// Has says whether one of these events is among them.
func (e Events) Has(these Events) bool { return e&these != 0 }

// Handler is told what may be done with a socket, by the loop's goroutine.
type Handler interface{ Ready(Events) }

const (
	epollET     = 1 << 31
	wanted      = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | epollET
	eventsAtOne = 256
)

// Loop waits for sockets. New opens one, Run serves it.
type Loop struct {
	epoll, wake int
	now         time.Time
	sockets     []socket // by their numbers
	timers      timers
	again       []Handler
	// Failed is told when a handler panics, which ends neither the loop nor what else it serves; the handler is nil for a timer and for
	// what was posted.
	Failed func(handler Handler, problem any)

	isAsleep  atomic.Bool // waits in epoll, or is about to
	hasPosted atomic.Bool
	mu        sync.Mutex // guards posted and isOver, and that epoll and wake are open until then
	posted    []func()
	isOver    bool
	isStopped bool
}

// socket is who handles a socket. The turn tells events of sockets apart that had the same number one after the other.
type socket struct {
	handler Handler
	turn    int32
}

// New opens a loop.
func New() (*Loop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open an event loop: %w", err)
	}
	wake, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		syscall.Close(epoll)
		return nil, fmt.Errorf("open an event loop: %w", errno)
	}
	l := &Loop{epoll: epoll, wake: int(wake), now: time.Now()}
	l.timers.begin(l.now)
	if err := l.Add(l.wake, (*waker)(l)); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// Run serves until Stop. Then nothing of the loop may be used any more.
func (l *Loop) Run() {
	defer l.close()
	var events [eventsAtOne]syscall.EpollEvent
	for !l.isStopped {
		n := l.wait(&events)
		l.now = time.Now()
		l.timers.skip(l.now)
		for i := range events[:n] {
			event := &events[i]
			if s := &l.sockets[event.Fd]; s.turn == event.Pad && s.handler != nil {
				l.ready(s.handler, Events(event.Events))
			}
		}
		if l.hasPosted.Load() {
			l.runPosted()
		}
		l.timers.fire(l)
		l.runAgain()
	}
}

// ready calls a handler.
func (l *Loop) ready(handler Handler, events Events) {
	defer l.rescue(handler)
	handler.Ready(events)
}

// call calls what was posted, or a timer's Expired.
func (l *Loop) call(f func()) {
	defer l.rescue(nil)
	f()
}

func (l *Loop) rescue(handler Handler) {
	if l.Failed == nil {
		return
	}
	if problem := recover(); problem != nil {
		defer func() { _ = recover() }() // what Failed could not do is left undone, for others go on
		l.Failed(handler, problem)
	}
}

// wait returns how many events there are. What is there already is taken without a word to the scheduler; a wait that may
// be long lets other goroutines have the processor.
func (l *Loop) wait(events *[eventsAtOne]syscall.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(events)), eventsAtOne, 0, 0, 0)
	if errno != 0 {
		n = 0
	}
	if n > 0 || len(l.again) > 0 {
		return int(n)
	}
	l.isAsleep.Store(true)
	defer l.isAsleep.Store(false)
	if l.hasPosted.Load() { // whoever posts looks at isAsleep after that: one sees the other
		return 0
	}
	n, _, errno = syscall.Syscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(events)), eventsAtOne, uintptr(l.timers.untilNext()), 0, 0)
	if errno != 0 { // EINTR: a signal for the runtime
		return 0
	}
	return int(n)
}

// Now is the time at which the loop looked last.
func (l *Loop) Now() time.Time { return l.now }

// Add has the handler told of a socket, which must not block.
func (l *Loop) Add(fd int, handler Handler) error {
	for fd >= len(l.sockets) {
		l.sockets = append(l.sockets, make([]socket, max(fd+1-len(l.sockets), len(l.sockets), 64))...)
	}
	s := &l.sockets[fd]
	s.turn++ // what had the number before may have been closed without a word to the loop
	event := syscall.EpollEvent{Events: wanted, Fd: int32(fd), Pad: s.turn}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(l.epoll), syscall.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&event)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("watch a socket: %w", errno)
	}
	s.handler = handler
	return nil
}

// SetHandler has another handler told of a socket.
func (l *Loop) SetHandler(fd int, handler Handler) { l.sockets[fd].handler = handler }

// Close forgets a socket and closes it.
func (l *Loop) Close(fd int) {
	l.forget(fd)
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0)
}

// Remove forgets a socket and leaves it open.
func (l *Loop) Remove(fd int) {
	l.forget(fd)
	l.unwatch(fd)
}

// Unwatch ends what Add has begun for a descriptor that its caller closes then, where the socket has others: epoll goes on telling of it
// as long as one is open. Any goroutine may call it; the handler may still be told of what has happened before.
func (l *Loop) Unwatch(fd int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isOver {
		l.unwatch(fd)
	}
}

func (l *Loop) unwatch(fd int) {
	var event syscall.EpollEvent
	_, _, _ = syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(l.epoll), syscall.EPOLL_CTL_DEL, uintptr(fd), uintptr(unsafe.Pointer(&event)), 0, 0)
}

func (l *Loop) forget(fd int) {
	if fd < len(l.sockets) { // or it was never added
		l.sockets[fd].handler = nil
		l.sockets[fd].turn++
	}
}

// Again calls the handler once more before the loop waits, after what else is ready had its turn.
func (l *Loop) Again(handler Handler) { l.again = append(l.again, handler) }

func (l *Loop) runAgain() {
	for _, each := range l.again[:len(l.again):len(l.again)] {
		l.ready(each, 0)
		l.again = l.again[1:]
	}
	if len(l.again) == 0 {
		l.again = nil
	}
}

// Post has the loop's goroutine call f soon. It returns false when the loop has ended. Any goroutine may call it.
func (l *Loop) Post(f func()) bool {
	l.mu.Lock()
	if l.isOver {
		l.mu.Unlock()
		return false
	}
	l.posted = append(l.posted, f)
	l.hasPosted.Store(true)
	if l.isAsleep.Load() {
		one := uint64(1)
		_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(l.wake), uintptr(unsafe.Pointer(&one)), 8)
	}
	l.mu.Unlock()
	return true
}

func (l *Loop) runPosted() {
	l.mu.Lock()
	posted := l.posted
	l.posted = nil
	l.hasPosted.Store(false)
	l.mu.Unlock()
	for _, each := range posted {
		l.call(each)
	}
}

// Stop ends Run. Twice is safe; any goroutine may call it.
func (l *Loop) Stop() { l.Post(func() { l.isStopped = true }) }

// close runs what was posted last, and gives everything back.
func (l *Loop) close() {
	for {
		l.runPosted()
		l.mu.Lock()
		if l.isOver = len(l.posted) == 0; l.isOver {
			syscall.Close(l.wake)
			syscall.Close(l.epoll)
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
	}
}

// waker is the loop as the handler of the descriptor that wakes it.
type waker Loop

func (w *waker) Ready(Events) {
	var count uint64
	_, _, _ = syscall.RawSyscall(syscall.SYS_READ, uintptr(w.wake), uintptr(unsafe.Pointer(&count)), 8)
}
