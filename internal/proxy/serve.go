package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy/accesslog"
	"github.com/apron-run/apron/internal/proxy/rules"
	"github.com/apron-run/apron/internal/proxy/trace"
)

// errTookTooLong is why a request's context ends when its time is over.
var errTookTooLong = errors.New("the request took too long")

// errClientLeft is why a request ended that nobody waits for any more.
var errClientLeft = errors.New("the client has left")

// deadlineGrace is by how much a connection's own deadlines come after the request's.
const deadlineGrace = time.Second

// exchange is one request on its way.
type exchange struct {
	*Proxy
	w       *recorder
	r       *http.Request
	control *http.ResponseController
	// body is nil when the request has none.
	body     *requestBody
	timeouts timeouts
	// interim is held while an interim answer is sent; isAnswered, which it guards, says that there is none any more.
	interim    sync.Mutex
	isAnswered bool
	// idle is nil when timeouts.total ends the request first anyway.
	idle   *idleWatch
	record accesslog.Record
}

// ServeHTTP passes one request to an instance of the service that has its host.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.handlers.Add(1)
	defer p.handlers.Done()
	noteServed(r.Context())
	if state, isTLS := r.Context().Value(tlsKey{}).(*tls.ConnectionState); isTLS {
		r.TLS = state
	}
	started, peer := time.Now(), peerOf(r)
	var traffic platform.Traffic
	route := p.table.Load().on(isPrivate(r.Context())).find(canonicalHost(r.Host))
	if route != nil {
		traffic = route.Traffic
	}
	timeouts := p.config.timeoutsOf(traffic)
	ctx, cancel := context.WithTimeoutCause(r.Context(), timeouts.total, errTookTooLong)
	defer cancel()
	x := &exchange{
		Proxy: p, w: p.newRecorder(w, r), r: r, control: http.NewResponseController(w), timeouts: timeouts,
		record: accesslog.Record{
			StartedAt: started, Client: p.clientOf(r, peer), Method: r.Method, Host: r.Host, URI: r.RequestURI,
			Protocol: r.Proto, Referrer: r.Referer(), Agent: r.UserAgent(), TraceID: trace.Set(r.Header),
		},
	}
	ctx, stopWatch := x.watchIdle(ctx)
	defer stopWatch()
	deadline := started.Add(timeouts.total + deadlineGrace)
	// These fail only under a server that has no deadlines, as in tests of handlers; the context is there all the same.
	_, _ = x.control.SetReadDeadline(deadline), x.control.SetWriteDeadline(deadline)
	if r.ContentLength != 0 {
		// Without this the server would itself read what is left of the body when the answer begins.
		_ = x.control.EnableFullDuplex()
		x.body = newRequestBody(r, x.control)
		x.body.idle = x.idle
		if r.ProtoMajor == 1 && hasToken(r.Header["Expect"], "100-continue") {
			x.body.proceed = x.proceed
		}
		defer afterDone(ctx, x.body.end)()
		defer x.body.end()
	}
	defer x.log()
	if !isClear(r) {
		x.note(route)
		x.refuse(refuseUnclear())
		return
	}
	if route == nil || !rules.Exist(&route.Traffic) || x.passes(route, peer) {
		x.serve(ctx, peer)
	}
}

// afterDone calls do when ctx ends. stop sees to it that do neither runs any more nor will: the server's own things are not there for it after
// the handler.
func afterDone(ctx context.Context, do func()) (stop func()) {
	done := make(chan struct{})
	forget := context.AfterFunc(ctx, func() {
		defer close(done)
		do()
	})
	return func() {
		if !forget() {
			<-done
		}
	}
}

// note remembers for the access log whose request it is.
func (x *exchange) note(route *route) {
	if route != nil {
		x.record.ServiceID, x.record.ServiceName, x.record.RevisionID = route.ServiceID, route.ServiceName, route.RevisionID
	}
}

