package dataplane

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/apron-run/apron/internal/platform"
)

// place is where the proxy listens: an address by TCP or UDP, and the flag that says so.
type place struct{ flag, network, address string }

// socket is a *net.TCPListener, or the *packets of a UDP socket.
type socket interface {
	syscall.Conn
	io.Closer
}

// places are all where the proxy listens.
func (c ServerConfig) places() []place {
	places := []place{{"--http", "tcp", c.Proxy.Address}, {"--private-http", "tcp", c.PrivateAddress}}
	if c.HTTPSAddress != "" {
		places = append(places, c.httpsPlace("tcp"), c.httpsPlace("udp"))
	}
	return places
}

func (c ServerConfig) httpsPlace(network string) place {
	return place{"--https", network, c.HTTPSAddress}
}

// CheckHTTPS says why services could not answer by TLS and HTTP/3 at an address that is to be free.
func CheckHTTPS(ctx context.Context, address string) error {
	config := ServerConfig{HTTPSAddress: address}
	for _, network := range []string{"tcp", "udp"} {
		at := config.httpsPlace(network)
		opened, err := at.open(ctx)
		if err != nil {
			return at.explain(err)
		}
		opened.Close()
	}
	return nil
}

// give hands the sockets to the proxy, and returns what lets the next data plane read the packets of HTTP/3.
func (c *ServerConfig) give(sockets map[place]socket) (leavePackets func()) {
	tcp := func(at place) net.Listener {
		if listener, ok := sockets[at].(*net.TCPListener); ok {
			return listener
		}
		return nil
	}
	c.Proxy.Listener = tcp(place{"--http", "tcp", c.Proxy.Address})
	c.Proxy.PrivateListener = tcp(place{"--private-http", "tcp", c.PrivateAddress})
	c.Proxy.TLSListener = tcp(c.httpsPlace("tcp"))
	if shared, ok := sockets[c.httpsPlace("udp")].(*packets); ok {
		c.Proxy.QUIC = shared
		return shared.leave
	}
	return func() {}
}

// udpMark tells the name of a UDP socket from that of the listener with its address.
const udpMark = " udp"

// name is how data planes call the place.
func (p place) name() string {
	name := p.flag + " " + p.address
	if p.network == "udp" {
		name += udpMark
	}
	return name
}

// placeOf is the place that has a name.
func placeOf(name string) place {
	name, isUDP := strings.CutSuffix(name, udpMark)
	flag, address, _ := strings.Cut(name, " ")
	if isUDP {
		return place{flag, "udp", address}
	}
	return place{flag, "tcp", address}
}

// compare orders places by their networks, and then somehow.
func (p place) compare(other place) int {
	return cmp.Or(cmp.Compare(p.network, other.network), cmp.Compare(p.name(), other.name()))
}

func (p place) open(ctx context.Context) (socket, error) {
	if p.network == "udp" {
		conn, err := (&net.ListenConfig{}).ListenPacket(ctx, p.network, p.address)
		if err != nil {
			return nil, err
		}
		return conn.(*net.UDPConn), nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, p.network, p.address)
	if err != nil {
		return nil, err
	}
	return listener.(*net.TCPListener), nil
}

// adopt makes the place's socket of a descriptor, which stays the file's too.
func (p place) adopt(file *os.File) (socket, error) {
	if p.network == "udp" {
		conn, err := net.FilePacketConn(file)
		if err != nil {
			return nil, err
		}
		packets, isUDP := conn.(*net.UDPConn)
		if !isUDP {
			conn.Close()
			return nil, fmt.Errorf("%s is no UDP socket", p.name())
		}
		return packets, nil
	}
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	tcp, isTCP := listener.(*net.TCPListener)
	if !isTCP {
		listener.Close()
		return nil, fmt.Errorf("%s is no TCP listener", p.name())
	}
	return tcp, nil
}

// explain says why the proxy cannot listen there.
func (p place) explain(err error) error {
	remedy := ""
	if p.flag == "--https" {
		remedy = ", or turn HTTPS off with --https=off"
	}
	by := ""
	if p.network == "udp" {
		by = " by HTTP/3"
	}
	return platform.Explain(err, "services cannot answer%s on %s: %v; choose another address with %s%s", by, p.address, err, p.flag, remedy)
}
