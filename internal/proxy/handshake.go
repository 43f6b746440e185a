package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// serveTLS answers on a listener of encrypted connections until it is closed. The handshakes are made here and not by the server: it
// would read HTTP/1.1 inside of TLS less strictly than what comes without, see strictListener, and lose requests by HTTP/2 when the
// proxy leaves, see package http2.
func (p *Proxy) serveTLS(listener *limitedListener) error {
	config := p.tlsConfig()
	config.NextProtos = []string{"h2", "http/1.1"}
	shaken := newHandedOver(listener, false)
	failed := make(chan error, 1)
	go func() {
		var handshakes sync.WaitGroup
		for {
			conn, err := listener.Accept()
			if err != nil && !errors.Is(err, net.ErrClosed) { // such as too many open files: some are closed meanwhile
				p.config.Log.Warn("take encrypted connections", "error", err)
				select {
				case <-time.After(acceptPause):
				case <-listener.closed:
				}
				continue
			}
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

// refusePlain is for a client that speaks HTTP without TLS.
func refusePlain() *refusal {
	return &refusal{status: http.StatusBadRequest, message: "This port answers HTTPS only. Begin the address with https://."}
}

// shakeHands makes the handshake of one connection, which has as long as a request's head has.
func (p *Proxy) shakeHands(conn net.Conn, config *tls.Config, shaken *handedOver) {
	first := &firstBytes{Conn: conn}
	encrypted := tls.Server(first, config)
	ctx, cancel := context.WithTimeout(context.Background(), p.config.ReadHeaderTimeout)
	defer cancel()
	if err := encrypted.HandshakeContext(ctx); err != nil {
		var noTLS tls.RecordHeaderError
		if errors.As(err, &noTLS) && noTLS.Conn != nil && beginsRequest(noTLS.RecordHeader) {
			_, _ = noTLS.Conn.Write(refusePlain().last(unread(restOfHead(first.Conn, first.read)), dateNow()))
		}
		conn.Close()
		return
	}
	state := encrypted.ConnectionState()
	if state.NegotiatedProtocol == "h2" && strings.Contains(tls.CipherSuiteName(state.CipherSuite), "_CBC_") {
		encrypted.Close() // HTTP/2 is not for such ciphers (RFC 9113, 9.2.2)
		return
	}
	inside := &limitedConn{Conn: encrypted, release: func() {}} // conn gives the slot back
	shaken.give(&tlsConn{p.newStrictConn(inside), &state})
}

// firstBytes keeps what is read first, unless it is of TLS: those who read have read more than they look at.
type firstBytes struct {
	net.Conn
	read []byte
}

const recordTypeHandshake = 0x16

func (c *firstBytes) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	switch {
	case n == 0 || c.read != nil:
	case p[0] == recordTypeHandshake:
		c.read = []byte{}
	default:
		c.read = bytes.Clone(p[:n])
	}
	return n, err
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

// tlsConn is what is inside of TLS. The server takes it for a connection without: of a tls.Conn it would speak HTTP/2 to the client
// itself, and nothing could stand between.
type tlsConn struct {
	*strictConn
	state *tls.ConnectionState
}

// tlsKey marks the context of requests that came by TLS, with its state.
type tlsKey struct{}

func connContext(ctx context.Context, conn net.Conn) context.Context {
	if encrypted, isTLS := conn.(*tlsConn); isTLS {
		ctx = context.WithValue(ctx, tlsKey{}, encrypted.state)
	}
	return noteConn(ctx, conn)
}