// passes applies the service's rules, and answers a request that does not pass.
func (x *exchange) passes(route *route, peer netip.Addr) bool {
	// The private listener has no other one with TLS beside it.
	isSecure := x.r.TLS != nil || isPrivate(x.r.Context()) || x.isTrusted(peer) && strings.EqualFold(x.r.Header.Get("X-Forwarded-Proto"), "https")
	verdict := rules.Judge(&route.Traffic, x.record.Client, target(x.r), isSecure)
	if verdict == rules.Pass {
		return true
	}
	x.note(route)
	if verdict == rules.HTTPS {
		x.redirect()
	} else {
		x.refuse(refuseByRule(verdict))
	}
	return false
}

// serve offers the request to one instance after the other until one has got it. Where there is no place, the request waits a while.
func (x *exchange) serve(ctx context.Context, peer netip.Addr) {
	if x.r.Method == http.MethodConnect {
		x.refuse(refuseConnect())
		return
	}
	granted := make(chan place, 1)
	since := uptime()
	s := &seeker{
		host: canonicalHost(x.r.Host), isPrivate: isPrivate(x.r.Context()), since: since, deadline: since + x.timeouts.total,
		done: func(found place) { granted <- found },
	}
	var header http.Header
	for {
		found := x.seekAndWait(ctx, s, granted)
		x.note(found.route)
		switch {
		case found.refusal != nil:
			x.refuse(found.refusal)
			return
		case found.instance == nil:
			x.fail(ctx, found.route, context.Cause(ctx))
			return
		}
		if header == nil {
			header = x.requestHeader(x.r, peer)
		}
		x.record.Attempts++
		if x.offer(ctx, found.route, found.instance, header) {
			return
		}
		found.instance.avoid()
		s.tried = append(s.tried, found.instance)
	}
}

// seekAndWait seeks a place and waits for it. It returns neither an instance nor a refusal when ctx has ended first; when that was
// because the request's time was over, there is a refusal.
func (x *exchange) seekAndWait(ctx context.Context, s *seeker, granted <-chan place) place {
	found, isNow := x.seek(s)
	if isNow {
		return found
	}
	select {
	case found = <-granted:
		return found
	case <-ctx.Done():
	}
	if !x.abandon(s) {
		if found = <-granted; found.instance != nil {
			x.release(found.instance)
		}
		return place{route: found.route, refusal: found.refusal}
	}
	found = place{route: s.route}
	if errors.Is(context.Cause(ctx), errTookTooLong) {
		found.refusal = s.refusal()
	}
	return found
}

// offer sends the request to one instance and its answer to the client. It returns false when nothing of the request
// was sent, so that another instance can have it. It releases the claim.
func (x *exchange) offer(ctx context.Context, route *route, in *instance, header http.Header) bool {
	defer x.release(in)
	offered := time.Now()
	x.record.QueueTime = offered.Sub(x.record.StartedAt)
	x.idle.start()
	answer, err := in.upstream.send(ctx, route.Traffic.Protocol, x.outgoing(header))
	x.record.UpstreamTime = time.Since(offered)
	if err != nil && errors.Is(err, errNothingSent) && ctx.Err() == nil && (x.body == nil || x.body.isUntouched()) {
		x.idle.pause() // the wait for another instance is no silence
		return false
	}
	x.record.InstanceID = in.InstanceID
	if err != nil {
		x.fail(ctx, route, err)
		return true
	}
	defer answer.close()
	x.answer(ctx, route, answer)
	return true
}

