package proxy

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/apron-run/apron/internal/proxy/accesslog"
)

// Config is what a Proxy is made of. Every member may be left out.
type Config struct {
	// Listener takes connections; when nil, Run listens on Address.
	Listener net.Listener
	// Address is host:port to listen on, by default ":8080".
	Address string
	// PrivateListener takes connections for the private hosts; nil means that none of them is reached.
	PrivateListener net.Listener
	// TLSListener takes encrypted connections for the public hosts; nil means none. QUIC takes the packets of HTTP/3 beside it,
	// at the same port; nil means none. Where it is a quic.ConnectionIDGenerator too, it names the connections.
	TLSListener net.Listener
	QUIC        net.PacketConn
	// QUICResetKey is that of each process which takes the packets in turn: by it, one tells clients of another that has died that their
	// connections are gone. Without it they find out when nothing has come for long.
	QUICResetKey *quic.StatelessResetKey
	// Certificates returns the certificate for a handshake, as certs.Source does; needed with TLSListener. It is asked for the
	// names of public hosts only.
	Certificates func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// EventLoops is how many carry the usual requests of plain connections, each on a thread of its own. By default as many as Go may use
	// processors.
	EventLoops int
	// HTTPSPort is the port at which clients find TLSListener. By default 443.
	HTTPSPort string

	// TrustedProxies are peers whose X-Forwarded headers are believed and added to. By default none.
	TrustedProxies []netip.Prefix

	// MaxConns bounds the client connections of each listener; more wait to be accepted. By default 10,000.
	MaxConns int
	// MaxHeaderBytes bounds a request's line and headers. By default 64 KiB.
	MaxHeaderBytes int
	// ReadHeaderTimeout bounds how long a request's headers may take. By default 10 s.
	ReadHeaderTimeout time.Duration
	// RequestTimeout bounds a whole request, from its headers to the last byte of its answer, but not what follows an
	// upgrade, of services that do not say otherwise. By default 120 s, as in App Runner.
	RequestTimeout time.Duration
	// IdleTimeout bounds how long a client connection waits for its next request. By default 75 s.
	IdleTimeout time.Duration
	// TunnelIdleTimeout bounds how long an upgraded connection (a WebSocket) stays without a byte, of services that do not say
	// otherwise. By default 10 min.
	TunnelIdleTimeout time.Duration
	// DialTimeout bounds how long an instance may take to accept a connection. By default 5 s.
	DialTimeout time.Duration
	// HoldTimeout is how long after a service that serves has lost its last instance its requests wait for another one, and
	// how long one waits for an instance that accepts no connections. By default 10 s.
	HoldTimeout time.Duration
	// QueueTimeout is how long a request waits while all instances of its service have as many as they may. By default 60 s.
	QueueTimeout time.Duration
	// MaxWaiting bounds the requests of one service that wait, where its route does not; more are refused at once. By default 1,000.
	MaxWaiting int
	// MaxHeld bounds those of all services. By default 10,000.
	MaxHeld int
	// Freezer freezes and thaws instances; nil means that none is ever frozen.
	Freezer Freezer
	// IsAlone says whether no other data plane has requests for the same instances: only then are instances frozen. It is asked until
	// it has said yes once. nil means yes.
	IsAlone func() bool
	// ShutdownTimeout bounds how long Run waits for requests in flight once its context has ended. By default 30 s.
	ShutdownTimeout time.Duration

	// AccessLog is told about each request; nil means none.
	AccessLog accesslog.Log
	// isStandardOnly keeps all connections on the standard road.
	isStandardOnly bool
	// Log takes what goes wrong in the proxy itself; nil means slog.Default.
	Log *slog.Logger
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	setDefault(&c.Address, ":8080")
	setDefault(&c.EventLoops, runtime.GOMAXPROCS(0))
	setDefault(&c.HTTPSPort, "443")
	setDefault(&c.MaxConns, 10_000)
	setDefault(&c.MaxHeaderBytes, 64<<10)
	setDefault(&c.ReadHeaderTimeout, 10*time.Second)
	setDefault(&c.RequestTimeout, 120*time.Second)
	setDefault(&c.IdleTimeout, 75*time.Second)
	setDefault(&c.TunnelIdleTimeout, 10*time.Minute)
	setDefault(&c.DialTimeout, 5*time.Second)
	setDefault(&c.HoldTimeout, 10*time.Second)
	setDefault(&c.QueueTimeout, 60*time.Second)
	setDefault(&c.MaxWaiting, 1000)
	setDefault(&c.MaxHeld, 10_000)
	setDefault(&c.ShutdownTimeout, 30*time.Second)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

func setDefault[T comparable](member *T, value T) {
	var zero T
	if *member == zero {
		*member = value
	}
}
