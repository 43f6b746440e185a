package proxy

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lingerFor is how long the rest of a body that nobody wants is awaited, so that the client can read its answer before
// its connection is closed.
const lingerFor = 500 * time.Millisecond

// finishWithin and finishBytes bound what finish reads.
const (
	finishWithin = 100 * time.Millisecond
	finishBytes  = 256 << 10
)

var errBodyEnded = errors.New("the request is over")

// requestBody is a request's body on its way to an instance. It is read by the sending goroutine, which may still be at
// it when the answer is complete; end takes it away from there.
type requestBody struct {
	request *http.Request
	// announced are the names of the trailers that may pass.
	announced       []string
	setReadDeadline func(time.Time) error
	// interrupt has a read fail that waits for the client.
	interrupt func() error
	idle      *idleWatch
	// proceed has the client send the body. It is nil where the server does that.
	proceed func()

	isEnded atomic.Bool
	isAtEOF atomic.Bool
	// isCutOff says that a read was interrupted, which may end the request's context: that does not mean that the client has left.
	isCutOff  atomic.Bool
	bytesRead atomic.Int64
	problem   atomic.Pointer[error] // why the client's body could not be read

	mu sync.Mutex // held while reading
}

func newRequestBody(r *http.Request, control *http.ResponseController) *requestBody {
	body := &requestBody{request: r, setReadDeadline: control.SetReadDeadline}
	body.interrupt = func() error { return control.SetReadDeadline(longAgo) }
	if strict, ok := r.Context().Value(connKey{}).(*strictConn); ok && r.ProtoMajor == 1 {
		body.interrupt = strict.interruptBody
	}
	for name := range r.Trailer {
		if !tellsClient(name) && !slices.Contains(hopByHop, name) {
			body.announced = append(body.announced, name)
		}
	}
	slices.Sort(body.announced)
	return body
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isEnded.Load() {
		return 0, errBodyEnded
	}
	if b.proceed != nil {
		b.proceed()
		b.proceed = nil
	}
	n, err := b.request.Body.Read(p)
	b.bytesRead.Add(int64(n))
	b.idle.touch()
	switch {
	case err == io.EOF:
		b.isAtEOF.Store(true)
	case err != nil && !b.isEnded.Load():
		b.problem.Store(&err)
	}
	return n, err
}

// trailer is what followed the body, as far as it was announced. It is called by the reader at the body's end.
func (b *requestBody) trailer() http.Header {
	trailer := http.Header{}
	for _, name := range b.announced {
		if values := b.request.Trailer[name]; len(values) > 0 {
			trailer[name] = values
		}
	}
	return trailer
}

// end interrupts a read and makes all later ones fail. It may be called twice and at any time.
func (b *requestBody) end() {
	b.isEnded.Store(true)
	if !b.mu.TryLock() {
		b.isCutOff.Store(b.isCutOff.Load() || b.request.Context().Err() == nil)
		_ = b.interrupt() // fails only when the connection is closed, which ends a read as well
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	if !b.isAtEOF.Load() {
		_ = b.setReadDeadline(time.Now().Add(lingerFor))
	}
}

// finish reads the rest of a short body that nobody wants, when its end is about to come. It is for HTTP/2: a server resets the stream
// of a request that it has answered before its end, and some clients (curl 7.88) take that for a failure. Those of gRPC do not, and
// are often answered early.
func (b *requestBody) finish() {
	if b.request.ProtoMajor != 2 || b.isAtEOF.Load() || isGRPC(b.request) {
		return
	}
	_ = b.setReadDeadline(time.Now().Add(finishWithin)) // fails only when the connection is closed
	b.isEnded.Store(true)                               // what is read here is missing at the end of what is sent, not in between
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isAtEOF.Load() {
		return
	}
	n, err := io.CopyN(io.Discard, b.request.Body, finishBytes)
	b.bytesRead.Add(n)
	b.isAtEOF.Store(errors.Is(err, io.EOF))
}

// isUntouched says that nothing was read, so that the body can be sent to another instance.
func (b *requestBody) isUntouched() bool {
	return b.bytesRead.Load() == 0 && !b.isAtEOF.Load() && b.problem.Load() == nil
}

// clientProblem is why the client's body could not be read, or nil.
func (b *requestBody) clientProblem() error {
	if problem := b.problem.Load(); problem != nil {
		return *problem
	}
	return nil
}
