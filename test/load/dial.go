package load

import (
	"context"
	"crypto/tls"
	"net"
)

// Dial opens a connection to where services answer.
type Dial func(context.Context) (net.Conn, error)

// Plain opens connections without TLS.
func Plain(address string) Dial {
	dialer := net.Dialer{Timeout: longPatience}
	return func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", address) }
}

// Encrypted opens connections by TLS, and speaks HTTP/1.1 in them.
func Encrypted(address string, config *tls.Config) Dial {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: longPatience}, Config: config}
	return func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", address) }
}
