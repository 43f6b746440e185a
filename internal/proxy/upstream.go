package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

const (
	// maxIdlePerInstance bounds the connections to an instance that are kept for reuse.
	maxIdlePerInstance = 64
	// idlePerInstance is how long they are kept.
	idlePerInstance = 30 * time.Second
	// maxResponseHeaderBytes bounds an app's response headers.
	maxResponseHeaderBytes = 256 << 10
	// continueTimeout is how long a client that asked is kept from sending its body when the app says nothing.
	continueTimeout = time.Second
)

// errNothingSent marks a failure before the first byte of the request had been sent.
var errNothingSent = errors.New("nothing was sent")

// upstream sends requests to one instance.
type upstream struct {
	// kept reuses connections; single makes one for each request.
	kept, single *http.Transport
}

func newUpstream(address string, config Config) *upstream {
	dialer := &net.Dialer{Timeout: config.DialTimeout, KeepAlive: 30 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	kept := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, "tcp", address)
			if err != nil {
				return nil, err
			}
			return &countedConn{Conn: conn}, nil
		},
		Protocols:              protocols,
		DisableCompression:     true, // what the client and the app agree on passes through
		MaxIdleConns:           maxIdlePerInstance,
		MaxIdleConnsPerHost:    maxIdlePerInstance,
		IdleConnTimeout:        idlePerInstance,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxResponseHeaderBytes,
	}
	single := kept.Clone()
	single.DisableKeepAlives = true
	return &upstream{kept: kept, single: single}
}

// send sends one request. A failure before the first byte is errNothingSent.
func (u *upstream) send(request *http.Request) (*http.Response, error) {
	transport := u.single
	if isRepeatable(request) {
		transport = u.kept
	}
	var conn *countedConn
	var before int64
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		conn = info.Conn.(*countedConn)
		before = conn.sent.Load()
	}}
	ctx := httptrace.WithClientTrace(request.Context(), trace)
	response, err := transport.RoundTrip(request.WithContext(ctx))
	if err != nil && (conn == nil || conn.sent.Load() == before) {
		return nil, errors.Join(errNothingSent, err)
	}
	return response, err
}

func (u *upstream) closeIdle() {
	u.kept.CloseIdleConnections()
	u.single.CloseIdleConnections()
}

// isRepeatable says whether a request may be sent a second time when a kept connection died: it has no body, and its
// method is safe (RFC 9110, 9.2.1), so that the app has done nothing if it has seen it. http.Transport repeats exactly
// these.
func isRepeatable(request *http.Request) bool {
	switch request.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return request.Body == nil && request.Header.Get("Upgrade") == ""
	}
	return false
}

// countedConn counts what was sent.
type countedConn struct {
	net.Conn
	sent atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// CloseWrite ends one direction of an upgraded connection.
func (c *countedConn) CloseWrite() error {
	if conn, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return conn.CloseWrite()
	}
	return errors.ErrUnsupported
}
