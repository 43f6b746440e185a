package proxy

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/apron-run/apron/internal/platform"
)

// hasRules says whether judge may say anything at all; most services have no rules.
func (r *route) hasRules() bool {
	return len(r.Traffic.AllowIPs)+len(r.Traffic.PathRules) > 0 || r.Traffic.RedirectsToHTTPS
}

// verdict is what a service's rules make of a request.
type verdict int

const (
	verdictPass verdict = iota
	verdictForeign
	verdictDenied
	verdictHTTPS
)

// judge applies a service's rules to a request before it seeks a place. client is as trusted proxies tell, target the path with its
// query as the client wrote it, isSecure that the client came by TLS.
func judge(rules *platform.Traffic, client netip.Addr, target string, isSecure bool) verdict {
	isAllowed := func(prefix netip.Prefix) bool { return prefix.Contains(client) }
	if len(rules.AllowIPs) > 0 && !slices.ContainsFunc(rules.AllowIPs, isAllowed) {
		return verdictForeign
	}
	if len(rules.PathRules) > 0 {
		switch actionOf(rules.PathRules, target) {
		case platform.PathActionDeny:
			return verdictDenied
		case platform.PathActionHTTPS:
			if !isSecure {
				return verdictHTTPS
			}
		}
	}
	if rules.RedirectsToHTTPS && !isSecure {
		return verdictHTTPS
	}
	return verdictPass
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

// maxReadings bounds the ways to read a path, and maxUnusualPath the length of one that has several. What is beyond that was made
// to evade a rule.
const (
	maxReadings    = 64
	maxUnusualPath = 8 << 10
)

// readingsOf returns the path as servers and frameworks may read it: each of these steps, in any order and any number of times.
// isComplete is false when there are too many.
func readingsOf(path string) (readings []string, isComplete bool) {
	readings = []string{path}
	if !strings.ContainsAny(path, `%\;`) && !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return readings, true // the usual one
	}
	if len(path) > maxUnusualPath {
		return readings, false
	}
	for i := 0; i < len(readings); i++ {
		for _, step := range []func(string) string{unescape, withSlashes, withoutParameters, withoutEmpty, withoutDots} {
			if reading := step(readings[i]); !slices.Contains(readings, reading) {
				if len(readings) == maxReadings {
					return readings, false
				}
				readings = append(readings, reading)
			}
		}
	}
	return readings, true
}

// isUnder says whether a path is prefix or below it, whatever their case. A path also ends where some servers end it.
func isUnder(path, prefix string) bool {
	if prefix == "/" {
		return true
	}
	for _, char := range prefix {
		other, size := utf8.DecodeRuneInString(path)
		if size == 0 || other != char && !strings.EqualFold(string(other), string(char)) {
			return false
		}
		path = path[size:]
	}
	return path == "" || path[0] <= ' ' || strings.IndexByte(`/\;?#`, path[0]) >= 0 || isBlank(path)
}

// isBlank says whether a text begins with what apps may cut off a path's end as a blank, in UTF-8 or in Latin-1.
func isBlank(text string) bool {
	char, size := utf8.DecodeRuneInString(text)
	if char == utf8.RuneError && size == 1 {
		char = rune(text[0])
	}
	return unicode.IsSpace(char) || char == '\ufeff'
}

// unescape decodes once; what is not well-formed stays.
func unescape(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var decoded []byte
	for i := 0; i < len(path); i++ {
		var char [1]byte
		if path[i] == '%' && i+2 < len(path) && unhex(char[:], bytes.ToLower([]byte(path[i+1:i+3]))) {
			decoded, i = append(decoded, char[0]), i+2
			continue
		}
		decoded = append(decoded, path[i])
	}
	return string(decoded)
}

func withSlashes(path string) string { return strings.ReplaceAll(path, `\`, "/") }

// withoutParameters removes what follows a semicolon in each segment.
func withoutParameters(path string) string {
	if !strings.Contains(path, ";") {
		return path
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i], _, _ = strings.Cut(segment, ";")
	}
	return strings.Join(segments, "/")
}

// withoutEmpty makes one slash of several.
func withoutEmpty(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

// withoutDots resolves dot segments (RFC 3986, 5.2.4), with empty segments as segments like others.
func withoutDots(path string) string {
	if !strings.Contains(path, "/.") {
		return path
	}
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	var kept []string
	for i, segment := range segments {
		switch segment {
		case ".", "..":
			if segment == ".." && len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if i == len(segments)-1 {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}
