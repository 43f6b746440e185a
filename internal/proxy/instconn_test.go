package proxy

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// An app may answer a request before it is known on this side that the last piece was sent. Its connection was broken off then, in place
// of waiting for the app to end it, which took a port for a minute.
func TestAnAnswerThatIsFasterThanItsRequestBreaksNothingOff(t *testing.T) {
	for name, isAtEOF := range map[string]bool{"all is read of the body": true, "more of the body may come": false} {
		app, conn := net.Pipe()
		defer app.Close()
		u := newUpstream("", Config{})
		request, _ := http.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
		body := newRequestBody(request, http.NewResponseController(nil))
		body.setReadDeadline = func(time.Time) error { return nil }
		body.isAtEOF.Store(isAtEOF)
		r := &reply{
			conn: newInstConn(conn, u), out: &outgoing{method: http.MethodPost, body: body}, response: &http.Response{}, isRead: true,
			stopWatch: func() bool { return true }, sending: make(chan struct{}), over: make(chan struct{}),
		}
		go func() {
			<-r.over
			for !isAtEOF && !body.isEnded.Load() {
				time.Sleep(time.Millisecond)
			}
			r.isSentWhole = true
			close(r.sending)
		}()
		r.close()
		u.mu.Lock()
		_, isAwaited := u.ending[r.conn]
		u.mu.Unlock()
		if isAwaited != isAtEOF {
			t.Errorf("%s: the app's end is awaited: %v", name, isAwaited)
		}
		conn.Close()
	}
}
