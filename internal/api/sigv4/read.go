package sigv4

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	dateHeader    = "X-Amz-Date"
	payloadHeader = "X-Amz-Content-Sha256"
)

// Parameters of a presigned URL.
const (
	queryAlgorithm     = "X-Amz-Algorithm"
	queryCredential    = "X-Amz-Credential"
	queryDate          = "X-Amz-Date"
	queryExpires       = "X-Amz-Expires"
	querySignedHeaders = "X-Amz-SignedHeaders"
	querySignature     = "X-Amz-Signature"
)

// IsPresigned says whether a request carries its signature in the query.
func IsPresigned(r *http.Request) bool {
	query := r.URL.RawQuery
	return strings.Contains(query, querySignature+"=") || strings.Contains(query, queryAlgorithm+"=")
}

func refuse(problem Problem, format string, args ...any) error {
	return &Error{problem, fmt.Sprintf(format, args...)}
}

// readSignature takes apart what the request says of its signature, wherever it says so.
func readSignature(r *http.Request) (signature, error) {
	headers := r.Header.Values("Authorization")
	switch isPresigned := IsPresigned(r); {
	case isPresigned && len(headers) > 0:
		return signature{}, refuse(ProblemIncomplete, "The request is signed both in the Authorization header and in the query.")
	case isPresigned:
		return readQuery(r.URL.RawQuery)
	case len(headers) == 0:
		return signature{}, refuse(ProblemMissing, "Missing Authentication Token: sign the request with AWS Signature Version 4.")
	case len(headers) > 1:
		return signature{}, refuse(ProblemIncomplete, "The request has more than one Authorization header.")
	}
	return readHeader(headers[0], r.Header.Values(dateHeader))
}

// readHeader reads `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
func readHeader(header string, dates []string) (signature, error) {
	scheme, rest, _ := strings.Cut(header, " ")
	if scheme != algorithm {
		return signature{}, refuse(ProblemIncomplete, "The Authorization header must begin with %s.", algorithm)
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, isDouble := fields[name]; isDouble {
			return signature{}, refuse(ProblemIncomplete, "The Authorization header has %s twice.", shorten(name))
		}
		fields[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if fields[name] == "" {
			return signature{}, refuse(ProblemIncomplete, "Authorization header requires '%s' parameter.", name)
		}
	}
	if len(fields) != 3 {
		return signature{}, refuse(ProblemIncomplete, "The Authorization header has parameters other than Credential, SignedHeaders and Signature.")
	}
	if len(dates) != 1 {
		return signature{}, refuse(ProblemIncomplete, "The request must have one X-Amz-Date header.")
	}
	return newSignature(fields["Credential"], fields["SignedHeaders"], fields["Signature"], dates[0])
}

// readQuery reads the parameters of a presigned URL.
func readQuery(raw string) (signature, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return signature{}, refuse(ProblemIncomplete, "The query of the presigned URL cannot be read.")
	}
	for _, name := range []string{queryAlgorithm, queryCredential, queryDate, queryExpires, querySignedHeaders, querySignature} {
		if len(query[name]) != 1 || query[name][0] == "" {
			return signature{}, refuse(ProblemIncomplete, "A presigned URL must have the parameter %s once.", name)
		}
	}
	if query.Get(queryAlgorithm) != algorithm {
		return signature{}, refuse(ProblemIncomplete, "%s must be %s.", queryAlgorithm, algorithm)
	}
	seconds, err := strconv.ParseUint(query.Get(queryExpires), 10, 31)
	expires := time.Duration(seconds) * time.Second
	if err != nil || expires == 0 || expires > maxExpires {
		return signature{}, refuse(ProblemIncomplete, "%s must be a number of seconds from 1 to %d.", queryExpires, int(maxExpires.Seconds()))
	}
	signed, err := newSignature(query.Get(queryCredential), query.Get(querySignedHeaders), query.Get(querySignature), query.Get(queryDate))
	signed.isPresigned, signed.expires = true, expires
	return signed, err
}

func newSignature(credential, headers, value, at string) (signature, error) {
	// An access key id has no slash, and the scope has three.
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[4] != terminator || slices.Contains(parts, "") {
		return signature{}, refuse(ProblemIncomplete, "Credential must have the form ACCESS_KEY_ID/YYYYMMDD/REGION/SERVICE/%s.", terminator)
	}
	signedAt, err := time.Parse(timeFormat, at)
	if err != nil {
		return signature{}, refuse(ProblemIncomplete, "X-Amz-Date must have the form YYYYMMDDTHHMMSSZ.")
	}
	if len(value) != 64 || strings.Trim(value, "0123456789abcdef") != "" {
		return signature{}, refuse(ProblemIncomplete, "Signature must be 64 hex digits in lower case.")
	}
	names := strings.Split(headers, ";")
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) || headers != strings.ToLower(headers) {
		return signature{}, refuse(ProblemIncomplete, "SignedHeaders must be different names of headers in lower case and in order.")
	}
	return signature{
		accessKeyID: parts[0], scope: scope{parts[1], parts[2], parts[3]},
		signedHeaders: names, value: value, at: signedAt,
	}, nil
}

// checkSignedHeaders sees to it that what matters was signed: the host, the time and every x-amz-* header, the action's
// name among them.
func checkSignedHeaders(r *http.Request, signed signature) error {
	if !slices.Contains(signed.signedHeaders, "host") {
		return refuse(ProblemIncomplete, "'Host' must be a signed header in the request.")
	}
	if !signed.isPresigned && !slices.Contains(signed.signedHeaders, "x-amz-date") {
		return refuse(ProblemIncomplete, "'X-Amz-Date' must be a signed header in the request.")
	}
	for _, name := range signed.signedHeaders {
		if name != "host" && name != "content-length" && len(r.Header.Values(name)) == 0 {
			return refuse(ProblemIncomplete, "The signed header '%s' is not in the request.", shorten(name))
		}
	}
	const prefix = "x-amz-"
	for name := range r.Header {
		if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
			continue
		}
		if name = strings.ToLower(name); !slices.Contains(signed.signedHeaders, name) {
			return refuse(ProblemIncomplete, "The header '%s' is in the request but was not signed.", shorten(name))
		}
	}
	return nil
}

// shorten keeps a caller's text in a message short.
func shorten(text string) string {
	if len(text) > 64 {
		return text[:64] + "…"
	}
	return text
}
