package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// payloadHash returns the hash that the canonical request ends with: the body's own, which a declared one must equal.
func payloadHash(r *http.Request, body []byte) (string, error) {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	declared := r.Header.Values(payloadHeader)
	if len(declared) == 0 {
		declared = queryValues(r.URL.RawQuery, payloadHeader)
	}
	switch {
	case len(declared) == 0:
		return hash, nil
	case len(declared) > 1:
		return "", refuse(ProblemIncomplete, "The request declares more than one X-Amz-Content-Sha256.")
	case declared[0] == hash:
		return hash, nil
	case declared[0] == "UNSIGNED-PAYLOAD" || strings.HasPrefix(declared[0], "STREAMING-"):
		return "", refuse(ProblemInvalid, "X-Amz-Content-Sha256 is %s, which only S3 takes: sign the body.", shorten(declared[0]))
	}
	return "", refuse(ProblemInvalid, "The body does not have the hash that X-Amz-Content-Sha256 declares: it was changed after signing.")
}

// canonicalRequest is the text that is hashed and signed.
func canonicalRequest(r *http.Request, signed signature, payload string) []byte {
	var text bytes.Buffer
	text.Grow(1024) // of most requests, so that it need not grow again and again
	text.WriteString(r.Method)
	text.WriteByte('\n')
	text.WriteString(canonicalPath(r.URL))
	text.WriteByte('\n')
	text.WriteString(canonicalQuery(r.URL.RawQuery))
	text.WriteByte('\n')
	for _, name := range signed.signedHeaders {
		text.WriteString(name)
		text.WriteByte(':')
		text.WriteString(headerValue(r, name))
		text.WriteByte('\n')
	}
	text.WriteByte('\n')
	text.WriteString(strings.Join(signed.signedHeaders, ";"))
	text.WriteByte('\n')
	text.WriteString(payload)
	return text.Bytes()
}

// headerValue is a header's values, each without spaces around it and with single ones inside, joined by commas. The
// HTTP server keeps the host and the length elsewhere.
func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := r.Header.Values(name)
	if len(values) == 1 && !strings.Contains(values[0], " ") {
		return values[0]
	}
	trimmed := make([]string, len(values))
	for i, value := range values {
		trimmed[i] = strings.Join(strings.FieldsFunc(value, func(c rune) bool { return c == ' ' }), " ")
	}
	return strings.Join(trimmed, ",")
}

// canonicalPath encodes the path, as it was on the wire, once more.
func canonicalPath(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" || path == "/" {
		return "/"
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = encode(segment)
	}
	return strings.Join(segments, "/")
}

// canonicalQuery is every parameter but the signature itself, encoded anew and in order.
func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	var pairs [][2]string
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value := decodePair(part)
		if name != querySignature {
			pairs = append(pairs, [2]string{encode(name), encode(value)})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int {
		if order := strings.Compare(a[0], b[0]); order != 0 {
			return order
		}
		return strings.Compare(a[1], b[1])
	})
	texts := make([]string, len(pairs))
	for i, pair := range pairs {
		texts[i] = pair[0] + "=" + pair[1]
	}
	return strings.Join(texts, "&")
}

// decodePair reads name=value. What is encoded wrongly stands for itself, and so makes a signature that fits nothing.
func decodePair(part string) (name, value string) {
	name, value, _ = strings.Cut(part, "=")
	if decoded, err := url.QueryUnescape(name); err == nil {
		name = decoded
	}
	if decoded, err := url.QueryUnescape(value); err == nil {
		value = decoded
	}
	return name, value
}

func queryValues(raw, name string) []string {
	var values []string
	for part := range strings.SplitSeq(raw, "&") {
		if found, value := decodePair(part); part != "" && found == name {
			values = append(values, value)
		}
	}
	return values
}

// encode percent-encodes everything but RFC 3986's unreserved characters.
func encode(text string) string {
	const hex = "0123456789ABCDEF"
	var encoded strings.Builder
	for i := range len(text) {
		c := text[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
			encoded.WriteByte(c)
			continue
		}
		encoded.WriteByte('%')
		encoded.WriteByte(hex[c>>4])
		encoded.WriteByte(hex[c&0xf])
	}
	return encoded.String()
}
