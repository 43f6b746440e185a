package proxy

import "strings"

// canonicalHost is the host of a Host header as routes are kept by: without port and trailing dot, in lower case. It is
// empty when there is none.
func canonicalHost(header string) string {
	host := header
	if strings.HasPrefix(host, "[") { // an IPv6 address, whose colons are not a port's
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return ""
		}
		host = host[1:end]
	} else if colon := strings.IndexByte(host, ':'); colon >= 0 {
		host = host[:colon]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
