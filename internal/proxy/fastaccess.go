package proxy

import (
	"net/http"
	"net/netip"
	"time"
	"unsafe"

	"github.com/apron-run/apron/internal/proxy/accesslog"
	"github.com/apron-run/apron/internal/proxy/http1"
	"github.com/apron-run/apron/internal/proxy/trace"
)

// log tells the access log about the exchange when it is over.
func (c *clientConn) log() {
	x := c.x
	if c.config.AccessLog == nil || x.client == nil {
		return
	}
	record := x.tunnelled
	if record == nil {
		record = &accesslog.Record{}
		c.record(record)
	}
	record.Duration = time.Since(x.startedAt)
	record.Status, record.RequestBytes, record.ResponseBytes = x.status, x.requestBytes, max(0, x.responseBytes)
	record.Attempts, record.Problem = x.attempts, x.problem
	c.config.AccessLog.Access(*record)
}

// record fills in what is known of the request. Its strings are the head's own: they hold as long as that.
func (c *clientConn) record(record *accesslog.Record) {
	x, r := c.x, &c.x.request
	record.StartedAt, record.Client, record.Protocol = x.startedAt, c.clientAddress(), "HTTP/1.1"
	if route := x.place.route; route != nil {
		record.ServiceID, record.ServiceName, record.RevisionID = route.ServiceID, route.ServiceName, route.RevisionID
	}
	if x.place.instance != nil && (x.received > 0 || x.sent > 0) {
		record.InstanceID = x.place.instance.InstanceID
	}
	if x.attempts == 0 {
		x.traceID = trace.IDOf(r.FindOnly(http1.Traceparent), r.FindOnly(http1.XAmznTraceID))
	}
	record.QueueTime, record.UpstreamTime, record.TraceID = x.queueTime, x.upstreamTime, x.traceID
	record.Host = c.lastHost
	record.Method, record.URI = asString(r.Bytes(r.Method)), asString(r.Bytes(r.Target))
	record.Referrer, record.Agent = asString(r.Find(http1.Referer)), asString(r.Find(http1.UserAgent))
}

// asString does not copy.
func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// clientAddress is who sent the request, as clientOf.
func (c *clientConn) clientAddress() netip.Addr {
	if !c.isTrusted {
		return c.peer
	}
	r, header := &c.x.request, http.Header{}
	for i := range r.Fields {
		if f := &r.Fields[i]; f.Kind == http1.XForwardedFor {
			header.Add("X-Forwarded-For", string(r.Bytes(f.Value)))
		}
	}
	return c.clientOf(&http.Request{Header: header}, c.peer)
}
