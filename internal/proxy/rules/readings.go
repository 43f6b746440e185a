package rules

import (
	"encoding/hex"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

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
		if path[i] == '%' && i+2 < len(path) && isDecoded(char[:], path[i+1:i+3]) {
			decoded, i = append(decoded, char[0]), i+2
			continue
		}
		decoded = append(decoded, path[i])
	}
	return string(decoded)
}

func isDecoded(into []byte, digits string) bool {
	_, err := hex.Decode(into, []byte(digits))
	return err == nil
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
