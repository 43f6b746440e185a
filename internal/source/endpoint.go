package source

import (
	"net"
	"net/netip"
	"os"
	"strings"
)

// Endpoint is where apron's own API answers. It tells the addresses of apron itself from those of other servers, so
// that what users pushed to apron is found without asking the network.
type Endpoint struct {
	host, port string
	names      []string
}

// NewEndpoint returns the Endpoint of a listen address (host:port; an empty or unspecified host means every address of
// this machine). names are further host names under which users reach it.
func NewEndpoint(address string, names ...string) Endpoint {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = address, ""
	}
	return Endpoint{host: strings.ToLower(host), port: port, names: names}
}

// Address returns host:port to reach apron from this machine.
func (e Endpoint) Address() string {
	host := e.host
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, e.port)
}

// Is says whether hostport names apron itself. defaultPort is the port meant when hostport carries none.
func (e Endpoint) Is(hostport, defaultPort string) bool {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = strings.Trim(hostport, "[]"), defaultPort
	}
	if e.port == "" || port != e.port {
		return false
	}
	host = strings.ToLower(host)
	if host == e.host && host != "" {
		return true
	}
	for _, name := range e.names {
		if strings.EqualFold(name, host) {
			return true
		}
	}
	return e.listensOn(host)
}

// listensOn says whether a connection to host on this machine reaches the listener.
func (e Endpoint) listensOn(host string) bool {
	own, err := netip.ParseAddr(e.host)
	isEverywhere := e.host == "" || err == nil && own.IsUnspecified()
	if !isEverywhere && e.host != "localhost" && (err != nil || !own.IsLoopback()) {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		name, nameErr := os.Hostname()
		return isEverywhere && nameErr == nil && strings.EqualFold(name, host)
	}
	if ip.IsLoopback() {
		return isEverywhere || ip == own || e.host == "localhost"
	}
	return isEverywhere && isLocalAddress(ip)
}

func isLocalAddress(ip netip.Addr) bool {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, address := range addresses {
		prefix, err := netip.ParsePrefix(address.String())
		if err == nil && prefix.Addr().Unmap() == ip.Unmap() {
			return true
		}
	}
	return false
}
