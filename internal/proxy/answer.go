package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// answer sends an instance's response to the client as it comes.
func (x *exchange) answer(ctx context.Context, route *route, answer *reply) {
	x.idle.touch()
	x.beginAnswer()
	response := answer.response
	if response.StatusCode == http.StatusSwitchingProtocols {
		x.upgrade(ctx, route, answer)
		return
	}
	header := x.w.Header()
	maps.Copy(header, response.Header)
	removeHopByHop(header)
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil // or the server would guess one
	}
	announced := slices.Sorted(maps.Keys(response.Trailer))
	if len(announced) > 0 {
		header["Trailer"] = []string{strings.Join(announced, ", ")}
		delete(header, "Content-Length") // HTTP/2 may have both, HTTP/1.1 has trailers after chunks only
	}
	if x.r.ProtoMajor == 1 && x.body != nil && !x.body.isAtEOF.Load() {
		// The app has answered before it got the whole body. What is left of it must not be taken for a request.
		header["Connection"] = []string{"close"}
	}
	isCompressed := route.Traffic.Compresses && compress(header, x.r, response)
	x.w.WriteHeader(response.StatusCode)
	var err error
	if isCompressed && x.r.Method != http.MethodHead {
		err = x.streamCompressed(response)
	} else {
		err = x.stream(response, x.w, x.control.Flush)
	}
	if err != nil {
		x.record.Problem = x.cause(ctx, err).Error()
		if errors.Is(err, errAnswerCut) && x.endCall(ctx) {
			return
		}
		panic(http.ErrAbortHandler) // closes the connection, so that the client sees that the answer is cut short
	}
	answer.isRead = true
	if x.body != nil {
		x.body.finish()
	}
	for name, values := range response.Trailer {
		if !slices.Contains(announced, name) {
			name = http.TrailerPrefix + name
		}
		header[name] = values
	}
}

// inform sends an interim answer (103 Early Hints and the like), which HTTP/1.0 does not have. 100 is sent when the body is first read.
func (x *exchange) inform(code int, interim http.Header) {
	if !x.r.ProtoAtLeast(1, 1) {
		return
	}
	x.interim.Lock()
	defer x.interim.Unlock()
	x.idle.touch()
	header := x.w.Header()
	maps.Copy(header, interim)
	removeHopByHop(header)
	if x.r.ProtoMajor == 2 {
		// It is left out by the server, which sends a copy of the headers for that. Without it the server sends those that are cleared
		// here, and does so even after WriteHeader has returned where the client has reset the stream.
		header["Content-Length"] = []string{"0"}
	}
	x.w.ResponseWriter.WriteHeader(code)
	clear(header)
}

// proceed has the client send its body. The server would say so itself, but in the middle of another interim answer.
func (x *exchange) proceed() {
	x.interim.Lock()
	defer x.interim.Unlock()
	if !x.isAnswered {
		x.w.ResponseWriter.WriteHeader(http.StatusContinue)
	}
}

// beginAnswer ends the interim answers, before anything is set of the last one.
func (x *exchange) beginAnswer() {
	x.interim.Lock()
	defer x.interim.Unlock()
	x.isAnswered = true
}

// errAnswerCut marks an answer that the instance has not sent to its end.
var errAnswerCut = errors.New("read the instance's answer")

// buffers holds the copy buffers of bodies.
var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// streamCompressed is stream for an answer that is compressed on its way.
func (x *exchange) streamCompressed(response *http.Response) error {
	to := newCompressed(response.Header, x.w, x.control.Flush)
	defer to.free()
	flush := to.Flush
	if response.ContentLength >= 0 {
		flush = func() error { return nil } // it is on its way as a whole, and small pieces compress badly
	}
	if err := x.stream(response, to, flush); err != nil {
		return err
	}
	if err := to.Close(); err != nil {
		return fmt.Errorf("send the end of the answer: %w", err)
	}
	return nil
}

// stream copies the body. A body of unknown length is sent piece by piece, as an event stream needs it; one of known
// length too, but its head waits for its first piece.
func (x *exchange) stream(response *http.Response, to io.Writer, flush func() error) error {
	if response.ContentLength < 0 || len(response.Trailer) > 0 {
		if err := x.control.Flush(); err != nil {
			return fmt.Errorf("send the head of the answer: %w", err)
		}
	}
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	var copied int64
	for {
		n, err := response.Body.Read(buffer[:])
		copied += int64(n)
		if n > 0 {
			x.idle.touch()
			if _, err := to.Write(buffer[:n]); err != nil {
				return fmt.Errorf("send the answer: %w", err)
			}
			if copied != response.ContentLength {
				if err := flush(); err != nil {
					return fmt.Errorf("send the answer: %w", err)
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errAnswerCut, err)
		}
	}
}
