package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// hopByHop are the headers that concern one connection only (RFC 9110, 7.6.1), with those of older habits.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// removeHopByHop removes the headers that are not to be passed on, those that Connection names among them.
func removeHopByHop(header http.Header) {
	for _, field := range header["Connection"] {
		for name := range strings.SplitSeq(field, ",") {
			if name = strings.Trim(name, " \t"); name != "" {
				header.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(header, name)
	}
}

// upgradeOf is the protocol that a message wants to upgrade to, or empty. HTTP/2 in clear text is none of them: the
// frames of many requests would pass unseen.
func upgradeOf(header http.Header) string {
	protocol := header.Get("Upgrade")
	if !hasToken(header["Connection"], "upgrade") || len(header["Upgrade"]) != 1 || strings.HasPrefix(strings.ToLower(protocol), "h2c") {
		return ""
	}
	return protocol
}

// requestedUpgrade is the protocol that a request may upgrade to, which is a matter of HTTP/1.1. A body would be mixed up with
// what follows.
func requestedUpgrade(r *http.Request) string {
	if r.ContentLength != 0 || r.ProtoMajor > 1 {
		return ""
	}
	return upgradeOf(r.Header)
}

// hasToken says whether a list of comma-separated tokens holds the token, whatever its case.
func hasToken(fields []string, token string) bool {
	for _, field := range fields {
		for part := range strings.SplitSeq(field, ",") {
			if strings.EqualFold(strings.Trim(part, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// requestHeader makes the headers that the instance gets.
func (p *Proxy) requestHeader(r *http.Request, peer netip.Addr) http.Header {
	header := r.Header.Clone()
	upgrade := requestedUpgrade(r)
	wantsTrailers := hasToken(header["Te"], "trailers")
	removeHopByHop(header)
	if upgrade != "" {
		header["Connection"], header["Upgrade"] = []string{"Upgrade"}, []string{upgrade}
	}
	if wantsTrailers {
		header["Te"] = []string{"trailers"}
	}
	delete(header, "Content-Length") // written with the body
	delete(header, "Host")           // written with the request's line; by HTTP/2 and HTTP/3 it may be said here too
	p.setForwarded(header, r, peer)
	return header
}

// setForwarded says who the client is. What the request says about that is believed from trusted proxies only, and from
// others removed: an app could believe it.
func (p *Proxy) setForwarded(header http.Header, r *http.Request, peer netip.Addr) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if !p.isTrusted(peer) {
		for name := range header {
			if tellsClient(name) {
				delete(header, name)
			}
		}
		header["X-Forwarded-For"] = []string{peer.String()}
		header["X-Forwarded-Proto"] = []string{scheme}
		header["X-Forwarded-Host"] = []string{r.Host}
		return
	}
	chain := append(slices.Clone(header["X-Forwarded-For"]), peer.String())
	header["X-Forwarded-For"] = []string{strings.Join(chain, ", ")}
	if header.Get("X-Forwarded-Proto") == "" {
		header["X-Forwarded-Proto"] = []string{scheme}
	}
	if header.Get("X-Forwarded-Host") == "" {
		header["X-Forwarded-Host"] = []string{r.Host}
	}
}

// tellsClient says whether apps take the header for what a proxy says about the client. Many servers hand headers on as
// variables in which "_" and "-" are the same.
func tellsClient(name string) bool {
	name = strings.ReplaceAll(name, "_", "-")
	const family = "X-Forwarded-"
	return len(name) > len(family) && strings.EqualFold(name[:len(family)], family) ||
		strings.EqualFold(name, "Forwarded") || strings.EqualFold(name, "X-Real-Ip")
}

func (p *Proxy) isTrusted(peer netip.Addr) bool {
	return slices.ContainsFunc(p.config.TrustedProxies, func(prefix netip.Prefix) bool { return prefix.Contains(peer) })
}

// clientOf is who sent the request: the last address on its way that is not a trusted proxy. It is no address where the proxies do not
// tell it: that of the last proxy may be allowed what the client is not.
func (p *Proxy) clientOf(r *http.Request, peer netip.Addr) netip.Addr {
	client := peer
	chain := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for _, hop := range slices.Backward(chain) {
		if !p.isTrusted(client) {
			break
		}
		if hop = strings.Trim(hop, " \t"); hop != "" {
			client = addressOf(hop)
		}
	}
	return client
}

// addressOf reads a hop, of which some proxies tell the port too.
func addressOf(hop string) netip.Addr {
	if withPort, err := netip.ParseAddrPort(hop); err == nil {
		return plainAddress(withPort.Addr())
	}
	address, _ := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]"))
	return plainAddress(address)
}

// plainAddress is an address as networks are compared with it. A zone is any text that the client likes.
func plainAddress(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// peerOf is the other end of the client's connection.
func peerOf(r *http.Request) netip.Addr {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return plainAddress(address.Addr())
}
