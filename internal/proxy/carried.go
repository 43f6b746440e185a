package proxy

import (
	"errors"
	"net/http"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy/accesslog"
	"github.com/apron-run/apron/internal/proxy/http1"
	"github.com/apron-run/apron/internal/proxy/rules"
	"github.com/apron-run/apron/internal/proxy/trace"
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
	traceID              trace.ID
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
	interimBytes  int // of the heads before it
	answerBody    framing
	wrapsChunks   bool // the client gets chunks, because the end of the connection is the body's only end
	isAnswered    bool
	// isLast says that the instance was told that no other request follows on its connection, canKeep that this is good for one,
	// mustClose that the client's is not.
	isLast, canKeep, mustClose bool

	status int
	// requestBytes and responseBytes are of the bodies; of the answer's less than nothing while its head is on its way.
	requestBytes, responseBytes int64
	attempts                    int
	problem                     string

	// tunnel is what it has become, tunnelled what is to be recorded when that has ended; webSocket is nil for another protocol.
	tunnel    *tunnel
	tunnelled *accesslog.Record
	webSocket *fastWebSocket
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
	if !c.frameBody() {
		return
	}
	if route == nil || !rules.Exist(&route.Traffic) || c.passes(route) {
		c.seekPlace()
	}
}

// passes applies the service's rules, and answers a request that does not pass.
func (c *clientConn) passes(route *route) bool {
	r := &c.x.request
	isSecure := c.isPrivate || c.isTrusted && http1.EqualFold(r.Find(http1.XForwardedProto), "https")
	switch verdict := rules.Judge(&route.Traffic, c.clientAddress(), string(r.Bytes(r.Target)), isSecure); verdict {
	case rules.Pass:
		return true
	case rules.HTTPS:
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

// isLastOfConn is as for outgoing.
func (x *carried) isLastOfConn() bool {
	return !x.isRepeatable() || string(x.request.Bytes(x.request.Method)) == http.MethodHead
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
