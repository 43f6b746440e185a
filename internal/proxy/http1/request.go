package http1

import "bytes"

// SyntaxError is why a request is refused, in words for whoever wrote the client.
type SyntaxError string

func (p SyntaxError) Error() string { return string(p) }

const (
	errLine         SyntaxError = "a line does not end with CR LF"
	errRequest      SyntaxError = "the request line is not method, target and version with a space in between"
	errTarget       SyntaxError = "the target has characters that it may not have"
	errField        SyntaxError = "a header line is not a name, a colon and a value"
	errHost         SyntaxError = "there is not one Host header with a name"
	errLength       SyntaxError = "Content-Length is not a number that is said once"
	errCoding       SyntaxError = "Transfer-Encoding is not chunked"
	errAmbiguous    SyntaxError = "Content-Length and Transfer-Encoding contradict each other"
	errChunk        SyntaxError = "the body is not chunked as it should be"
	errStatus       SyntaxError = "the first line is not a version and a status"
	errOptions      SyntaxError = "Connection says more than 32 things"
	errTooManyLines SyntaxError = "there are more than 1,000 header lines"
)

const (
	maxFields = 1000
	// maxOptions bounds what each field is compared with.
	maxOptions = 32
	// maxHost is longer than any name with a port; no connection should remember more.
	maxHost = 300
)

// Request is the head of a request.
type Request struct {
	head
	Method, Target, Host Span
	// IsUnusual says that somebody else should read the request: it is well formed as far as was looked, and of another version, or of a
	// form that is not a path, or asks for what this package knows nothing of.
	IsUnusual bool
}

// Scan looks for the end of a head, from where it stopped before. It returns where the head ends (0 when there is more to come), and
// where to go on then.
func Scan(buffer []byte, from int) (end, next int, err error) {
	for from < len(buffer) {
		lf := bytes.IndexByte(buffer[from:], '\n')
		if lf < 0 {
			return 0, from, nil
		}
		at := from + lf
		if at == 0 || buffer[at-1] != '\r' {
			return 0, from, errLine
		}
		if at == from+1 {
			if from == 0 {
				return 0, from, errRequest // an empty line before the request
			}
			return at + 1, at + 1, nil
		}
		from = at + 1
	}
	return 0, from, nil
}

// Parse reads the head that ends, as Scan found, with the end of the buffer's first end bytes.
func (r *Request) Parse(buffer []byte, end int) error {
	r.reset(buffer)
	r.End, r.IsUnusual, r.Host = end, false, Span{}
	at, err := r.requestLine(buffer[:end])
	if err != nil || r.Minor < 0 {
		return err
	}
	hasHost := false
	for at < end-2 {
		to := at + bytes.IndexByte(buffer[at:end], '\n') - 1
		if len(r.Fields) == maxFields {
			return errTooManyLines
		}
		if !r.field(at, to) {
			return errField
		}
		at = to + 2
		f := &r.Fields[len(r.Fields)-1]
		value := r.Bytes(f.Value)
		switch f.Kind {
		case Host:
			if hasHost || !isHost(value) {
				return errHost
			}
			hasHost, r.Host = true, f.Value
			r.IsUnusual = r.IsUnusual || len(value) > maxHost
		case ContentLength:
			if r.HasLength || !r.noteLength(value) {
				return errLength
			}
		case TransferEncoding:
			if !r.noteCoding(value) {
				return errCoding
			}
		case Disguised:
			return errField
		case Connection:
			if !r.noteConnection(value) {
				return errOptions
			}
		case TE, Trailer, Expect:
			r.IsUnusual = true
		}
	}
	switch {
	case r.IsChunked && r.HasLength:
		return errAmbiguous
	case r.IsChunked && r.Minor == 0:
		return errCoding
	case !hasHost && r.Minor > 0:
		return errHost
	}
	return nil
}

// requestLine returns where the next line begins. A version that is not 1.0 or 1.1 makes Minor negative.
func (r *Request) requestLine(head []byte) (next int, err error) {
	lf := bytes.IndexByte(head, '\n')
	line := head[:lf-1]
	first, last := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if first <= 0 || first == last || !isToken(line[:first]) {
		return 0, errRequest
	}
	r.Method, r.Target = span(0, first), span(first+1, last)
	switch version := line[last+1:]; string(version) {
	case "HTTP/1.1":
		r.Minor = 1
	case "HTTP/1.0":
		r.Minor, r.IsUnusual = 0, true
	default:
		if len(version) != 8 || string(version[:5]) != "HTTP/" {
			return 0, errRequest
		}
		r.Minor, r.IsUnusual = -1, true
	}
	target := r.Bytes(r.Target)
	if len(target) == 0 || !areAll(target, inTarget) || !isEscaped(target) {
		return 0, errTarget
	}
	if target[0] != '/' || string(r.Bytes(r.Method)) == "CONNECT" {
		r.IsUnusual = true
	}
	return lf + 1, nil
}

// isHost says whether nothing but digits stand behind a host's colon, and nothing odd before it.
func isHost(value []byte) bool {
	port := value[bytes.LastIndexByte(value, ']')+1:]
	if colon := bytes.IndexByte(port, ':'); colon >= 0 {
		for _, c := range port[colon+1:] {
			if c < '0' || c > '9' {
				return false
			}
		}
	}
	return areAll(value, inHost)
}

// isEscaped says whether each % of the path is followed by two digits.
func isEscaped(target []byte) bool {
	percent := bytes.IndexByte(target, '%')
	if percent < 0 {
		return true
	}
	if query := bytes.IndexByte(target, '?'); query >= 0 {
		target = target[:query]
	}
	for i := percent; i < len(target); i++ {
		if target[i] == '%' && (i+2 >= len(target) || !isHex(target[i+1]) || !isHex(target[i+2])) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return hexValue(c) >= 0 }

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
