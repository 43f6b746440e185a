// Package steady sends small requests at a constant rate from one thread, and counts how long each answer took from the moment at
// which its request was due: a server that stalls cannot put off the requests by which it is measured.
//
// It is for measurements beside other programs on the same machine, so it is made to take little CPU itself: an epoll
// loop, requests that are ready to be written, keep-alive connections, and no more of an answer read than is needed.
package steady

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Load is what is sent.
type Load struct {
	// Address is that of the server, by IPv4.
	Address netip.AddrPort
	// Requests are sent in turn, as they are. They have no body, and ask for answers with a Content-Length.
	Requests [][]byte
	// Rate is how many are due in a second.
	Rate int
	// Conns is on how many connections at a time. What is due while an answer is due on each waits, and that counts.
	Conns int
}

// Result is what came of it.
type Result struct {
	// Latency is of the good answers, from when the request was due to the last byte of its answer.
	Latency Histogram
	// Due counts the requests, Failed those without a good answer, Problems why, with a bound.
	Due, Failed int
	Problems    map[string]int
	// Answered is by status.
	Answered map[int]int
}

const (
	// patience is how long answers may take once the load has ended.
	patience = 5 * time.Second
	// maxProblems bounds the kinds of problems that are told.
	maxProblems = 20
)

// Run sends until ctx ends, and waits for the answers that are due then. The error is that of the generator, not that of a request.
func (l Load) Run(ctx context.Context) (*Result, error) {
	// The thread ends with the goroutine that is locked to it, its timer slack too.
	type ended struct {
		result *Result
		err    error
	}
	done := make(chan ended, 1)
	go func() {
		runtime.LockOSThread()
		result, err := l.run(ctx)
		done <- ended{result, err}
	}()
	end := <-done
	return end.result, end.err
}

func (l Load) run(ctx context.Context) (*Result, error) {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0); err != nil { // else waits are 50 µs too long
		return nil, fmt.Errorf("set the timer slack: %w", err)
	}
	s := &sender{
		Load: l, result: &Result{Problems: map[string]int{}, Answered: map[int]int{}},
		conns: map[int32]*conn{}, buffer: make([]byte, 16<<10), begun: time.Now(),
	}
	var err error
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	defer s.close()
	for range l.Conns {
		if err := s.connect(); err != nil {
			return nil, err
		}
	}
	s.begun = time.Now()
	return s.result, s.loop(ctx)
}

// sender is a load that runs.
type sender struct {
	Load
	result *Result
	epoll  int
	conns  map[int32]*conn // by their descriptors
	free   []*conn
	buffer []byte
	begun  time.Time
	sent   int
}

func (s *sender) close() {
	for _, each := range s.conns {
		unix.Close(each.fd)
	}
	unix.Close(s.epoll)
}

func (s *sender) connect() error {
	c, err := dial(s.Address)
	if err != nil {
		return err
	}
	s.conns[int32(c.fd)] = c
	s.free = append(s.free, c)
	return unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(c.fd)})
}

// loop sends what is due and takes what has come, until ctx has ended and all is answered.
func (s *sender) loop(ctx context.Context) error {
	events := make([]unix.EpollEvent, 256)
	var lastDue int
	var deadline time.Duration
	for {
		now := time.Since(s.begun)
		due := int(now.Seconds()*float64(s.Rate)) + 1
		if deadline == 0 && ctx.Err() != nil {
			lastDue, deadline = due, now+patience
		}
		if deadline > 0 {
			due = lastDue
			if s.sent >= due && len(s.free) == len(s.conns) {
				break
			}
			if now >= deadline {
				s.fail(errors.New("there was no answer in time"), due-s.sent+len(s.conns)-len(s.free))
				break
			}
		}
		if err := s.send(due); err != nil {
			return err
		}
		wait := 50 * time.Millisecond // for ctx, when all connections are busy
		if s.sent >= due && deadline == 0 {
			wait = min(wait, max(s.dueAt(due)-time.Since(s.begun), 0))
		}
		n, err := waitFor(s.epoll, events, wait)
		if err != nil {
			return err
		}
		for _, event := range events[:n] {
			if err := s.receive(s.conns[event.Fd]); err != nil {
				return err
			}
		}
	}
	s.result.Due = s.result.Latency.Count() + s.result.Failed
	return nil
}

// dueAt is when the request with the number is due.
func (s *sender) dueAt(number int) time.Duration {
	return time.Duration(float64(number) / float64(s.Rate) * float64(time.Second))
}

// send sends what is due as far as there are free connections.
func (s *sender) send(due int) error {
	for s.sent < due && len(s.free) > 0 {
		c := s.free[0] // the one that has rested longest, so that all take part, and all threads behind them
		s.free = s.free[1:]
		err := c.send(s.Requests[s.sent%len(s.Requests)], s.dueAt(s.sent))
		s.sent++
		if err != nil {
			s.fail(err, 1)
			if err := s.replace(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// receive takes what has come on a connection.
func (s *sender) receive(c *conn) error {
	if c == nil {
		return nil // it was replaced meanwhile
	}
	isComplete, err := c.receive(s.buffer)
	switch {
	case err != nil && !c.isBusy:
		s.free = without(s.free, c)
		return s.replace(c) // a server may close what is idle
	case err != nil:
		s.fail(err, 1)
		return s.replace(c)
	case !isComplete:
		return nil
	}
	c.isBusy = false
	s.result.Answered[c.status]++
	if c.status == 200 {
		s.result.Latency.Add(time.Since(s.begun) - c.due)
	} else {
		s.fail(fmt.Errorf("status %d", c.status), 1)
	}
	if c.isLast {
		return s.replace(c)
	}
	s.free = append(s.free, c)
	return nil
}

// replace makes a new connection in the place of one that is in no list.
func (s *sender) replace(c *conn) error {
	delete(s.conns, int32(c.fd))
	unix.Close(c.fd)
	return s.connect()
}

func (s *sender) fail(err error, requests int) {
	s.result.Failed += requests
	if told := err.Error(); s.result.Problems[told] > 0 || len(s.result.Problems) < maxProblems {
		s.result.Problems[told] += requests
	}
}

func without(all []*conn, c *conn) []*conn {
	for i, each := range all {
		if each == c {
			return append(all[:i], all[i+1:]...)
		}
	}
	return all
}

// waitFor waits for events with the kernel's finest clock: epoll_wait knows only milliseconds.
func waitFor(epoll int, events []unix.EpollEvent, wait time.Duration) (int, error) {
	timeout := unix.NsecToTimespec(int64(wait))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
		uintptr(unsafe.Pointer(&timeout)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	}
	return 0, fmt.Errorf("wait for answers: %w", errno)
}
