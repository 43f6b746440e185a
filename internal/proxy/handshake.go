package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
)

// serveTLS answers on a listener of encrypted connections until it is closed. The handshakes are made here and not by the server: it
// would read HTTP/1.1 inside of TLS less strictly than what comes without, see strictListener.
func (p *Proxy) serveTLS(listener *limitedListener) error {
	config := p.tlsConfig()
	config.NextProtos = []string{"h2", "http/1.1"}
	shaken := newHandedOver(listener, false)
	failed := make(chan error, 1)
	go func() {
		var handshakes sync.WaitGroup
		for {
			conn, err := listener.Accept()
			if err != nil {
				handshakes.Wait()
				failed <- err
				shaken.Close()
				return
			}
			handshakes.Go(func() { p.shakeHands(conn, config, shaken) })
		}
	}()
	err := p.server.Serve(shaken)
	if errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-failed
}

// plainAnswer is for a client that speaks HTTP without TLS.
const plainAnswer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
	"This port answers HTTPS only: begin the address with https://.\n"

// shakeHands makes the handshake of one connection, which has as long as a request's head has.
func (p *Proxy) shakeHands(conn net.Conn, config *tls.Config, shaken *handedOver) {
	encrypted := tls.Server(conn, config)
	ctx, cancel := context.WithTimeout(context.Background(), p.config.ReadHeaderTimeout)
	defer cancel()
	if err := encrypted.HandshakeContext(ctx); err != nil {
		var noTLS tls.RecordHeaderError
		if errors.As(err, &noTLS) && noTLS.Conn != nil && beginsRequest(noTLS.RecordHeader) {
			_, _ = io.WriteString(noTLS.Conn, plainAnswer)
		}
		conn.Close()
		return
	}
	if encrypted.ConnectionState().NegotiatedProtocol == "h2" {
		shaken.give(encrypted)
		return
	}
	inside := &limitedConn{Conn: encrypted, release: func() {}} // conn gives the slot back
	shaken.give(&strictTLSConn{strictConn{limitedConn: inside, maxHeaderBytes: p.config.MaxHeaderBytes}, encrypted})
}

// beginsRequest says whether what came instead of a handshake is the method of a request.
func beginsRequest(first [5]byte) bool {
	for _, b := range first {
		if (b < 'A' || b > 'Z') && b != ' ' && b != '/' {
			return false
		}
	}
	return true
}

// strictTLSConn is HTTP/1.1 inside of TLS. The server learns by ConnectionState that it is.
type strictTLSConn struct {
	strictConn
	encrypted *tls.Conn
}

// ConnectionState is for net/http.
func (c *strictTLSConn) ConnectionState() tls.ConnectionState { return c.encrypted.ConnectionState() }
