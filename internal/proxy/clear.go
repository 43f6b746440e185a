package proxy

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// isClear says whether a request can be passed on so that nobody reads another one in it. Of HTTP/1 the connection was read strictly
// already, but for what a URL as its target may leave open. The libraries of HTTP/2 and HTTP/3 take more than that: what they hand on as
// method, path or host may not fit into the lines of HTTP/1.1 that an app gets.
func isClear(r *http.Request) bool {
	if !isToken(r.Method) || !hasClearTarget(r) || !isHost(r.Host) || !httpguts.ValidHostHeader(r.Host) {
		return false
	}
	for name := range r.Header {
		if strings.Contains(name, "_") && decidesFraming(name) {
			return false
		}
	}
	hosts := r.Header["Host"] // beside the one that counts
	return len(hosts) == 0 || len(hosts) == 1 && hosts[0] == r.Host
}

func hasClearTarget(r *http.Request) bool {
	target := r.RequestURI
	switch {
	case r.Method == http.MethodConnect: // it is refused anyway
		return true
	case !isText(target) || strings.ContainsAny(target, " \t"):
		return false
	case strings.HasPrefix(target, "/"):
		return true
	case target == "*":
		return r.Method == http.MethodOptions
	}
	return r.ProtoMajor == 1 && r.URL.Host != "" // of http:///path the path would be read by the app alone
}
