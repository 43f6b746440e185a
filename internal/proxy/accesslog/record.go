// Package accesslog writes a line of JSON for each request that the data plane has answered.
package accesslog

import (
	"net/netip"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy/trace"
)

// Log is told about each request when it is over. Access is called by whoever carries the request, an event loop among
// them, so it must not wait. The record's strings may be parts of a buffer that is used again: they hold until Access returns.
type Log interface {
	Access(Record)
}

// Record is one request and what became of it.
type Record struct {
	StartedAt time.Time
	Duration  time.Duration
	// ServiceID and InstanceID are empty when no service has the host, or no instance got the request.
	ServiceID   platform.ServiceID
	ServiceName string
	RevisionID  platform.RevisionID
	InstanceID  platform.InstanceID
	// QueueTime is how long the request waited for a place in an instance, UpstreamTime how long the instance took from then on to
	// the head of its answer; 0 where there was neither.
	QueueTime, UpstreamTime time.Duration
	// TraceID is that of traceparent and X-Amzn-Trace-Id.
	TraceID trace.ID
	// Client is who sent the request, as far as trusted proxies tell.
	Client   netip.Addr
	Method   string
	Host     string
	URI      string
	Protocol string
	// Status is what the client was sent; StatusClientGone when it had left before there was an answer.
	Status        int
	RequestBytes  int64
	ResponseBytes int64
	// Attempts counts the instances that the request was offered to.
	Attempts int
	// Problem is why the answer is the proxy's own or was cut short; empty when all went well.
	Problem  string
	Referrer string
	Agent    string
}

// StatusClientGone is recorded for a request whose client left before it was answered; it is never sent.
const StatusClientGone = 499
