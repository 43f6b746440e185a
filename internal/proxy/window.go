package proxy

import (
	"syscall"

	"github.com/apron-run/apron/internal/proxy/eventloop"
	"github.com/apron-run/apron/internal/proxy/http1"
)

// window is a buffer on its way from one socket to another:
//
//	0 .. base    stays, such as the head that the body follows
//	from .. mid  may be sent
//	mid .. to    was read, and its framing was not yet looked at
type window struct {
	buffer              []byte
	base, from, mid, to int
}

// rewind makes room when everything was sent.
func (w *window) rewind() {
	if w.from == w.to {
		w.from, w.mid, w.to = w.base, w.base, w.base
	}
}

// append adds bytes that may be sent; there must be room.
func (w *window) append(p []byte) {
	w.to += copy(w.buffer[w.to:], p)
	w.mid = w.to
}

// grow moves what is there to a buffer of at least size bytes.
func (w *window) grow(l *lane, size int) {
	larger := l.takeBuffer(size)
	copy(larger, w.buffer[:w.to])
	if w.buffer != nil {
		l.giveBack(w.buffer)
	}
	w.buffer = larger
}

// reserve sees to it that there is room for n bytes more.
func (w *window) reserve(l *lane, n int) {
	if w.rewind(); len(w.buffer)-w.to < n {
		w.grow(l, w.to+n)
	}
}

// fill reads more; there must be room.
func (w *window) fill(fd int) (n int, isFull bool, errno syscall.Errno) {
	room := w.buffer[w.to:]
	n, errno = eventloop.Read(fd, room)
	w.to += n
	return n, n == len(room), errno
}

// drop gives the buffer back.
func (w *window) drop(l *lane) {
	if w.buffer != nil {
		l.giveBack(w.buffer)
		*w = window{}
	}
}

// send writes what may be sent, as far as the socket takes it.
func (w *window) send(fd int) (n int, errno syscall.Errno) {
	for w.from < w.mid {
		sent, errno := eventloop.Write(fd, w.buffer[w.from:w.mid])
		if errno != 0 {
			return n, errno
		}
		w.from += sent
		n += sent
	}
	return n, 0
}

// framing is where a body ends.
type framing struct {
	kind    framingKind
	left    int64 // of a length
	chunked http1.Chunked
	isDone  bool
}

type framingKind uint8

const (
	framedByLength framingKind = iota
	framedByChunks
	// framedByEnd is a body that ends with its connection.
	framedByEnd
)

func byLength(n int64) framing { return framing{kind: framedByLength, left: n, isDone: n == 0} }

// frame lets pass what belongs to the body, and stops at its end.
func (w *window) frame(body *framing) error {
	if w.mid == w.to || body.isDone {
		return nil
	}
	switch body.kind {
	case framedByEnd:
		w.mid = w.to
	case framedByLength:
		n := min(int64(w.to-w.mid), body.left)
		w.mid += int(n)
		body.left -= n
		body.isDone = body.left == 0
	case framedByChunks:
		return w.frameChunks(body)
	}
	return nil
}

// frameChunks closes up what is left out. However many pieces that are, each byte is moved once.
func (w *window) frameChunks(body *framing) error {
	for at := w.mid; ; {
		keep, skip, err := body.chunked.Next(w.buffer[at:w.to])
		if err != nil {
			return err
		}
		if at > w.mid {
			copy(w.buffer[w.mid:], w.buffer[at:at+keep])
		}
		w.mid += keep
		at += keep + skip
		if body.isDone = body.chunked.IsDone(); body.isDone || at == w.to {
			w.to = w.mid + copy(w.buffer[w.mid:], w.buffer[at:w.to])
			return nil
		}
	}
}
