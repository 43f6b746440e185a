package proxy

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy/http1"
)

var errLongHead = errors.New("the request's line and headers are too long")

// carried is one request on its way on the fast road.
type carried struct {
	// client is nil once nobody waits for the place that was sought.
	client *clientConn
	// scanned is how far the incomplete head was looked through.
	scanned   int
	request   http1.Request
	startedAt time.Time
	seeker    seeker
	place     place
	limits    timeouts
	// offeredAt is when an instance was found, touchedAt when a byte passed for the last time.
	offeredAt, touchedAt time.Time
	queueTime            time.Duration
	upstreamTime         time.Duration
	traceID              TraceID
	hasClaim             bool

	// body is the request's, as it comes from the client. up is the request's head for the instance, and what of the body fits behind it.
	body    framing
	up      window
	upgrade http1.Span // the protocol that the client wants to speak from now on
	// isSent says that the instance has the whole request, isCut that it takes no more of it.
	isSent, isCut bool
	// sent and received count the bytes on the instance's connection. isOnKept says that it was kept from an earlier request.
	sent, received int64
	isOnKept       bool

	// answer is from the instance, answerBody its framing. isAnswered says that its head, or a refusal, was passed on.
	answer        window
	answerScanned int
	answerBody    framing
	wrapsChunks   bool // the client gets chunks, because the end of the connection is the body's only end
	isAnswered    bool
	// canKeep says that the instance's connection is good for another request, mustClose that the client's is not.
	canKeep, mustClose bool

	status                      int
	requestBytes, responseBytes int64
	attempts                    int
	problem                     string
	tunnelled                   *AccessRecord // what is to be recorded when the tunnel has ended
}

// beginRequest has the request whose head ends at end carried, or hands it over.
func (c *clientConn) beginRequest(end int) {
	x := c.x
	x.client, x.startedAt = c, c.loop.Now()
	if err := x.request.Parse(c.in.buffer, end); err != nil {
		c.refuseHead(400, err)
		return
	}
	c.in.base, c.in.from, c.in.mid = end, end, end
	if x.request.IsUnusual || !x.readUpgrade() {
		c.handOver()
		return
	}
	switch {
	case x.request.IsChunked:
		x.body = framing{kind: framedByChunks}
	default:
		x.body = byLength(x.request.Length)
	}
	if !c.frameBody() {
		return
	}
	if host := x.request.Bytes(x.request.Host); string(host) != c.lastHost {
		c.lastHost = string(host)
		c.host = canonicalHost(c.lastHost)
	}
	route := c.table.Load().on(c.isPrivate).find(c.host)
	if route != nil && !route.isPlain() {
		c.handOver()
		return
	}
	x.mustClose = x.request.SaysClose
	x.seeker.host, x.seeker.isPrivate = c.host, c.isPrivate
	x.seeker.since = c.uptimeNow()
	x.place.route = route
	var traffic platform.Traffic
	if route != nil {
		traffic = route.Traffic
	}
	x.limits = c.config.timeoutsOf(traffic)
	x.seeker.deadline = x.seeker.since + x.limits.total
	c.loop.SetTimer(&c.timer, x.limits.total)
	if route == nil || !route.hasRules() || c.passes(route) {
		c.seekPlace()
	}
}

// passes applies the service's rules, and answers a request that does not pass.
func (c *clientConn) passes(route *route) bool {
	r := &c.x.request
	isSecure := c.isPrivate || c.isTrusted && http1.EqualFold(r.Find(http1.XForwardedProto), "https")
	switch verdict := judge(&route.Traffic, c.clientAddress(), string(r.Bytes(r.Target)), isSecure); verdict {
	case verdictPass:
		return true
	case verdictHTTPS:
		c.handOver()
	default:
		c.refuse(refuseByRule(verdict))
	}
	return false
}

// isPlain says whether the fast road knows all that a route asks for.
func (r *route) isPlain() bool {
	t := &r.Traffic
	return t.Protocol == platform.AppProtocolHTTP1 && !t.Compresses
}

