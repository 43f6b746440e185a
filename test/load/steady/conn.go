package steady

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// maxHeadBytes bounds the head of an answer.
const maxHeadBytes = 16 << 10

var (
	errClosed   = errors.New("the connection was closed without an answer")
	errTooLong  = errors.New("the head of an answer is longer than 16 KiB")
	errNoLength = errors.New("an answer has no Content-Length")
)

// conn is a keep-alive connection, with a request on it or none.
type conn struct {
	fd int
	// isBusy says that an answer is due, to the request that should have been sent at due.
	isBusy bool
	due    time.Duration
	// head is what has come of the answer's head; bodyLeft, once that is complete, how much of its body is to come.
	head     []byte
	isInBody bool
	bodyLeft int
	status   int
	// isLast says that the server closes the connection after this answer.
	isLast bool
}

func dial(address netip.AddrPort) (*conn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), unix.SetNonblock(fd, true))
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &conn{fd: fd}, nil
}

// send writes a request, which is small enough for an empty socket buffer.
func (c *conn) send(request []byte, due time.Duration) error {
	c.isBusy, c.due = true, due
	c.head, c.isInBody, c.isLast = c.head[:0], false, false
	n, err := unix.Write(c.fd, request)
	if err == nil && n < len(request) {
		err = errors.New("a request was taken only in part")
	}
	return err
}

// receive reads what has come, and says whether the answer is complete.
func (c *conn) receive(buffer []byte) (isComplete bool, err error) {
	for {
		n, err := unix.Read(c.fd, buffer)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false, nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return false, err
		case n == 0:
			return false, errClosed
		}
		if isComplete, err = c.take(buffer[:n]); isComplete || err != nil {
			return isComplete, err
		}
		if n < len(buffer) {
			return false, nil // more would be told by epoll
		}
	}
}

// take goes on with the answer by what has come of it.
func (c *conn) take(data []byte) (isComplete bool, err error) {
	if !c.isInBody {
		c.head = append(c.head, data...)
		end := bytes.Index(c.head, []byte("\r\n\r\n"))
		if end < 0 {
			if len(c.head) > maxHeadBytes {
				return false, errTooLong
			}
			return false, nil
		}
		if err := c.readHead(c.head[:end+2]); err != nil {
			return false, err
		}
		data = c.head[end+4:]
		c.isInBody = true
	}
	c.bodyLeft -= len(data)
	if c.bodyLeft < 0 {
		return false, errors.New("an answer is longer than its Content-Length")
	}
	return c.bodyLeft == 0, nil
}

// readHead reads what matters of a head, whose every line ends in \r\n.
func (c *conn) readHead(head []byte) (err error) {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return fmt.Errorf("an answer begins with %.40q", line)
	}
	if c.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return fmt.Errorf("an answer begins with %.40q", line)
	}
	c.bodyLeft = -1
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == 14 && bytes.EqualFold(name, []byte("Content-Length")):
			if c.bodyLeft, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return fmt.Errorf("an answer has the Content-Length %.40q", value)
			}
		case len(name) == 10 && bytes.EqualFold(name, []byte("Connection")):
			c.isLast = bytes.EqualFold(bytes.TrimSpace(value), []byte("close"))
		}
	}
	if c.bodyLeft < 0 {
		return errNoLength
	}
	return nil
}
