package proxy

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
)

// frames follows the frames of one direction of a WebSocket (RFC 6455, 5.2). It knows where one ends, and changes nothing:
// what is in them is between the client and the app.
type frames struct {
	header [14]byte
	have   int    // of the header
	left   uint64 // of the payload, once the header is complete
}

const opcodeClose = 0x8

// next takes the bytes up to the end of a frame, or all of them, and says how many that were and whether the frame ends there.
func (f *frames) next(p []byte) (n int, isEnd bool) {
	for need := f.headerBytes(); f.have < need; need = f.headerBytes() {
		if n == len(p) {
			return n, false
		}
		copied := copy(f.header[f.have:need], p[n:])
		f.have, n = f.have+copied, n+copied
		if f.have == f.headerBytes() {
			f.left = f.payloadBytes()
		}
	}
	passed := min(f.left, uint64(len(p)-n))
	f.left -= passed
	return n + int(passed), f.left == 0
}

// begin awaits another frame after one has ended.
func (f *frames) begin() { f.have = 0 }

// isBetween says whether nothing of a frame is under way.
func (f *frames) isBetween() bool { return f.have == 0 }

// isClose says whether the frame that has ended closes the WebSocket.
func (f *frames) isClose() bool { return f.header[0]&0xf == opcodeClose }

// headerBytes is how long the header is, as far as that can be said yet.
func (f *frames) headerBytes() int {
	size := 2
	if f.have < size {
		return size
	}
	switch f.header[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.header[1]&0x80 != 0 {
		size += 4
	}
	return size
}

func (f *frames) payloadBytes() uint64 {
	switch length := f.header[1] & 0x7f; length {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.header[2:])
	default:
		return uint64(length)
	}
}

// goingAway is the frame that closes a WebSocket because one side goes away (1001); what clients send is masked.
func goingAway(isMasked bool) []byte {
	status := [2]byte{1001 >> 8, 1001 & 0xff}
	if !isMasked {
		return []byte{0x80 | opcodeClose, 2, status[0], status[1]}
	}
	var mask [4]byte
	rand.Read(mask[:])
	return []byte{0x80 | opcodeClose, 0x80 | 2, mask[0], mask[1], mask[2], mask[3], status[0] ^ mask[0], status[1] ^ mask[1]}
}

func isWebSocket(protocol string) bool { return strings.EqualFold(protocol, "websocket") }

// errWebSocketOver is why a direction ends whose sender has closed the WebSocket too.
var errWebSocketOver = errors.New("the WebSocket is closed")

// webSocketWriter writes one direction of a WebSocket as it comes. close ends it in order: by a frame that says so, between two
// others. What comes after that is not passed on.
type webSocketWriter struct {
	io.Writer
	// isMasked says that it goes to the app, as what a client sends.
	isMasked bool

	isClosing atomic.Bool // close is about to be called
	hasClosed atomic.Bool // the sender has sent a frame that closes
	mu        sync.Mutex  // guards what follows, and keeps what is written in order
	frames    frames
	hasBegun  bool // frames may be written
	isSaid    bool // a frame that closes was written
}

// begin says that the switch to the protocol is over.
func (w *webSocketWriter) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hasBegun = true
	if w.isClosing.Load() {
		_ = w.sayClose()
	}
}

func (w *webSocketWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.isClosing.Load() {
		for at := 0; at < len(p); {
			n, isEnd := w.frames.next(p[at:])
			if at += n; isEnd {
				w.endFrame()
			}
		}
		return w.Writer.Write(p)
	}
	for at := 0; at < len(p); {
		if w.frames.isBetween() {
			if err := w.sayClose(); err != nil {
				return 0, err
			}
		}
		n, isEnd := w.frames.next(p[at:])
		if !w.isSaid {
			if _, err := w.Writer.Write(p[at : at+n]); err != nil {
				return 0, err
			}
		}
		if at += n; !isEnd {
			break
		}
		if w.endFrame(); w.hasClosed.Load() {
			return 0, errWebSocketOver
		}
	}
	if w.frames.isBetween() {
		return len(p), w.sayClose()
	}
	return len(p), nil
}

func (w *webSocketWriter) endFrame() {
	if w.frames.isClose() {
		w.isSaid = true
		w.hasClosed.Store(true)
	}
	w.frames.begin()
}

// close says that the WebSocket is closed, now or after the frame that is under way. isClosing is set before, for both
// directions: the answer to one may come before the other is said.
func (w *webSocketWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hasBegun && w.frames.isBetween() {
		_ = w.sayClose() // a connection that fails ends its tunnel by itself
	}
}

func (w *webSocketWriter) sayClose() error {
	if w.isSaid {
		return nil
	}
	w.isSaid = true
	_, err := w.Writer.Write(goingAway(w.isMasked))
	return err
}
