package http2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
)

// someFrames are frames of each kind that matters, as one side may send them. Between the third and the fifth no other may stand.
func someFrames(t *testing.T) []byte {
	t.Helper()
	var sent bytes.Buffer
	framer := http2.NewFramer(&sent, nil)
	for _, err := range []error{
		framer.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 14}), framer.WriteSettingsAck(),
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82, 0x86}}),
		framer.WriteContinuation(1, false, nil), framer.WriteContinuation(1, true, []byte{0x84}),
		framer.WriteData(1, false, []byte("hello")), framer.WriteData(1, true, nil), framer.WritePing(false, [8]byte{1}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return sent.Bytes()
}

// readFrames returns the types of the frames until the end, and the last stream that a GOAWAY named.
func readFrames(t *testing.T, from io.Reader) (types []http2.FrameType, last uint32) {
	t.Helper()
	framer := http2.NewFramer(nil, from)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("after %v: %v", types, err)
			}
			return types, last
		}
		types = append(types, frame.Header().Type)
		if goAway, is := frame.(*http2.GoAwayFrame); is {
			last = goAway.LastStreamID
		}
	}
}

// withGoAway is where a GOAWAY is to stand that is due when the first so many bytes of someFrames have passed.
func withGoAway(t *testing.T, sent []byte, passed int) []http2.FrameType {
	t.Helper()
	types, _ := readFrames(t, bytes.NewReader(sent))
	at, end := 0, 0
	for ; at < len(types) && (at == 0 || at == 3 || at == 4 || end < passed); at++ {
		end += FrameHeaderBytes + int(sent[end])<<16 + int(sent[end+1])<<8 + int(sent[end+2])
	}
	with := append([]http2.FrameType(nil), types[:at]...)
	return append(append(with, http2.FrameGoAway), types[at:]...)
}

// sink is a connection that takes everything.
type sink struct {
	net.Conn
	into bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error)     { return s.into.Write(p) }
func (s *sink) SetReadDeadline(time.Time) error { return nil }

func TestAClientIsAskedToLeaveAsSoonAsNoFrameIsUnderWay(t *testing.T) {
	sent := someFrames(t)
	for passed := range len(sent) + 1 {
		for _, most := range []int{1, 7, len(sent)} {
			conn := &sink{}
			f := NewFarewell(conn)
			hasBegun := false
			for at := 0; at < len(sent) || !hasBegun; {
				if at == passed {
					f.Begin()
					hasBegun = true
				}
				end := min(at+most, len(sent))
				if at < passed {
					end = min(end, passed)
				}
				if n, err := f.Write(sent[at:end]); n != end-at || err != nil {
					t.Fatalf("of %d bytes %d are written: %v", end-at, n, err)
				}
				at = end
			}
			got, last := readFrames(t, &conn.into)
			if want := withGoAway(t, sent, passed); !cmp.Equal(got, want) || last != 1<<31-1 {
				t.Errorf("after %d bytes, %d at a time: %v with the last stream %d, want %v", passed, most, got, last, want)
			}
		}
	}
}

func TestAServerIsToldToEndTheConnectionBetweenFramesOfTheClient(t *testing.T) {
	sent := someFrames(t)
	for passed := range len(sent) + 1 {
		client, server := net.Pipe()
		f, told := NewFarewell(server), make(chan struct{})
		go func() {
			defer client.Close()
			client.Write(sent[:passed])
			f.end()
			client.Write(sent[passed:])
			select {
			case <-told:
			case <-time.After(10 * time.Second):
			}
		}()
		var once sync.Once
		got, _ := readFrames(t, readerFunc(func(p []byte) (int, error) {
			n, err := f.Read(p)
			if f.isTold {
				once.Do(func() { close(told) })
			}
			return n, err
		}))
		var others []http2.FrameType
		seen := 0
		for i, each := range got {
			if each != http2.FrameGoAway {
				others = append(others, each)
				continue
			}
			if seen++; i == 0 || i == 3 || i == 4 {
				t.Errorf("after %d bytes it stands where it must not: %v", passed, got)
			}
		}
		if want, _ := readFrames(t, bytes.NewReader(sent)); !cmp.Equal(others, want) || seen != 1 {
			t.Errorf("after %d bytes the server reads %v", passed, got)
		}
		server.Close()
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
