package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// httpsURL is where a client that came by plain HTTP finds the same by TLS.
func (c Config) httpsURL(host, target string) string {
	if !strings.HasPrefix(target, "/") { // OPTIONS *
		target = "/"
	}
	name := canonicalHost(host)
	if c.HTTPSPort != "443" {
		return "https://" + net.JoinHostPort(name, c.HTTPSPort) + target
	}
	if address, err := netip.ParseAddr(name); err == nil && address.Is6() {
		name = "[" + name + "]"
	}
	return "https://" + name + target
}

// redirect sends the client to HTTPS. The answer is not to be kept: the rule may go again.
func (x *exchange) redirect() {
	x.record.Problem = "sent to HTTPS"
	header := x.w.Header()
	header.Set("Location", x.config.httpsURL(x.r.Host, target(x.r)))
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", "0")
	if x.r.ProtoMajor == 1 && x.body != nil && !x.body.isAtEOF.Load() {
		header.Set("Connection", "close")
	}
	if x.body != nil {
		x.body.finish()
	}
	x.w.WriteHeader(http.StatusPermanentRedirect)
}
