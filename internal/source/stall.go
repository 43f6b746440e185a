package source

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// EndStalled makes reads of a request's body and writes of its answer fail once nothing moved for idle, however long
// the whole transfer may take: pushes of gigabytes are fine, silent clients are not. Every write is flushed, so that
// progress arrives as it happens.
func EndStalled(idle time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		controller := http.NewResponseController(w)
		// A write deadline outlives the request on a connection that is kept; net/http resets only the other one.
		defer func() { _ = controller.SetWriteDeadline(time.Time{}) }()
		if r.Body != nil && r.Body != http.NoBody {
			body := &watchedBody{body: r.Body, controller: controller, idle: idle}
			// What the handler left unread net/http reads after it.
			defer body.expect()
			r.Body = body
		}
		next.ServeHTTP(&watchedWriter{ResponseWriter: w, controller: controller, idle: idle}, r)
	})
}

// watchedBody is a request's body whose every Read has a deadline. Where the connection has no deadlines (a recorder in
// a test) it reads without.
type watchedBody struct {
	body       io.ReadCloser
	controller *http.ResponseController
	idle       time.Duration
	hasEnded   atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.expect()
	n, err := b.body.Read(p)
	if err == io.EOF {
		// At the end of the body net/http goes on reading in the background, to notice a client that leaves; a
		// deadline left standing would end the request as if the client had.
		b.hasEnded.Store(true)
		_ = b.controller.SetReadDeadline(time.Time{})
	}
	return n, err
}

// expect gives the client idle to send something, unless it has sent everything.
func (b *watchedBody) expect() {
	if !b.hasEnded.Load() {
		_ = b.controller.SetReadDeadline(time.Now().Add(b.idle))
	}
}

func (b *watchedBody) Close() error { return b.body.Close() }

// watchedWriter is a ResponseWriter whose every Write has a deadline and is flushed.
type watchedWriter struct {
	http.ResponseWriter
	controller *http.ResponseController
	idle       time.Duration
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	_ = w.controller.SetWriteDeadline(time.Now().Add(w.idle))
	n, err := w.ResponseWriter.Write(p)
	if err == nil {
		_ = w.controller.Flush()
	}
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