// readUpgrade finds the protocol that the request may upgrade to; a body would be mixed up with what follows. It returns false when
// somebody else should look.
func (x *carried) readUpgrade() bool {
	r := &x.request
	if !r.SaysUpgrade || r.IsChunked || r.Length > 0 {
		return true
	}
	for i := range r.Fields {
		if r.Fields[i].Kind != http1.Upgrade {
			continue
		}
		protocol := r.Bytes(r.Fields[i].Value)
		if !x.upgrade.IsEmpty() || len(protocol) >= 3 && http1.EqualFold(protocol[:3], "h2c") {
			return false
		}
		x.upgrade = r.Fields[i].Value
	}
	return true
}

// isRepeatable is as for outgoing.
func (x *carried) isRepeatable() bool {
	if x.request.IsChunked || x.request.HasLength && x.request.Length > 0 || !x.upgrade.IsEmpty() {
		return false
	}
	switch string(x.request.Bytes(x.request.Method)) {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// seekPlace seeks a place in an instance.
func (c *clientConn) seekPlace() {
	x := c.x
	if x.seeker.done == nil {
		x.seeker.done = c.lane.doneFor(x)
	}
	c.enter(connSeeking)
	if found, isNow := c.seek(&x.seeker); isNow {
		c.placed(found)
	}
}

// doneFor returns what is called by whoever finds a place for the request, on whatever goroutine.
func (l *lane) doneFor(x *carried) func(place) {
	return func(found place) {
		l.loop.Post(func() {
			if x.client == nil { // it is gone, and could not say so in time
				if found.instance != nil {
					l.release(found.instance)
				}
				return
			}
			x.client.placed(found)
			x.client.advance()
		})
	}
}

// placed has the request sent to the instance that was found for it.
func (c *clientConn) placed(found place) {
	x := c.x
	x.place, x.hasClaim = found, found.instance != nil
	switch {
	case found.refusal != nil:
		c.refuse(found.refusal)
	case !found.route.isPlain():
		c.handOver()
	default:
		if x.attempts++; x.attempts == 1 {
			x.queueTime = c.loop.Now().Sub(x.startedAt)
		}
		x.offeredAt = c.loop.Now()
		c.touch()
		c.offer()
	}
}

// offer sends the request to the instance: over a kept connection when it can be repeated should that be closed, and over a new one
// otherwise, as upstream.send.
func (c *clientConn) offer() {
	x := c.x
	in := x.place.instance
	x.isSent, x.isCut, x.sent, x.received, x.answerScanned = false, false, 0, 0, 0
	c.in.from = c.in.base
	if x.isRepeatable() && !x.isOnKept {
		if a := c.takeKept(in, c); a != nil {
			c.app, x.isOnKept = a, true
			c.enter(connCarrying)
			c.writeRequest()
			return
		}
	}
	x.isOnKept = false
	address, err := netip.ParseAddrPort(in.Address)
	if err != nil { // a name, which must be looked up
		c.handOver()
		return
	}
	c.enter(connConnecting)
	if c.app, err = c.connect(in, address, c); err != nil {
		c.notTaken()
	}
}

// connected is called when the connection to the instance is made, or could not be made.
func (c *clientConn) connected(err error) {
	if err != nil {
		c.notTaken()
	} else {
		c.enter(connCarrying)
		c.writeRequest()
	}
	c.advance()
}

// notTaken has the request offered to another instance: nothing of it was sent.
func (c *clientConn) notTaken() {
	x := c.x
	c.dropApp()
	x.up.drop(c.lane)
	in := x.place.instance
	c.releaseClaim()
	in.avoid()
	x.seeker.tried = append(x.seeker.tried, in)
	c.seekPlace()
}

func (c *clientConn) dropApp() {
	if c.app != nil {
		c.app.close()
		c.app = nil
	}
}

func (c *clientConn) releaseClaim() {
	if c.x.hasClaim {
		c.x.hasClaim = false
		c.release(c.x.place.instance)
	}
}

// frameBody looks how far the body goes in what was read. It returns false when the request was refused for it.
func (c *clientConn) frameBody() bool {
	before := c.in.mid
	err := c.in.frame(&c.x.body)
	c.x.requestBytes += int64(c.in.mid - before)
	if err == nil {
		return true
	}
	c.x.problem = err.Error()
	if c.x.isAnswered {
		c.abort(c.x.problem)
	} else {
		c.refuse(refuseBadBody())
	}
	return false
}

// finish ends the exchange whose answer was sent.
func (c *clientConn) finish() {
	x, a := c.x, c.app
	c.log()
	if a != nil {
		c.app = nil
		if x.canKeep && x.isSent && x.answer.to == x.answer.mid {
			c.keep(a)
		} else {
			a.close()
		}
	}
	c.releaseClaim()
	isWhole := x.body.isDone
	mustClose := x.mustClose || !isWhole
	x.up.drop(c.lane)
	x.answer.drop(c.lane)
	c.out.drop(c.lane)
	c.x = nil
	c.giveBackExchange(x)
	if mustClose {
		if !isWhole {
			c.canRead = true // it may be sending
		}
		c.closeSoon()
		return
	}
	c.nextRequest()
}

// nextRequest makes ready for the request that may have come behind this one.
func (c *clientConn) nextRequest() {
	c.enter(connIdle)
	left := copy(c.in.buffer, c.in.buffer[c.in.mid:c.in.to])
	c.in.base, c.in.from, c.in.mid, c.in.to = 0, 0, 0, left
	if c.isShut && left == 0 {
		c.close()
		return
	}
	c.loop.SetTimer(&c.timer, c.config.IdleTimeout)
}

// clientGone ends the exchange of a client that has left.
func (c *clientConn) clientGone() {
	if c.x.status == 0 {
		c.x.status = StatusClientGone
	}
	c.abort("the client has left")
}

// abort cuts the connection off, and what is in flight on it.
func (c *clientConn) abort(problem string) {
	if c.state == connGone {
		return
	}
	if x := c.x; x != nil {
		isWaiting := c.state == connSeeking
		if x.client != nil {
			x.problem = problem
			c.log()
		}
		c.dropApp()
		c.releaseClaim()
		x.up.drop(c.lane)
		x.answer.drop(c.lane)
		if isWaiting && !c.abandon(&x.seeker) {
			x.client, c.x = nil, nil // whoever finds the place still has it
		}
	}
	c.close()
}

// touch tells that something has passed. The timer is moved when it fires.
func (c *clientConn) touch() {
	x := c.x
	isFirst := x.touchedAt.IsZero()
	if x.touchedAt = c.loop.Now(); isFirst && x.limits.idle < x.limits.total {
		c.loop.SetTimer(&c.timer, x.limits.idle)
	}
}

// late ends a request whose time is over.
func (c *clientConn) late() {
	x := c.x
	now := c.loop.Now()
	isIdle := x.hasClaim && x.limits.idle < x.limits.total && now.Sub(x.touchedAt) >= x.limits.idle
	if left := x.limits.total - now.Sub(x.startedAt); !isIdle && left > 0 {
		if x.hasClaim {
			left = min(left, x.limits.idle-now.Sub(x.touchedAt))
		}
		c.loop.SetTimer(&c.timer, left)
		return
	}
	why := errTookTooLong
	if isIdle {
		why = errIdle
	}
	switch {
	case c.state == connSeeking && !c.abandon(&x.seeker):
		c.loop.SetTimer(&c.timer, deadlineGrace) // its place is about to come
	case c.state == connSeeking:
		x.place.route = x.seeker.route
		x.problem = why.Error()
		c.refuse(x.seeker.refusal())
	case x.isAnswered:
		c.abort(why.Error())
	case !x.body.isDone:
		x.problem = why.Error()
		c.refuse(refuseSlowBody(x.limits, isIdle))
	default:
		x.problem = why.Error()
		c.refuse(refuseLate(x.place.route, x.limits, isIdle))
	}
}
