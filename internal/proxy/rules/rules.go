// Package rules decides by a service's rules which requests pass: by the client's address, the path, and whether TLS is spoken.
package rules

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// Exist says whether Judge may say anything but Pass; most services have no rules.
func Exist(rules *platform.Traffic) bool {
	return len(rules.AllowIPs)+len(rules.PathRules) > 0 || rules.RedirectsToHTTPS
}

// Verdict is what a service's rules make of a request.
type Verdict int

const (
	Pass Verdict = iota
	// Foreign is for a client at an address that is not allowed, Denied for a path that is closed, HTTPS for what has to come by TLS.
	Foreign
	Denied
	HTTPS
)

// Judge applies a service's rules to a request before it seeks a place. client is as trusted proxies tell, target the path with its
// query as the client wrote it, isSecure that the client came by TLS.
func Judge(rules *platform.Traffic, client netip.Addr, target string, isSecure bool) Verdict {
	isAllowed := func(prefix netip.Prefix) bool { return prefix.Contains(client) }
	if len(rules.AllowIPs) > 0 && !slices.ContainsFunc(rules.AllowIPs, isAllowed) {
		return Foreign
	}
	if len(rules.PathRules) > 0 {
		switch actionOf(rules.PathRules, target) {
		case platform.PathActionDeny:
			return Denied
		case platform.PathActionHTTPS:
			if !isSecure {
				return HTTPS
			}
		}
	}
	if rules.RedirectsToHTTPS && !isSecure {
		return HTTPS
	}
	return Pass
}

// actionOf returns what becomes of a path, "" when no rule is for it. Each way to read it has the first rule that fits, and the strictest
// of those counts: which one the app takes nobody here knows, and a rule that can be evaded is none.
func actionOf(rules []platform.PathRule, target string) (strictest platform.PathAction) {
	path, _, _ := strings.Cut(target, "?")
	readings, isComplete := readingsOf(path)
	for _, reading := range readings {
		for _, rule := range rules {
			if isUnder(reading, rule.Prefix) {
				strictest = stricter(strictest, rule.Action)
				break
			}
		}
	}
	if !isComplete {
		for _, rule := range rules {
			strictest = stricter(strictest, rule.Action)
		}
	}
	return strictest
}

func stricter(one, other platform.PathAction) platform.PathAction {
	if one == platform.PathActionDeny || other == "" {
		return one
	}
	return other
}
