package http2

import "encoding/binary"

const (
	// maxStreamID says in a GOAWAY that no stream is refused yet.
	maxStreamID  = 1<<31 - 1
	endOfHeaders = 0x4
)

// FrameHeaderBytes is the length of what each frame begins with (RFC 9113, 4.1).
const FrameHeaderBytes = 9

// The types of frames that matter here.
const (
	frameHeaders      = 0x1
	frameSettings     = 0x4
	framePushPromise  = 0x5
	frameGoAway       = 0x7
	frameContinuation = 0x9
)

// IsFirst says whether an answer begins with what apps send first that speak HTTP/2 alone, whatever they were asked in: a frame with
// settings, or with the end of the connection, on stream 0 (RFC 9113, 3.4).
func IsFirst(begin []byte) bool {
	if len(begin) < FrameHeaderBytes || begin[0] != 0 || begin[3] != frameSettings && begin[3] != frameGoAway {
		return false
	}
	return begin[5]|begin[6]|begin[7]|begin[8] == 0
}

// goAway returns the frame that says, without an error, which stream is the last.
func goAway(last uint32) []byte {
	frame := make([]byte, FrameHeaderBytes+8)
	frame[2], frame[3] = 8, frameGoAway
	binary.BigEndian.PutUint32(frame[FrameHeaderBytes:], last)
	return frame
}

// frames follows the frames that go by in one direction (RFC 9113, 4.1).
type frames struct {
	header [FrameHeaderBytes]byte
	got    int // bytes of it
	left   int // bytes of the payload
	// hasBegun says that there was a frame: the first must be the side's SETTINGS. isOpen says that the next one must continue headers.
	hasBegun, isOpen bool
}

// isBetween says whether another frame may stand here.
func (f *frames) isBetween() bool { return f.hasBegun && !f.isOpen && f.got == 0 && f.left == 0 }

// next returns how much of p belongs to the frame that is under way, or begins.
func (f *frames) next(p []byte) (n int) {
	if f.left == 0 {
		n = copy(f.header[f.got:], p)
		if f.got += n; f.got < FrameHeaderBytes {
			return n
		}
		f.got, f.hasBegun = 0, true
		f.left = int(f.header[0])<<16 | int(f.header[1])<<8 | int(f.header[2])
		switch f.header[3] {
		case frameHeaders, framePushPromise, frameContinuation:
			f.isOpen = f.header[4]&endOfHeaders == 0
		}
	}
	payload := min(f.left, len(p)-n)
	f.left -= payload
	return n + payload
}

func (f *frames) follow(p []byte) {
	for len(p) > 0 {
		p = p[f.next(p):]
	}
}