// fail tells the client why there is no answer, if it is still there.
func (x *exchange) fail(ctx context.Context, route *route, err error) {
	var problem error
	if x.body != nil {
		x.body.end()
		problem = x.body.clientProblem()
	}
	x.record.Problem = x.cause(ctx, err).Error()
	isIdle := errors.Is(context.Cause(ctx), errIdle)
	isLate := isIdle || errors.Is(context.Cause(ctx), errTookTooLong) || isTimeout(problem)
	switch {
	case isLate && x.body != nil && !x.body.isAtEOF.Load():
		x.refuse(refuseSlowBody(x.timeouts, isIdle))
	case isLate:
		x.refuse(refuseLate(route, x.timeouts, isIdle))
	case x.whyOver(ctx) != nil, errors.Is(problem, io.ErrUnexpectedEOF), isNetError(problem):
		x.record.Status = accesslog.StatusClientGone
		panic(http.ErrAbortHandler)
	case problem != nil:
		x.refuse(refuseBadBody())
	case errors.Is(err, errSpeaksHTTP2):
		x.refuse(refuseHTTP2(route))
	default:
		x.refuse(refuseBroken(route))
	}
}

// cause is why an exchange failed. When its context ends, its connection to the instance is closed; the error that comes
// of that tells nothing.
func (x *exchange) cause(ctx context.Context, err error) error {
	if why := x.whyOver(ctx); why != nil {
		return why
	}
	return err
}

// whyOver is why nobody waits for the answer any more, or nil.
func (x *exchange) whyOver(ctx context.Context) error {
	switch why := context.Cause(ctx); {
	case !errors.Is(why, context.Canceled):
		return why
	case x.body != nil && x.body.isCutOff.Load():
		return nil
	default:
		return errClientLeft
	}
}

// refuse answers with an answer of the proxy's own.
func (x *exchange) refuse(f *refusal) {
	if x.record.Problem == "" {
		x.record.Problem = f.message
	}
	x.beginAnswer()
	if x.body != nil {
		x.body.finish()
	}
	if err := f.write(x.w, x.r, x.body != nil && !x.body.isAtEOF.Load()); err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
}

// log tells the access log about the exchange when it is over, panics included.
func (x *exchange) log() {
	if x.config.AccessLog == nil {
		return
	}
	x.record.Duration = time.Since(x.record.StartedAt)
	x.record.ResponseBytes = x.w.written
	if x.record.Status == 0 {
		x.record.Status = x.w.status
	}
	if x.body != nil {
		x.record.RequestBytes = x.body.bytesRead.Load()
	}
	x.config.AccessLog.Access(x.record)
}

func isTimeout(err error) bool {
	var failure net.Error
	return errors.As(err, &failure) && failure.Timeout()
}

func isNetError(err error) bool {
	var failure *net.OpError
	return errors.As(err, &failure)
}

// recorder remembers what the client was sent.
type recorder struct {
	http.ResponseWriter
	status  int
	written int64
	// isLeaving asks the client of HTTP/1.1 to come by another connection next time.
	isLeaving *atomic.Bool
	// isLast says that nothing behind the request is read as another one: it may be of the protocol that was asked for.
	isLast bool
	// altSvc says that there is HTTP/3.
	altSvc string
	// hasStreams says that the request is one of many on its connection, which ends by the means of its protocol: see package http2.
	hasStreams bool
}

func (p *Proxy) newRecorder(w http.ResponseWriter, r *http.Request) *recorder {
	recorder := &recorder{
		ResponseWriter: w, isLeaving: &p.isLeaving, isLast: slices.ContainsFunc(r.Header["Upgrade"], mayUpgrade), hasStreams: r.ProtoMajor > 1,
	}
	if p.quic != nil && r.TLS != nil && r.ProtoMajor < 3 {
		recorder.altSvc = p.quic.altSvc
	}
	return recorder
}

func (w *recorder) WriteHeader(status int) {
	w.status = status
	header := w.Header()
	switch {
	case w.hasStreams:
		delete(header, "Connection") // there is none; the library would end a connection of HTTP/2 at once
	case w.isLeaving.Load() || w.isLast:
		header["Connection"] = []string{"close"}
	}
	if w.altSvc != "" && header["Alt-Svc"] == nil {
		header["Alt-Svc"] = []string{w.altSvc}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	return n, err
}
