package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/apron-run/apron/apprunner"
)

// What requests may leave in the log, in lines: at once, and for each second after. Everything that changes something or
// was refused has much room, and reads, of which there may be ten thousand in a second, have little.
const (
	readBurst, readsPerSecond   = 100, 10
	otherBurst, othersPerSecond = 1000, 50
)

// requestLog writes one line for each request, as far as there is room. It never sees a body, a signature or a header's
// text.
type requestLog struct {
	log           *slog.Logger
	reads, others *allowance
}

func newRequestLog(log *slog.Logger) *requestLog {
	return &requestLog{log, newAllowance(readBurst, readsPerSecond), newAllowance(otherBurst, othersPerSecond)}
}

// asked is what is known of a request while it is answered.
type asked struct {
	id    string
	begun time.Time
	// action is empty until one was found, and keyID until the signature was verified.
	action, keyID string
}

func (l *requestLog) write(r *http.Request, asked *asked, status int, code apprunner.ErrorCode) {
	now := time.Now()
	from := l.others
	if code == "" && isRead(asked.action) {
		from = l.reads
	}
	unlogged, isAllowed := from.take(now)
	if !isAllowed {
		return
	}
	caller := asked.keyID
	if caller == "" {
		caller, _, _ = net.SplitHostPort(r.RemoteAddr)
	}
	attributes := []slog.Attr{
		slog.String("action", asked.action), slog.String("request", asked.id), slog.String("caller", caller),
		slog.Duration("duration", now.Sub(asked.begun).Round(time.Microsecond)), slog.Int("status", status),
	}
	if code != "" {
		attributes = append(attributes, slog.String("code", string(code)))
	}
	if unlogged > 0 {
		attributes = append(attributes, slog.Int("unlogged", unlogged))
	}
	// The caller may have left, and is in the log all the same.
	l.log.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelInfo, "request", attributes...)
}

// isRead says whether an action changes nothing.
func isRead(action string) bool {
	return strings.HasPrefix(action, "Describe") || strings.HasPrefix(action, "List") || strings.HasPrefix(action, "Read")
}

// allowance is a number of lines that grows again with time.
type allowance struct {
	burst, perSecond float64

	mu       sync.Mutex // guards what follows
	left     float64
	at       time.Time
	unlogged int
}

func newAllowance(burst, perSecond float64) *allowance {
	return &allowance{burst: burst, perSecond: perSecond, left: burst}
}

// take says whether there is room for a line, and for how many there was none since the one before.
func (a *allowance) take(now time.Time) (unlogged int, isAllowed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.at.IsZero() {
		a.left = min(a.burst, a.left+a.perSecond*max(0, now.Sub(a.at).Seconds()))
	}
	a.at = now
	if a.left < 1 {
		a.unlogged++
		return 0, false
	}
	a.left--
	unlogged, a.unlogged = a.unlogged, 0
	return unlogged, true
}
