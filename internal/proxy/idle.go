package proxy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// errIdle is why a request's context ends when neither side has sent a byte for long.
var errIdle = errors.New("neither the client nor the instance sent a byte for too long")

// timeouts are those of one service's requests.
type timeouts struct {
	// total bounds a request, from its head to the last byte of its answer.
	total time.Duration
	// idle bounds how long neither side of a request sends a byte once an instance has it, tunnel the same of an upgraded connection.
	idle, tunnel time.Duration
}

// timeoutsOf are a service's own, and the defaults for what it does not say.
func (c Config) timeoutsOf(traffic platform.Traffic) timeouts {
	t := timeouts{total: traffic.RequestTimeout, idle: traffic.IdleTimeout, tunnel: traffic.IdleTimeout}
	setDefault(&t.total, c.RequestTimeout)
	setDefault(&t.idle, t.total)
	setDefault(&t.tunnel, c.TunnelIdleTimeout)
	return t
}

// watchIdle makes the request's context end when nothing passes for long, unless its whole time is over before that.
func (x *exchange) watchIdle(ctx context.Context) (watched context.Context, stop func()) {
	if x.timeouts.idle >= x.timeouts.total {
		return ctx, func() {}
	}
	watched, giveUp := context.WithCancelCause(ctx)
	x.idle = &idleWatch{after: x.timeouts.idle, expire: func() {
		giveUp(errIdle)
		_ = x.control.SetWriteDeadline(time.Now().Add(deadlineGrace)) // a client that reads nothing
	}}
	return watched, func() {
		x.idle.stop()
		giveUp(nil)
	}
}

// idleWatch calls expire once nothing has passed for long. All methods of nil do nothing.
type idleWatch struct {
	after  time.Duration
	expire func()
	last   atomic.Int64 // the uptime at which something has passed

	mu     sync.Mutex // guards timer, and that expire is not called after stop
	timer  *time.Timer
	isOver bool
}

// touch tells that something has passed.
func (w *idleWatch) touch() {
	if w != nil {
		w.last.Store(int64(uptime()))
	}
}

// start begins to watch, or goes on.
func (w *idleWatch) start() {
	if w == nil {
		return
	}
	w.touch()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.isOver:
	case w.timer == nil:
		w.timer = time.AfterFunc(w.after, w.look)
	default:
		w.timer.Reset(w.after)
	}
}

// pause ends the watch until start is called again.
func (w *idleWatch) pause() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (w *idleWatch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isOver {
		return
	}
	if left := w.after - (uptime() - time.Duration(w.last.Load())); left > 0 {
		w.timer.Reset(left)
		return
	}
	w.isOver = true
	w.expire()
}

// stop ends the watch. expire is neither called any more nor still running when it returns.
func (w *idleWatch) stop() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isOver = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
