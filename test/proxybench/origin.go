package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// addresses is where an origin listens.
type addresses struct {
	// Instances answer small requests, each with its number in the header X-Instance, and upgrade connections.
	Instances []string
	// Bodies sends and takes large ones.
	Bodies string
}

// origin is the app behind the proxies, a process of its own. It does as little as can be done: what is measured is what stands
// before it. It tells its addresses on its output, and ends with its input.
func origin(instances int) error {
	var told addresses
	loop, err := newOriginLoop()
	if err != nil {
		return err
	}
	for number := range instances {
		address, err := loop.listen(number)
		if err != nil {
			return err
		}
		told.Instances = append(told.Instances, address)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	told.Bodies = listener.Addr().String()
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		return err
	}
	ended := make(chan error, 3)
	go func() { ended <- http.Serve(listener, http.HandlerFunc(bodies)) }()
	go func() {
		runtime.LockOSThread()
		ended <- loop.run()
	}()
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		ended <- err
	}()
	return <-ended
}

// bodies answers GET with as many bytes as the path says, and everything else with how many bytes came.
func bodies(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		buffer := make([]byte, 256<<10)
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, buffer)
		fmt.Fprint(w, n)
		return
	}
	left, err := strconv.Atoi(r.URL.Path[1:])
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(left))
	for buffer := make([]byte, 256<<10); left > 0; left -= len(buffer) {
		buffer = buffer[:min(left, len(buffer))]
		if _, err := w.Write(buffer); err != nil {
			return
		}
	}
}

// originLoop serves all connections on one thread.
type originLoop struct {
	epoll int
	// answers are by what a connection or its listener belongs to.
	answers   map[int32][]byte
	listeners map[int32]bool
	// heads are those that have not come whole.
	heads map[int32][]byte
}

func newOriginLoop() (*originLoop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &originLoop{epoll, map[int32][]byte{}, map[int32]bool{}, map[int32][]byte{}}, err
}

// listen adds an instance, and returns its address.
func (l *originLoop) listen(number int) (string, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	err = errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 4096))
	if err != nil {
		return "", err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return "", err
	}
	l.listeners[int32(fd)] = true
	l.answers[int32(fd)] = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: origin\r\nX-Instance: %d\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world\n", number)
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port), l.watch(fd)
}

func (l *originLoop) watch(fd int) error {
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (l *originLoop) run() error {
	events, buffer := make([]unix.EpollEvent, 256), make([]byte, 16<<10)
	for {
		n, err := unix.EpollWait(l.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for _, event := range events[:max(n, 0)] {
			if l.listeners[event.Fd] {
				err = l.accept(event.Fd)
			} else {
				l.answer(event.Fd, buffer)
			}
			if err != nil {
				return err
			}
		}
	}
}

func (l *originLoop) accept(listener int32) error {
	fd, _, err := unix.Accept4(int(listener), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return nil // who wanted to connect has gone
	}
	l.answers[int32(fd)] = l.answers[listener]
	return errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), l.watch(fd))
}

var upgraded = []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")

// answer reads what has come on a connection. It knows requests without a body, one at a time.
func (l *originLoop) answer(fd int32, buffer []byte) {
	n, err := unix.Read(int(fd), buffer)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if n <= 0 {
		delete(l.heads, fd)
		delete(l.answers, fd)
		unix.Close(int(fd))
		return
	}
	head := buffer[:n]
	if before := l.heads[fd]; before != nil {
		head = append(before, head...)
		delete(l.heads, fd)
	}
	switch {
	case !bytes.HasSuffix(head, []byte("\r\n\r\n")):
		l.heads[fd] = bytes.Clone(head)
	case bytes.Contains(head, []byte("websocket")):
		_, _ = unix.Write(int(fd), upgraded)
	default:
		_, _ = unix.Write(int(fd), l.answers[fd]) // an error shows at the next reading
	}
}
